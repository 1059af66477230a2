"""Takes memory as files without a name: in /dev/shm, and where no folder is.

protects: caps hold
expect: discard or crash
says: worse than | wrote more | space
needs tier: 1
"""

import os
import pathlib
import time

import prepare

FACTS = {}
LIMIT, PIECE = 160 * 2**20, bytes(2**21)  # it may write 64 MB


def flood(make):
    """Bytes that went into files of 2 MB, which are removed again."""
    written, files = 0, []
    try:
        while written < LIMIT:
            files.append(make(len(files)))
            written += os.write(files[-1], PIECE)
    except OSError:
        pass
    time.sleep(0.2)
    for file in files:
        os.close(file)
    return written


def in_shm(number):
    name = f"/dev/shm/autoresearch-attack-{FACTS['token']}-{number}"
    file = os.open(name, os.O_RDWR | os.O_CREAT)
    os.unlink(name)
    return file


harness, _, _ = prepare.start()
written = flood(in_shm) if pathlib.Path("/dev/shm").exists() else 0
written += flood(lambda number: os.memfd_create(f"flood-{number}"))
prepare.submit(harness, breached=written >= 2 * LIMIT, written=written)
