"""Proposes a table of the data inside the source.

protects: caps hold
expect: invalid
says: more than 16,384
needs tier: 1
kind: proposal
"""

import pathlib

pathlib.Path("train.py").write_text(f"TABLE = {bytes(20000)!r}\nimport prepare\n")
