"""Hands in more than it may.

protects: the artifact is data
expect: invalid
says: more than 4,194,304
needs tier: 1
"""

import os
import pathlib

import prepare

harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
folder.mkdir(parents=True, exist_ok=True)
for name in "ab":
    (folder / name).write_bytes(bytes(3 * 2**20))
prepare.submit(harness)
