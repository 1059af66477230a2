"""Seed-to-seed spread of the default train.py, or of a change to it.

    python benchmarks/seeds.py [20 [5 [STEPS]]] [NAME=VALUE ...]

Trains the reference lab by hand with fresh seeds (budget in seconds, number of seeds) and prints
each score with its number of steps, then mean and standard deviation. On a machine whose speed
varies, the number of steps varies too, and with it the score; with STEPS every run does exactly so
many steps, on a schedule of steps, which leaves the spread that is the seed's alone. NAME=VALUE
sets a constant of train.py.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from autoresearch.source.constants import rewrite

LAB = Path(__file__).parent.parent / "src" / "autoresearch" / "labs" / "gpt"
NONE: Mapping[str, str] = MappingProxyType({})
FIXED_STEPS = """
import prepare, train
class Steps(prepare.Run):
    limit, done = {steps}, -1
    progress = property(lambda self: min(1.0, max(0, self.done) / self.limit))
    def over(self):
        self.done += 1
        return self.done >= self.limit
prepare.Run = Steps
train.main()
"""


def one(
    folder: Path, seed: int, budget: str, steps: str, settings: Mapping[str, str] = NONE
) -> dict[str, str]:
    script = folder / "steps.py"
    script.write_text(FIXED_STEPS.format(steps=steps))
    env = os.environ | {"AUTORESEARCH_SEED": str(seed), "AUTORESEARCH_BUDGET": budget} | settings
    argv = [sys.executable, str(script if steps else folder / "train.py")]
    done = subprocess.run(argv, cwd=folder, env=env, check=True, capture_output=True, text=True)
    summary = done.stdout.partition("---\n")[2].splitlines()
    return dict(line.replace(" ", "").split(":", 1) for line in summary)


def copy_lab(folder: Path, changes: dict[str, str]) -> None:
    """The reference lab, with constants of train.py set, also those that it leaves open (None)."""
    shutil.copyfile(LAB / "prepare.py", folder / "prepare.py")
    text = (LAB / "train.py").read_text()
    try:
        text = rewrite(text, changes, resolved=dict.fromkeys(changes, 1))
    except KeyError as error:
        raise SystemExit(f"train.py has no constant {error.args[0]}") from None
    (folder / "train.py").write_text(text)


def main() -> None:
    given = [word for word in sys.argv[1:] if "=" not in word]
    changes = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    budget, count, steps = (*given, *["20", "5", ""][len(given) :])[:3]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_lab(folder, changes)
        argv = [sys.executable, "prepare.py"]
        subprocess.run(argv, cwd=folder, check=True, capture_output=True)
        scores = []
        for seed in range(100, 100 + int(count)):
            facts = one(folder, seed, budget, steps)
            scores.append(float(facts["val_bpb"]))
            wall = f"{facts['total_seconds']} s in all"
            print(
                f"seed {seed}: {scores[-1]:.4f} in {facts['num_steps']} steps, {wall}", flush=True
            )
    if len(scores) > 1:
        mean, median = statistics.mean(scores), statistics.median(scores)
        print(f"mean {mean:.4f}, median {median:.4f}, sd {statistics.stdev(scores):.4f}")


if __name__ == "__main__":
    main()
