"""Leaves a process behind that goes on to change the artifact after done.

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
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(0.25)
    for _ in range(500):
        prepare.write_artifact(1e6)
        time.sleep(0.01)
    os._exit(0)
prepare.submit(harness)
time.sleep(5)
