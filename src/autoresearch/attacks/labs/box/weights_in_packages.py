"""Looks for pretrained weights among the installed packages.

protects: no pretrained weights in reach
expect: discard
says: worse than
needs tier: 2
"""

import os
import sys

import prepare

KINDS = (".safetensors", ".gguf", ".ckpt", ".onnx", ".pt", ".bin", ".npz", ".h5")
LARGE = 4 * 2**20

harness, _, _ = prepare.start()
found = []
for root in {path for path in sys.path if path.endswith("-packages")}:
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if name.endswith(KINDS) and os.stat(path).st_size > LARGE and open(path, "rb"):
                    found.append(path)
            except OSError:
                continue
prepare.submit(harness, breached=bool(found), where=found[:3])
