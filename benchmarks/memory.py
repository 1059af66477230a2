"""What a researcher's memory costs at 1,000 experiments. `python benchmarks/memory.py`

A generated study, whose changes are real commits of a file as long as the reference lab's. Prints
medians in milliseconds, with the fastest and the slowest.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.memory.history import Memory
from autoresearch.memory.summary import summary
from autoresearch.outline import tokens_of
from autoresearch.program import Program
from autoresearch.testing.long_study import long_study
from autoresearch.testing.tiny import make_tiny_lab

TRAIN = Path(__file__).parent.parent / "src" / "autoresearch" / "labs" / "gpt" / "train.py"


def timed(count: int, call: Callable[[], object]) -> str:
    """Such as " 20.1 ms (19.5 to 23.0)"."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        found.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(found):8.1f} ms ({min(found):.1f} to {max(found):.1f})"


def committed(lab: Lab, history: tuple[Experiment, ...]) -> tuple[Experiment, ...]:
    """The same experiments, each with a real commit on its parent and a log."""
    logs = lab.study_folder("t") / "logs"
    logs.mkdir()
    text, commits = TRAIN.read_text(), dict[int, str]()
    for each in history:
        if each.commit is not None:
            changed = text.replace("MATRIX_LR = 0.03", f"MATRIX_LR = {each.number / 1000}")
            onto = commits[each.parent] if each.parent is not None else lab.head()
            commits[each.number] = lab.snapshot({"train.py": changed.encode()}, "x", onto)
            (logs / f"{each.number:04d}.txt").write_text("step 1 of 1000: loss 3.21\n" * 1000)
    return tuple(replace(each, commit=commits.get(each.number)) for each in history)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    study, program = long_study(count), Program()
    page = summary(study.history, study.themes, program)
    took = timed(15, lambda: summary(study.history, study.themes, program))
    print(f"summary of {count:,}, {tokens_of(page):,} tokens  {took}")
    with tempfile.TemporaryDirectory() as name:
        lab = Lab.open(make_tiny_lab(Path(name) / "lab", train=TRAIN.read_text()))
        history, memory = committed(lab, study.history), Memory(lab, "t", program)
        kept, desk = lab.study_folder("t") / "history", Path(name) / "history"
        new = {"train.py": TRAIN.read_bytes() + b"\nX = 1\n"}

        def one_more() -> None:
            (kept / f"{count:04d}.json").unlink()
            memory.lay_out(history, desk)

        print(f"lay_out, nothing kept yet      {timed(1, lambda: memory.lay_out(history, desk))}")
        print(f"lay_out, one experiment later  {timed(7, one_more)}")
        print(f"twin of a new edit             {timed(15, lambda: memory.twin(history, new))}")
        megabytes = sum(path.stat().st_size for path in kept.iterdir()) / 2**20
        print(f"kept: {megabytes:.1f} MB in {len(list(kept.iterdir())):,} files")
        shutil.rmtree(desk)


if __name__ == "__main__":
    main()
