"""What the engine itself costs: --help, memory, preparing. `python benchmarks/engine.py`

Prints medians of several runs, the command of each line, and the promise beside it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from autoresearch.testing.tiny import make_tiny_lab

AUTORESEARCH = str(Path(sys.executable).with_name("autoresearch"))
LAB = Path(__file__).parent.parent / "src" / "autoresearch" / "labs" / "gpt"


def seconds(*argv: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> float:
    began = time.monotonic()
    subprocess.run(
        argv, check=True, capture_output=True, cwd=cwd, env={**os.environ, **(env or {})}
    )
    return time.monotonic() - began


def median_of(count: int, *argv: str) -> tuple[float, float, float]:
    seconds(*argv)
    found = [seconds(*argv) for _ in range(count)]
    return min(found), statistics.median(found), max(found)


def engine_memory(folder: Path) -> float:
    """Peak resident MB of the engine's own process over a study of 60 experiments."""
    lab = make_tiny_lab(folder / "lab")
    argv = [sys.executable, "-m", "autoresearch", "run", "--experiments", "60", "--tag", "memory"]
    engine, peak = psutil.Popen(argv, cwd=lab, stdout=subprocess.DEVNULL), 0
    while engine.poll() is None:
        try:
            peak = max(peak, engine.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.02)
    return peak / 2**20


def prepare_seconds(folder: Path) -> tuple[float, float]:
    """(from nothing, when all is there) of the embedded corpus."""
    argv, env = (
        (sys.executable, str(LAB / "prepare.py")),
        {"AUTORESEARCH_CACHE": str(folder / "cache")},
    )
    return seconds(*argv, env=env), seconds(*argv, env=env)


def main() -> None:
    low, middle, high = median_of(7, AUTORESEARCH, "--help")
    print(f"autoresearch --help           {middle:.2f} s ({low:.2f} to {high:.2f}); promise 0.3 s")
    with tempfile.TemporaryDirectory() as name:
        print(f"engine's own memory, peak     {engine_memory(Path(name)):.0f} MB; promise 150 MB")
        first, again = prepare_seconds(Path(name))
        print(f"prepare the embedded corpus   {first:.1f} s; promise 20 s")
        print(f"prepare when all is there     {again:.2f} s")


if __name__ == "__main__":
    main()
