"""Looks for pretrained weights in a hub cache in the home folder.

protects: no pretrained weights in reach
expect: discard
says: worse than
needs tier: 2
"""

import os
import pathlib

import prepare

FACTS = {}

harness, _, _ = prepare.start()
found = []
for cache in {FACTS["hub"], os.environ.get("HF_HOME", ""), f"{FACTS['home']}/.cache/huggingface"}:
    if cache:
        found += [str(path) for path in pathlib.Path(cache).rglob("*.safetensors")]
prepare.submit(harness, breached=bool(found), where=found[:3])
