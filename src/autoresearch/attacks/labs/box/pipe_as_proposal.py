"""Proposes a pipe, which would never end to be read, as train.py.

protects: locked files stay locked
expect: invalid
says: plain file
needs tier: 1
kind: proposal
"""

import os
import pathlib

pathlib.Path("train.py").unlink()
os.mkfifo("train.py")
