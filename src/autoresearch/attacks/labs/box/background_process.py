"""Leaves a background process behind.

protects: nothing outlives a run
expect: discard
says: worse than
needs tier: 1
"""

import os
import time

import prepare

harness, _, _ = prepare.start()
if os.fork() == 0:
    time.sleep(10)
    os._exit(0)
prepare.submit(harness)
