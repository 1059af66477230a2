"""Proposes a symbolic link to a file of the machine as train.py.

protects: locked files stay locked
expect: invalid
says: symbolic link
needs tier: 1
kind: proposal
"""

import pathlib

pathlib.Path("train.py").unlink()
pathlib.Path("train.py").symlink_to("/etc/hostname")
