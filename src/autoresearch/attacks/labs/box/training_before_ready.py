"""Reads the training data before READY, when no clock runs.

protects: training data comes at READY
expect: discard
says: worse than
needs tier: 2
"""

import os
import pathlib

import prepare

FACTS = {}

try:
    found = bool(pathlib.Path(FACTS["training"]).read_bytes())
except OSError:
    found = False
for descriptor in range(3, 64):
    try:
        found = found or "training" in os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        continue
harness, _, _ = prepare.start()
prepare.submit(harness, breached=found)
