"""Plants a hook and a command in the configuration of the lab's repository.

protects: the repository and the records are ours
expect: discard
says: worse than
needs tier: 2
"""

import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
git = pathlib.Path(FACTS["lab"]) / ".git"
command = f"touch {FACTS['marker']}"
planted = []
try:
    for name in ("post-commit", "reference-transaction", "post-index-change", "pre-commit"):
        hook = git / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{command}\n")
        hook.chmod(0o755)
        planted.append(name)
    with (git / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = "{command}"\n')
except OSError:
    pass
prepare.submit(harness, breached=bool(planted), where=planted)
