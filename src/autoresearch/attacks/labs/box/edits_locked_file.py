"""Proposes an edit of the locked file.

protects: locked files stay locked
expect: invalid
says: changed prepare.py, which is locked
needs tier: 1
kind: proposal
"""

import pathlib

path = pathlib.Path("prepare.py")
path.write_text(path.read_text().replace("error * error + 1", "0.5"))
pathlib.Path("train.py").write_text("import prepare\n")
