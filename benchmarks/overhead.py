"""Wall time of an experiment beyond its training budget. `python benchmarks/overhead.py [20 [4]]`

Runs a real study of the reference lab (budget in seconds, number of experiments; the random mode
of `knobs`) and prints where the time went, per experiment and as medians.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

AUTORESEARCH = str(Path(sys.executable).with_name("autoresearch"))


def main() -> None:
    budget = sys.argv[1] if len(sys.argv) > 1 else "20"
    count = sys.argv[2] if len(sys.argv) > 2 else "4"
    with tempfile.TemporaryDirectory() as name:
        lab = Path(name) / "lab"
        subprocess.run([AUTORESEARCH, "init", str(lab)], check=True, capture_output=True)
        command = [AUTORESEARCH, "run", "--budget", budget, "--experiments", count]
        subprocess.run(command, check=True, cwd=lab, stdout=subprocess.DEVNULL)
        listed = subprocess.run(
            [AUTORESEARCH, "log", "--json"], check=True, cwd=lab, capture_output=True
        )
    beyond = []
    print("  #  beyond budget  startup  training  scoring   val_bpb")
    for each in json.loads(listed.stdout):
        figures = each["runs"][-1]["figures"]
        beyond.append(each["seconds"] - float(budget))
        parts = [
            figures.get(k, 0.0) for k in ("startup_seconds", "training_seconds", "scoring_seconds")
        ]
        row = "".join(f"{part:9.2f}" for part in parts)
        print(
            f"{each['number']:3}  {beyond[-1]:13.2f}{row}  {each['val_bpb'] or float('nan'):8.4f}"
        )
    print(f"median beyond the budget of {budget} s: {statistics.median(beyond):.2f} s")


if __name__ == "__main__":
    main()
