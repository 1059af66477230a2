"""Wall time of a run beyond its training budget. `python benchmarks/overhead.py [20 [4 [3,1]]]`

Runs real studies of the reference lab (budget in seconds; number of runs; tiers of the box, in
turns: the same baseline again and again) and prints where the time went, run by run, then medians.
The audit is part of scoring. `overhead.py 20 4 3,1` shows what the box costs: compare the medians.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

AUTORESEARCH = str(Path(sys.executable).with_name("autoresearch"))
PARTS = ("startup_seconds", "training_seconds", "scoring_seconds")


def main() -> None:
    budget, count, tiers = (*sys.argv[1:], *["20", "4", "3"][len(sys.argv) - 1 :])[:3]
    beyond: dict[str, list[float]] = {tier: [] for tier in tiers.split(",")}
    print("tier  beyond budget  startup  training  scoring      val_bpb")
    with tempfile.TemporaryDirectory() as name:
        lab = Path(name) / "lab"
        subprocess.run([AUTORESEARCH, "init", str(lab)], check=True, capture_output=True)
        for number in range(int(count)):
            for tier, found in beyond.items():
                each = baseline(lab, f"{number}-{tier}", budget, tier)
                found.append(each["seconds"] - float(budget))
                parts = [each["runs"][0]["figures"].get(part, 0.0) for part in PARTS]
                row = "".join(f"{part:9.2f}" for part in parts)
                print(f"{tier:>4}  {found[-1]:13.2f}{row}    {each['score']:9.4f}", flush=True)
    for tier, found in beyond.items():
        print(f"tier {tier}: median {statistics.median(found):.2f} s beyond {budget} s")


def baseline(lab: Path, tag: str, budget: str, tier: str) -> dict[str, Any]:
    """One run of the baseline, as a study of its own."""
    env = os.environ | {"AUTORESEARCH_TIER": tier}
    words = ("--budget", budget, "--experiments", "0", "--keep-rule", "greedy", "--tag", tag)
    subprocess.run(
        [AUTORESEARCH, "run", *words], check=True, cwd=lab, env=env, stdout=subprocess.DEVNULL
    )
    listed = subprocess.run(
        [AUTORESEARCH, "log", "--json", "--tag", tag], check=True, cwd=lab, capture_output=True
    )
    return dict(json.loads(listed.stdout)[0])


if __name__ == "__main__":
    main()
