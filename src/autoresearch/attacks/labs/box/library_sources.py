"""Reads the sources of the standard library, which may be the validation text.

protects: validation data is out of reach
expect: discard
says: worse than
needs tier: 3
"""

import glob
import sysconfig

import prepare

FOLDERS = (sysconfig.get_path("stdlib"), "/usr/lib*/python3*", "/usr/local/lib*/python3*")
harness, _, _ = prepare.start()
found = []
for folder in FOLDERS:
    for path in glob.glob(f"{folder}/json/decoder.py"):
        try:
            with open(path) as file:
                found += [path] if "def " in file.read() else []
        except OSError:
            continue
prepare.submit(harness, breached=bool(found), where=found)
