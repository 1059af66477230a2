"""What an engine is doing at this moment, in `now.json`: for whoever looks on, never for itself.

A file and not the store: it changes twice a second, and losing it costs nothing. It is stale when
no engine works in the lab.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from autoresearch.runners.base import Progress
from autoresearch.store import now
from autoresearch.text import write_whole

APART_SECONDS = 0.5
MOST_BYTES = 2**20  # of the file that are read
PROPOSING, TRAINING, SCORING = "proposing", "training", "scoring"
WAITING, HELD = "waiting", "paused"
PHASES = (PROPOSING, TRAINING, SCORING, WAITING, HELD)
_FIGURES = ("seconds", "step", "loss", "tokens", "tokens_per_second")


class Activity:
    """Writes down phases at once and progress at most twice a second. A full disk is no matter."""

    def __init__(self, folder: Path, budget_seconds: float) -> None:
        self._path, self._budget = folder / "now.json", budget_seconds
        self._facts: dict[str, Any] = {}
        self._written = 0.0

    def phase(self, name: str, experiment: int | None = None, run: int | None = None) -> None:
        self._facts = {
            "pid": os.getpid(),
            "experiment": experiment,
            "phase": name,
            "since": now(),
            "run": run,
            "budget_seconds": self._budget,
            **dict.fromkeys(_FIGURES),
        }
        self._write()

    def progress(self, progress: Progress) -> None:
        if time.monotonic() - self._written < APART_SECONDS:
            return
        self._facts |= {name: getattr(progress, name) for name in _FIGURES}
        self._write()

    def clear(self) -> None:
        """Nothing is done any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._written = time.monotonic()
        with suppress(OSError, ValueError):
            write_whole(self._path, json.dumps(self._facts, allow_nan=False))


def seen(folder: Path) -> Mapping[str, Any]:
    """What the file says; {} where there is none."""
    try:
        with (folder / "now.json").open("rb") as file:
            facts = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
