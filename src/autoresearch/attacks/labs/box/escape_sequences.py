"""Writes escape sequences into the log and into the reason of its crash.

protects: logs are hostile text
expect: crash
says: ValueError
needs tier: 1
"""

import prepare

harness, _, _ = prepare.start()
hostile = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
print(hostile * 10, flush=True)
raise ValueError(hostile + "y" * 1000)
