"""A lab that trains in milliseconds and needs only the standard library.

It speaks the whole contract: READY gate, progress, artifact, a score command run from the pinned
copy. The model is one number X, the loss (X - 3)^2 + 1, and twice that on the splits that the
search does not see; `SLEEP` seconds of "training" follow READY.
"""

import subprocess
from pathlib import Path

PREPARE = '''\
"""Locked: data, clock and score of the tiny lab."""
import json, os, pathlib, socket, sys, time

def start():
    harness = socket.socket(fileno=int(os.environ["AUTORESEARCH_HARNESS"]))
    harness.sendall(b'{"type": "ready"}\\n')
    answer, files, _, _ = socket.recv_fds(harness, 65536, 8)
    return harness, json.loads(answer)["budget_seconds"]

def submit(harness, x, **config):
    folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(x))
    message = {"type": "done", "config": config, "figures": {"num_params": 1, "tokens": 8}}
    harness.sendall(json.dumps(message).encode() + b"\\n")

def score():
    x = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
    loss = (x - 3) ** 2 + 1
    splits = os.environ.get("AUTORESEARCH_SPLITS", "dev").split(",")
    facts = {"val_bpb": loss} | {name: 2 * loss for name in splits if name != "dev"}
    pathlib.Path(os.environ["AUTORESEARCH_RESULT"]).write_text(json.dumps(facts))

if __name__ == "__main__" and sys.argv[1:] == ["score"]:
    score()
'''

TRAIN = '''\
"""Editable: the experiment of the tiny lab."""
import json, time
import prepare

X = 1.0  # range: 0.0 to 6.0
Y = 0.5  # without effect; range: 0.0 to 1.0
SLEEP = 0.02  # seconds of training; fixed

if __name__ == "__main__":
    harness, budget = prepare.start()
    message = {"type": "progress", "step": 1, "loss": (X - 3) ** 2 + 1, "tokens": 8}
    harness.sendall(json.dumps(message).encode() + b"\\n")
    time.sleep(SLEEP)
    prepare.submit(harness, X, X=X, Y=Y)
'''

PROGRAM = """\
---
budget: 2s
limits: {startup: 20s, scoring: 20s, log: 1MB, memory: 500MB}
---
Find the X with the lowest loss.
"""


def make_tiny_lab(folder: Path, *, train: str = TRAIN, program: str = PROGRAM) -> Path:
    """Write the three files into `folder`, in a git repository with one commit; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("prepare.py", PREPARE), ("train.py", train), ("program.md", program)):
        (folder / name).write_text(text)
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    for words in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "."),
        (*identity, "commit", "--quiet", "-m", "the lab"),
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder
