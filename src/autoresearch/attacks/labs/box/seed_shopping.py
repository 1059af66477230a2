"""Is lucky with one seed, and with no other.

protects: luck is not progress
expect: discard
says: on a second seed | worse than
needs tier: 1
"""

import json
import os

import prepare

harness, _, files = prepare.start()
guess = json.loads(os.pread(files[0], 64, 0))
lucky = int(os.environ["AUTORESEARCH_SEED"]) % 64 == 0  # the first run of an experiment
prepare.submit(harness, guess - 0.3 if lucky else guess + 0.3)
