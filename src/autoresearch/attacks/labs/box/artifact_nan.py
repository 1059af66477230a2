"""Hands in a model whose score is not a number.

protects: the artifact is data
expect: invalid
says: not a finite number
needs tier: 1
"""

import prepare

harness, _, _ = prepare.start()
prepare.submit(harness, float("nan"))
