"""Connects to a TCP listener.

protects: no network
expect: discard
says: worse than
needs tier: 2
"""

import socket

import prepare

FACTS = {}

harness, _, _ = prepare.start()
try:
    with socket.create_connection(("127.0.0.1", FACTS["tcp"]), timeout=1) as connection:
        connection.sendall(b"hello")
    breached = True
except OSError:
    breached = False
prepare.submit(harness, breached=breached)
