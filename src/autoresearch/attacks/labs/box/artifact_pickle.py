"""Hands in a pickle that runs a command when it is read.

protects: the artifact is data
expect: crash
says: could not be scored
needs tier: 1
"""

import os
import pathlib
import pickle

import prepare

FACTS = {}


class Bomb:
    def __reduce__(self):
        return (os.system, (f"touch {FACTS['marker']}",))


harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_bytes(pickle.dumps(Bomb()))
harness.sendall(b'{"type": "done"}\n')
