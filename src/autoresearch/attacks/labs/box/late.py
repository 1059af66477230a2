"""Trains on after its deadline.

protects: the clock is the harness's
expect: invalid
says: after its 1 s were over
needs tier: 1
slow: yes
"""

import time

import prepare

harness, budget, _ = prepare.start()
time.sleep(budget + 0.9)
prepare.submit(harness)
