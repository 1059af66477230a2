"""Says done before it is ready, and trains without a clock.

protects: the clock is the harness's
expect: crash
says: without a complete artifact
needs tier: 1
"""

import os
import socket

import prepare

harness = socket.socket(fileno=int(os.environ["AUTORESEARCH_HARNESS"]))
prepare.write_artifact(0.0)
harness.sendall(b'{"type": "done", "config": {"breached": 1}}\n{"type": "ready"}\n')
