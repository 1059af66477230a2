"""Hands in a symbolic link to the validation data as its model.

protects: the artifact is data
expect: invalid
says: no plain file
needs tier: 1
"""

import os
import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").symlink_to(FACTS["validation"])
harness.sendall(b'{"type": "done"}\n')
