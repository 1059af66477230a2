"""A whole night in this process, with pauses of no length: what is in the books then."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from autoresearch import opening
from autoresearch.cli import launch
from autoresearch.experiment import Experiment, Usage
from autoresearch.lab import Lab, talk_path
from autoresearch.researchers import fallback
from autoresearch.store import Store
from autoresearch.testing.tiny import PROGRAM, make_tiny_lab

LIMITED = PROGRAM.replace("limits: {", "limits: {proposal: 10s, ")  # so long may a model hang


@dataclass(frozen=True, slots=True)
class WholeNight:
    """`events` are lines, `kind: text`, by experiment."""

    rows: tuple[Experiment, ...]
    events: dict[int, list[str]]
    used: dict[int, Usage]
    study: Path

    def happened(self, number: int) -> str:
        return "\n".join(self.events.get(number, []))

    def talk(self, number: int) -> str:
        return talk_path(self.study, number).read_text()


def spend(researcher: str, folder: Path, experiments: int) -> WholeNight:
    lab = Lab.open(make_tiny_lab(folder / "lab", program=LIMITED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fallback, "FIRST_PAUSE_SECONDS", 0.0)
        patch.setattr(fallback, "LONGEST_PAUSE_SECONDS", 0.0)
        with lab.lock(), Store(opening.store_path(lab)) as store:
            launch.run_study(
                lab, store, opening.Wishes("t", researcher, {"experiments": experiments})
            )
            rows, used = store.experiments("t"), store.usage("t")
            events: dict[int, list[str]] = {}
            for each in store.events("t"):
                line = f"{each.kind}: {each.data.get('text', '')}"
                events.setdefault(each.data.get("experiment", -1), []).append(line)
    return WholeNight(rows, events, used, lab.study_folder("t"))
