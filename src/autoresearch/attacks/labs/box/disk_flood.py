"""Fills the disk with files, each as large as it may be.

protects: caps hold
expect: discard or crash or invalid
says: worse than | wrote more | space
needs tier: 1
"""

import os
import pathlib
import time

import prepare

FILES, PIECE = 40, bytes(4 * 2**20)  # 160 MB: more than twice what it may
harness, _, _ = prepare.start()
written = []
for place in (pathlib.Path(), pathlib.Path(os.environ["TMPDIR"])):
    try:
        for number in range(FILES // 2):
            path = place / f"flood-{number}"
            path.write_bytes(PIECE)
            written.append(path)
    except OSError:
        path.unlink(missing_ok=True)
time.sleep(0.3)
for path in written:
    path.unlink()
prepare.submit(harness, breached=len(written) == FILES, files=len(written))
