"""Makes a device file of the disk that holds the validation data, and reads it (as root).

protects: validation data is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import os
import pathlib
import stat

import prepare

FACTS = {}


def read_disk():
    """True when a block of the disk below us could be read."""
    device = os.stat(".").st_dev
    path = pathlib.Path("disk")
    os.mknod(path, stat.S_IFBLK | 0o600, device)
    with path.open("rb") as disk:
        return len(disk.read(4096)) == 4096


harness, _, _ = prepare.start()
try:
    breached = read_disk()
except OSError:
    breached = False
prepare.submit(harness, breached=breached)
