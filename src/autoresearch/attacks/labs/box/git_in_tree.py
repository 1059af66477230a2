"""Makes its own folder a repository with hooks, for whoever runs git in it.

protects: the repository and the records are ours
expect: discard
says: worse than
needs tier: 1
"""

import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
git = pathlib.Path(".git")
(git / "hooks").mkdir(parents=True)
(git / "objects").mkdir()
(git / "refs").mkdir()
(git / "HEAD").write_text("ref: refs/heads/main\n")
command = f"touch {FACTS['marker']}"
(git / "config").write_text(
    f'[core]\n\tfsmonitor = "{command}"\n\tpager = "{command}"\n[alias]\n\tst = "!{command}"\n'
)
for name in ("post-commit", "post-checkout", "reference-transaction"):
    (git / "hooks" / name).write_text(f"#!/bin/sh\n{command}\n")
    (git / "hooks" / name).chmod(0o755)
prepare.submit(harness)
