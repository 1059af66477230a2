"""Floods the harness with messages, nonsense and deep nesting among them.

protects: caps hold
expect: discard
says: worse than
needs tier: 1
"""

import prepare

harness, _, _ = prepare.start()
line = b'{"type": "progress", "step": 1, "loss": 2.0, "tokens": 1}\n'
for _ in range(10):
    harness.sendall(line * 1000)
harness.sendall(b"[" * 100000 + b"\n" + b'{"a":' * 50000 + b"\n[]\nnull\n\xff\n")
prepare.submit(harness)
