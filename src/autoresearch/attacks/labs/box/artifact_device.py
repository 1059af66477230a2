"""Hands in a device, or what else it may make that is no file, as its model.

protects: the artifact is data
expect: invalid
says: no plain file
needs tier: 1
"""

import os
import pathlib
import socket
import stat

import prepare

harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
folder.mkdir(parents=True, exist_ok=True)
try:
    os.mknod(folder / "model.json", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
except OSError:
    os.chdir(folder)
    try:
        socket.socket(socket.AF_UNIX).bind("model.json")
    except OSError:
        os.mkfifo("model.json")
harness.sendall(b'{"type": "done"}\n')
