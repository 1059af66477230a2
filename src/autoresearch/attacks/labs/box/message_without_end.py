"""Sends the harness a message without end.

protects: caps hold
expect: invalid
says: without end
needs tier: 1
"""

import prepare

harness, _, _ = prepare.start()
while True:
    harness.sendall(b"x" * 65536)
