"""A night on which the model has every fault there is: one an experiment, and a good edit at last.

The engine runs in this process, so that its patience can be cut from minutes to seconds.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoresearch import opening
from autoresearch.cli import launch
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.researchers import fallback
from autoresearch.researchers.settings import Settings
from autoresearch.store import Store
from autoresearch.testing.model_server import ModelServer
from autoresearch.testing.scripts import (
    Cut,
    Edit,
    Nonsense,
    Read,
    Refuse,
    Reply,
    Request,
    Say,
    Script,
    Stall,
)
from autoresearch.testing.tiny import make_tiny_lab
from tests.agents.homes import move_in
from tests.agents.night import done, number_of

TOOL_CALLS = 6  # of one proposal
FLOOD = " ".join(map(str, range(1_470_000)))  # 10 MB, and no two words alike
FAULTS: Mapping[str, Reply | None] = {  # None: an endless loop of tool calls
    "429": Refuse(429, "quota exceeded", 1),
    "500": Refuse(500, "internal error"),
    "stall": Stall(),
    "cut": Cut(),
    "nonsense": Nonsense(),
    "loop": None,
    "flood": Say(FLOOD),
}


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is in the books then: of each fault its experiment and its events, as `kind: text`."""

    rows: dict[str, Experiment]
    events: dict[str, str]
    last: Experiment
    requests: list[Request]
    seconds: float

    def calls(self, fault: str) -> int:
        return sum(number_of(each) == self.rows[fault].number for each in self.requests)


def bad_night(names: list[str]) -> Script:
    def script(request: Request) -> Reply:
        number = number_of(request)
        if number is None:
            return Say("A title")
        if number > len(names):
            return good_edit(request)
        reply = FAULTS[names[number - 1]]
        return reply or Read(f"history/{request.step}.md")

    return script


def good_edit(request: Request) -> Reply:
    """Whatever X is by now: 3."""
    if request.step == 0:
        return Read("train.py")
    found = re.search(r"X = [\d.]+", request.results[0])
    line = "  # range: 0.0 to 6.0"
    if request.step == 1 and found:
        return Edit("train.py", found[0] + line, "X = 3.0" + line)
    return done("X = 3.0")


def spend_a_bad_night(agent: str, folder: Path, names: list[str], idle_seconds: float) -> Aftermath:
    """A study of one experiment per fault and one more, with an impatient engine."""
    lab, home = make_tiny_lab(folder / "lab"), folder / "home"
    with ModelServer(bad_night(names)) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in move_in(agent, home, server.url).items():
            patch.setenv(name, value)
        patch.setattr(fallback, "FIRST_PAUSE_SECONDS", 0.0)
        settings = Settings(idle_seconds=idle_seconds, tool_calls=TOOL_CALLS)
        opened, began = Lab.open(lab), time.monotonic()
        with opened.lock(), Store(opening.store_path(opened)) as store:
            wishes = opening.Wishes("t", agent, {"experiments": len(names) + 1})
            launch.run_study(opened, store, wishes, settings)
            rows, events = store.experiments("t"), store.events("t")
    numbers = {name: number for number, name in enumerate(names, 1)}
    said = {
        name: "\n".join(
            f"{each.kind}: {each.data.get('text', '')}"
            for each in events
            if each.data.get("experiment") == number
        )
        for name, number in numbers.items()
    }
    by_name = {name: rows[number] for name, number in numbers.items()}
    return Aftermath(by_name, said, rows[-1], server.requests, time.monotonic() - began)


class FaultTests:
    """To be inherited, with the name of an agent."""

    agent = ""
    faults = tuple(FAULTS)
    idle_seconds = 6.0  # in a turn; a start takes as long as it takes

    @pytest.fixture(scope="class")
    @classmethod
    def aftermath(cls, tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
        folder = tmp_path_factory.mktemp(f"{cls.agent}-faults")
        return spend_a_bad_night(cls.agent, folder, list(cls.faults), cls.idle_seconds)

    def test_each_fault_is_one_experiment_with_a_verdict(self, aftermath: Aftermath) -> None:
        for name, row in aftermath.rows.items():
            assert row.verdict is not None, name
            assert row.verdict == "failed" or row.researcher == "knobs", (name, row)

    def test_an_outage_is_named_and_a_stand_in_proposes(self, aftermath: Aftermath) -> None:
        for name in ("429", "500", "stall", "cut", "nonsense"):
            if name in aftermath.rows:
                assert "unavailable: " in aftermath.events[name], (name, aftermath.events)
                assert "stand-in: " in aftermath.events[name], name
                assert aftermath.rows[name].score is not None, name

    def test_a_loop_is_cut_short(self, aftermath: Aftermath) -> None:
        assert aftermath.calls("loop") <= TOOL_CALLS + 6  # it goes on until it hears of it
        assert (
            "used tools more than 6 times"
            in aftermath.rows["loop"].reason + aftermath.events["loop"]
        )

    def test_a_flood_is_cut_short(self, aftermath: Aftermath) -> None:
        assert aftermath.calls("flood") <= 4
        assert "said more than anyone could read" in aftermath.events["flood"]

    def test_the_night_goes_on_with_the_agent(self, aftermath: Aftermath) -> None:
        assert (aftermath.last.researcher, aftermath.last.verdict) == (self.agent, "keep")
        assert aftermath.last.score == pytest.approx(1.0)
