"""Reads the memory of the harness.

protects: validation data is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import os
import pathlib

import prepare

FACTS = {}


def harness_processes():
    """Those of our ancestors that /proc shows as what they are: the supervisor and the engine."""
    pid = os.getppid()
    while pid > 1:
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            status = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        if b"supervisor.py" in words or pid == FACTS["engine"]:
            yield pid
        pid = 0 if pid == FACTS["engine"] else int(status.rpartition(")")[2].split()[1])


def read_memory(pid):
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    start = int(maps[0].partition("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        return len(memory.read(64))


harness, _, _ = prepare.start()
found = []
for pid in harness_processes():
    try:
        found.append(read_memory(pid))
    except (OSError, IndexError, ValueError):
        continue
prepare.submit(harness, breached=any(found))
