"""Sends a UDP packet.

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
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.3)
        sender.sendto(b"hello", ("127.0.0.1", FACTS["udp"]))
        breached = sender.recv(16) == b"hello"
except OSError:
    breached = False
prepare.submit(harness, breached=breached)
