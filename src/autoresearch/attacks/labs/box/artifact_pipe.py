"""Hands in a pipe, which would never end to be read, as its model.

protects: the artifact is data
expect: invalid
says: no plain file
needs tier: 1
"""

import os
import pathlib

import prepare

harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
folder.mkdir(parents=True, exist_ok=True)
os.mkfifo(folder / "model.json")
harness.sendall(b'{"type": "done"}\n')
