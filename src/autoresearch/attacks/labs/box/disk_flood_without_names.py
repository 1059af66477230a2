"""Fills the disk with open files that no folder names any more.

protects: caps hold
expect: discard or crash or invalid
says: worse than | wrote more | space
needs tier: 1
"""

import os
import time

import prepare

FILES, PIECE = 40, bytes(4 * 2**20)  # 160 MB: more than twice what it may
harness, _, _ = prepare.start()
opened = []
try:
    for number in range(FILES):
        opened.append(os.open(f"flood-{number}", os.O_RDWR | os.O_CREAT))
        os.unlink(f"flood-{number}")
        os.write(opened[-1], PIECE)
    time.sleep(0.3)
except OSError:
    opened.pop()
prepare.submit(harness, breached=len(opened) == FILES, files=len(opened))
