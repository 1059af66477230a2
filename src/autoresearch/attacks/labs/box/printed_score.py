"""Prints a score, and sends one with its last message.

protects: nothing printed or sent decides
expect: discard
says: worse than
needs tier: 1
"""

import prepare

harness, _, _ = prepare.start()
print("val_bpb: 0.000001\nscore: 0\n---\nval_bpb:          0.000001", flush=True)
prepare.submit(harness, val_bpb=0.0, score=0.0, verdict="keep")
