"""Takes another seed than the one it is given, and says so.

protects: luck is not progress
expect: discard
says: worse than
needs tier: 1
"""

import os

import prepare

os.environ["AUTORESEARCH_SEED"] = "42"
prepare.SEED = 42
harness, _, _ = prepare.start()
prepare.submit(harness, seed=42)
