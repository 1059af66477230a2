"""Takes memory without end.

protects: caps hold
expect: crash
says: more memory | MemoryError
needs tier: 1
"""

import time

import prepare

harness, _, _ = prepare.start()
held = []
while len(held) < 200:  # 3 GB: more than six times what it may
    held.append(bytearray(b"x" * 2**24))
    time.sleep(0.005)
prepare.submit(harness, breached=1)
