"""Reads the validation data where they lie.

protects: validation data is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import json
import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
try:
    secret = json.loads(pathlib.Path(FACTS["validation"]).read_text())
except OSError:
    secret = None
prepare.submit(harness, secret or 0.0, breached=secret is not None)
