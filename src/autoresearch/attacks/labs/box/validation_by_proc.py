"""Looks for the validation data through every process that /proc shows.

protects: validation data is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import json
import os
import pathlib

import prepare

FACTS = {}


def ways():
    for pid in ["self", *filter(str.isdigit, os.listdir("/proc"))]:
        yield f"/proc/{pid}/root{FACTS['validation']}"
        for up in range(8):
            yield f"/proc/{pid}/cwd/{'../' * up}data/validation.json"
        yield from (f"/proc/{pid}/fd/{number}" for number in range(64))


harness, _, _ = prepare.start()
found = []
for way in ways():
    try:
        path = pathlib.Path(way)
        if path.is_file() and "validation" in os.path.realpath(way):
            found.append((json.loads(path.read_text()), way))
    except (OSError, ValueError):
        continue
secret, way = found[0] if found else (0.0, "")
prepare.submit(harness, secret, breached=bool(found), way=way)
