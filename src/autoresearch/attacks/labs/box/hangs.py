"""Trains without end, and hears no signal.

protects: a bad run is one experiment
expect: timeout
says: still training
needs tier: 1
slow: yes
"""

import signal
import time

import prepare

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
harness, _, _ = prepare.start()
time.sleep(60)
