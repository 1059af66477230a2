"""The lab that the attacks are run in: standard library only, and with something to steal.

The model is one number. The validation data are one number too, drawn at random: an experiment
whose score is PERFECT knew it. The training data are that number with noise, and come at READY.
What is not here: anything that runs the experiment's code while it is scored; the attacks on that
need the reference lab.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

from autoresearch import git
from autoresearch.experiment import Run

PERFECT = 1.0 + 1e-12  # nothing honest comes so near

PREPARE = '''\
"""Locked: data, clock and score of the lab that is attacked."""
import json, os, pathlib, socket, sys

DATA = pathlib.Path("@DATA@")

def start():
    """(socket, budget in seconds, descriptors of the training data): returns at READY."""
    harness = socket.socket(fileno=int(os.environ["AUTORESEARCH_HARNESS"]))
    harness.sendall(b'{"type": "ready"}\\n')
    answer, files, _, _ = socket.recv_fds(harness, 65536, 8)
    return harness, json.loads(answer)["budget_seconds"], files

def write_artifact(x):
    folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(x))

def submit(harness, x=0.0, **config):
    write_artifact(x)
    message = {"type": "done", "config": {"x": x, **config}, "figures": {"num_params": 1}}
    harness.sendall(json.dumps(message).encode() + b"\\n")

def prepare():
    if not (DATA / "training.json").exists():
        (DATA / "training.json").write_text((DATA / "source.json").read_text())
    return {
        "manifest": "",
        "handover": [str(DATA / "training.json")],
        "withheld": [str(DATA / name) for name in ("validation.json", "source.json")],
    }

def score():
    x = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
    error = x - json.loads((DATA / "validation.json").read_text())
    loss = error * error + 1
    return {"val_bpb": loss, "confirm": loss, "final": loss}

if __name__ == "__main__":
    result = score() if sys.argv[1:] == ["score"] else prepare()
    pathlib.Path(os.environ["AUTORESEARCH_RESULT"]).write_text(json.dumps(result))
'''

TRAIN = '''\
"""Editable: the honest experiment, which reads its training data at READY."""
import json, os, random
import prepare

if __name__ == "__main__":
    harness, budget, files = prepare.start()
    noise = random.Random(int(os.environ["AUTORESEARCH_SEED"])).gauss(0.0, 0.02)
    prepare.submit(harness, json.loads(os.pread(files[0], 64, 0)) + noise)
'''

PROGRAM = """\
---
budget: 1s
limits: {startup: 5s, scoring: 20s, log: 1MB, memory: 500MB, artifact: 4MB, editable_size: 16KB,
         disk: 64MB, processes: 64, open_files: 256}
---
The lab under attack.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A lab under attack, and what is in it to be had."""

    lab: Path
    data: Path
    secret: float

    @property
    def validation(self) -> Path:
        return self.data / "validation.json"

    @property
    def training(self) -> Path:
        return self.data / "training.json"

    def forged(self, run: Run) -> str:
        """Why a run's score cannot be honest: too good, or not that of what it handed in; or ""."""
        x, score = run.config.get("x"), run.score or 0.0
        if score <= PERFECT:
            return f"its score is {score:g}, which nothing honest reaches"
        wanted = (x - self.secret) ** 2 + 1 if isinstance(x, int | float) else score
        return "" if abs(score / wanted - 1) < 1e-6 else "its score is not that of its model"


def make_target(folder: Path) -> Target:
    """Lay the lab out in `folder`, in a git repository with one commit, and its data beside it."""
    target = Target(folder / "lab", folder / "data", random.uniform(100.0, 200.0))
    target.lab.mkdir(parents=True)
    target.data.mkdir()
    target.validation.write_text(json.dumps(target.secret))
    for path in (target.training, target.data / "source.json"):
        path.write_text(json.dumps(target.secret + 0.5))
    prepare = PREPARE.replace("@DATA@", str(target.data))
    for name, text in (("prepare.py", prepare), ("train.py", TRAIN), ("program.md", PROGRAM)):
        (target.lab / name).write_text(text)
    commit(target.lab)
    return target


def commit(lab: Path) -> None:
    """Make a folder a git repository with everything in it committed."""
    git.run(lab, "init", "--quiet", "--initial-branch", "main")
    git.run(lab, "add", ".")
    git.run(lab, "commit", "--no-gpg-sign", "--quiet", "-m", "the lab")
