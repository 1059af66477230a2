"""Makes the artifact itself a link to the data's folder.

protects: the artifact is data
expect: crash
says: without an artifact
needs tier: 1
"""

import os
import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
try:
    folder.rmdir()
    folder.symlink_to(FACTS["data"])
except OSError:
    pass  # it is a mount point of its box
harness.sendall(b'{"type": "done"}\n')
