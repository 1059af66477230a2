"""Leaves a daemon behind: two forks and a session of its own, no signal heard.

protects: nothing outlives a run
expect: discard
says: worse than
needs tier: 1
"""

import os
import signal
import time

import prepare

harness, _, _ = prepare.start()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    time.sleep(10)
    os._exit(0)
prepare.submit(harness)
