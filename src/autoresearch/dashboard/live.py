"""What the engine writes for readers while it works: now.json, and the curve of the run."""

import json
import os
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from autoresearch.activity import PHASES, seen
from autoresearch.lab import curve_path
from autoresearch.text import clean_line

_NUMBERS = (
    *("pid", "experiment", "run", "seconds", "budget_seconds", "step", "loss", "tokens"),
    "tokens_per_second",
)
MOST_BYTES = 2**20
MOST_HEAD_BYTES = 256

Point = tuple[float, float]  # seconds of training, loss


def read_now(folder: Path) -> dict[str, Any]:
    """What a study's engine says that it does; {} where nothing can be read."""
    if not (said := seen(folder)):
        return {}
    known: dict[str, Any] = {name: number(said.get(name)) for name in _NUMBERS}
    known["phase"] = said["phase"] if said.get("phase") in PHASES else ""
    known["since"] = clean_line(str(said.get("since") or ""), 40)
    return known


def number(value: Any) -> float | int | None:
    """A number that JSON can hold, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Curve:
    """The running experiment's loss so far. `life` tells one run of it from the next."""

    experiment: int = -1
    life: int = 0
    points: tuple[Point, ...] = ()
    read_bytes: int = 0
    head: bytes = b""  # how the file began that they were read from


def follow(curve: Curve, folder: Path, number_: int | None) -> Curve:
    """The curve with what was appended since; a new one for a new run."""
    if number_ is None:
        return curve if curve.experiment == -1 else Curve(life=curve.life + 1)
    try:
        with curve_path(folder, number_).open("rb") as file:
            head = file.readline(MOST_HEAD_BYTES)
            size = os.fstat(file.fileno()).st_size
            if (
                curve.experiment != number_
                or size < curve.read_bytes
                or not head.startswith(curve.head)
            ):
                curve = Curve(number_, curve.life + 1)
            if size == curve.read_bytes:
                return curve
            file.seek(curve.read_bytes)
            data = file.read(MOST_BYTES)
    except OSError:  # not there yet
        return curve if curve.experiment == number_ else Curve(number_, curve.life + 1)
    whole = data[: data.rfind(b"\n") + 1]
    points = curve.points + points_of(whole)
    return Curve(number_, curve.life, points, curve.read_bytes + len(whole), head)


def read_curve(folder: Path, number_: int) -> tuple[Point, ...]:
    """A finished experiment's curve; empty where it has none."""
    try:
        with curve_path(folder, number_).open("rb") as file:
            return points_of(file.read(MOST_BYTES))
    except OSError:
        return ()


def points_of(data: bytes) -> tuple[Point, ...]:
    """Lines of `[seconds, step, loss, tokens]`; what is none is left out."""
    found = []
    for line in data.splitlines():
        try:
            seconds, _, loss, *_ = json.loads(line)
        except (ValueError, TypeError):
            continue
        if number(seconds) is not None and number(loss) is not None:
            found.append((float(f"{seconds:.6g}"), float(f"{loss:.6g}")))
    return tuple(found)
