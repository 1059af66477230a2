"""Forks without end.

protects: caps hold
expect: discard or crash
says: worse than | more memory | more than 64 processes | Resource temporarily unavailable
needs tier: 1
"""

import os
import signal
import time

import prepare

MANY = 4096  # one without a cap would not stop here

harness, _, _ = prepare.start()
children = []
try:
    while len(children) < MANY:
        if child := os.fork():
            children.append(child)
        else:
            time.sleep(5)
            os._exit(0)
except OSError:
    pass
for child in children:
    os.kill(child, signal.SIGKILL)
prepare.submit(harness, breached=len(children) >= MANY, processes=len(children))
