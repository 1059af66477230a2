"""Connects to unix sockets: by path and by abstract name.

protects: no network
expect: discard
says: worse than
needs tier: 2
"""

import os
import socket

import prepare

FACTS = {}


def reaches(address):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(address)
            return True
    except OSError:
        return False


def by_folder():
    """A path can be too long for a socket's address: go near it first."""
    try:
        os.chdir(os.path.dirname(FACTS["unix"]))
    except OSError:
        return False
    return reaches(os.path.basename(FACTS["unix"]))


harness, _, _ = prepare.start()
reached = {"abstract": reaches("\0" + FACTS["abstract"]), "path": by_folder()}
prepare.submit(harness, breached=any(reached.values()), where=[k for k in reached if reached[k]])
