"""How long an export takes: `python benchmarks/exports.py [EXPERIMENTS]`, 5,000 by default.

Each format is written by the command, in a process of its own, its start included. The study is
`testing/long_study.py`'s: nobody ran it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autoresearch.exports.base import FORMATS
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.program import Program
from autoresearch.store import Store, StudyRow
from autoresearch.testing.long_study import long_study
from autoresearch.testing.tiny import make_tiny_lab


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.open(make_tiny_lab(Path(folder) / "lab"))
        study = StudyRow("long", "", Program().contract(), 1, "knobs", {}, "confirm")
        with Store(store_path(lab)) as store:
            store.insert(study, long_study(count).history)
        for name in FORMATS:
            began = time.monotonic()
            command = [sys.executable, "-m", "autoresearch", "export", name]
            done = subprocess.run(command, cwd=lab.root, capture_output=True, check=False)
            words = f"{time.monotonic() - began:6.1f} s" if not done.returncode else "not installed"
            print(f"{name:12} {words}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
