"""Opens the training data that it was given for writing, and leaves what it learned there.

protects: nothing carries over to the next run
expect: invalid or discard
says: changed the training data | worse than
needs tier: 1
runs: 2
"""

import os

import prepare

FACTS = {}
MARK = FACTS["token"].encode()
harness, _, files = prepare.start()
path = f"/proc/self/fd/{files[0]}"
found = MARK in os.pread(files[0], 4096, 0)
try:
    found = found or "user.attack" in os.listxattr(path)
    os.setxattr(path, "user.attack", MARK)
except (AttributeError, OSError):
    pass
try:
    with open(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b" " + MARK)
except OSError:
    pass
prepare.submit(harness, breached=found)
