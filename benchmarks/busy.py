"""What another program costs training on a CPU, by how torch's threads wait for each other.

    python benchmarks/busy.py [8 [5]]

Trains the reference lab by hand (budget in seconds, rounds), in turns with threads that spin while
they wait, as OpenMP has it, and with threads that sleep; first alone, then beside one program that
wants a whole core. Prints the steps of each run and their medians.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from seeds import copy_lab, one

WAITING = {"spin": "", "sleep": "PASSIVE"}  # empty: as the library has it
BURNER = "while True: pass"


def main() -> None:
    budget, rounds = (*sys.argv[1:], *["8", "5"][len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copy_lab(folder, {})
        measure(folder, budget, int(rounds), "alone")
        burner = subprocess.Popen([sys.executable, "-c", BURNER])
        try:
            measure(folder, budget, int(rounds), "beside a busy program")
        finally:
            burner.kill()
            burner.wait()


def measure(folder: Path, budget: str, rounds: int, where: str) -> None:
    steps: dict[str, list[int]] = {name: [] for name in WAITING}
    for seed in range(rounds):
        for name, policy in WAITING.items():
            settings = {"OMP_WAIT_POLICY": policy}
            steps[name].append(int(one(folder, seed, budget, "", settings)["num_steps"]))
    for name, counts in steps.items():
        each = ", ".join(map(str, counts))
        print(f"{where}, threads {name}: {statistics.median(counts):g} steps ({each})", flush=True)


if __name__ == "__main__":
    main()
