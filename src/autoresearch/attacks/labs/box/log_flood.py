"""Prints without end.

protects: caps hold
expect: crash
says: printed more than 1 MB
needs tier: 1
"""

import sys

import prepare

harness, _, _ = prepare.start()
for _ in range(64):
    sys.stdout.write("x" * 2**20)
prepare.submit(harness, breached=1)
