"""Opens files without end, as all processes of the machine share their number.

protects: caps hold
expect: discard
says: worse than
needs tier: 1
"""

import os

import prepare

MANY = 70000

harness, _, _ = prepare.start()
opened = []
try:
    while len(opened) < MANY:
        opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for each in opened:
    os.close(each)
prepare.submit(harness, breached=len(opened) >= MANY, files=len(opened))
