"""Hands in a hard link to the validation data as its model.

protects: the artifact is data
expect: discard
says: worse than
needs tier: 2
"""

import json
import os
import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
folder.mkdir(parents=True, exist_ok=True)
try:
    os.link(FACTS["validation"], folder / "model.json")
    config = {"breached": True}
except OSError:
    config = {"x": 0.0}
    prepare.write_artifact(0.0)
harness.sendall(json.dumps({"type": "done", "config": config}).encode() + b"\n")
