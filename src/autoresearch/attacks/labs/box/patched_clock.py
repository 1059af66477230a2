"""Patches every clock of its process, and says that no time has passed.

protects: the clock is the harness's
expect: invalid
says: after its 1 s were over
needs tier: 1
"""

import time

import prepare

sleep = time.sleep
time.monotonic = time.time = time.perf_counter = lambda: 0.0
harness, budget, _ = prepare.start()
sleep(budget + 0.9)
message = b'{"type": "progress", "step": 1, "loss": 1.0, "tokens": 1, "seconds": 0.0}\n'
harness.sendall(message)
prepare.submit(harness, training_seconds=0.0)
