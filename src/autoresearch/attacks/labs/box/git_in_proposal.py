"""Proposes an edit out of a desk that holds a repository with hooks.

protects: the repository and the records are ours
expect: discard
says: worse than
needs tier: 1
kind: proposal
"""

import pathlib

FACTS = {}

git = pathlib.Path(".git")
for name in ("hooks", "objects", "refs"):  # whether the desk is a repository already, or not
    (git / name).mkdir(parents=True, exist_ok=True)
(git / "HEAD").write_text("ref: refs/heads/main\n")
command = f"touch {FACTS['marker']}"
(git / "config").write_text(f'[core]\n\tfsmonitor = "{command}"\n\tattributesFile = evil\n')
pathlib.Path(".gitattributes").write_text("* filter=evil\n")
with (git / "config").open("a") as config:
    config.write(f'[filter "evil"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n')
for name in ("pre-commit", "post-commit", "post-checkout", "reference-transaction"):
    (git / "hooks" / name).write_text(f"#!/bin/sh\n{command}\n")
    (git / "hooks" / name).chmod(0o755)
pathlib.Path("train.py").write_text("""
import prepare

harness, _, _ = prepare.start()
prepare.submit(harness)
""")
