"""Protects steering a study that runs: each order, given from another process, does what it says
and when it says so, once, also when the engine is killed with orders pending."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autoresearch import git, opening
from autoresearch.activity import HELD, PROPOSING, TRAINING, seen
from autoresearch.cli.status import Status, status_of
from autoresearch.cli.steer import idea
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.steering.orders import give
from autoresearch.store import Event, Store
from autoresearch.testing.tiny import PROGRAM, make_tiny_lab
from tests import engine
from tests.conftest import Call

PATIENT = PROGRAM.replace("budget: 2s", "budget: 90s")  # a run takes as long as its SLEEP says
LONG = "SLEEP = 80"  # until somebody ends it
PATIENCE_SECONDS = 60.0


def eventually(check: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


class Night:
    """A study, its engine in another process, and whoever looks on."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_tiny_lab(folder, program=PATIENT)
        self.lab = Lab.open(self.folder)
        self.store = Store(opening.store_path(self.lab))
        self.output = folder.parent / "output.txt"

    @contextmanager
    def command(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """`autoresearch ...`; killed at the end of the block if it still runs."""
        with self.process("autoresearch", *words, where=self.folder) as process:
            yield process

    @contextmanager
    def engine(
        self, experiments: int, researcher: str = "knobs"
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """The same of the loop alone, which begins and ends sooner."""
        words = (str(self.folder), str(experiments), researcher)
        with self.process("tests.engine", *words, where=Path(__file__).parents[2]) as process:
            yield process

    @contextmanager
    def process(self, module: str, *words: str, where: Path) -> Iterator["subprocess.Popen[bytes]"]:
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words], cwd=where, stdout=output, stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            try:
                yield process
            finally:
                kill(process)

    def give(self, kind: str, **data: Any) -> str:
        return give(self.lab, self.store, "t", kind, data)

    def begin(self) -> None:
        """The study's rows, so that orders may come before its first engine."""
        opening.open_study(self.lab, self.store, opening.Wishes("t", "knobs"))

    @property
    def rows(self) -> tuple[Experiment, ...]:
        return self.store.experiments("t")

    def row(self, number: int) -> Experiment:
        return self.store.experiment("t", number)

    def is_over(self, number: int) -> bool:
        rows = self.rows
        return len(rows) > number and not rows[number].is_open

    def is_at(self, phase: str, number: int | None = None) -> bool:
        now = seen(self.lab.study_folder("t"))
        return now.get("phase") == phase and number in (None, now.get("experiment"))

    def events(self, *kinds: str) -> list[Event]:
        return self.store.events("t", kinds=kinds)

    def status(self) -> Status:
        program = Program.from_contract(self.store.study("t").contract)
        return status_of(self.lab, self.store, "t", program, self.store.experiments("t"))

    def said(self) -> str:
        text = self.output.read_text()
        assert "Traceback" not in text
        return text


def kill(running: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        running.kill()
    running.wait()


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    found = Night(tmp_path / "lab")
    with found.store:
        yield found


def test_a_night_is_steered_from_another_terminal(night: Night, autoresearch: Call) -> None:
    """One engine, and each order once from the command line."""

    def order(*words: str) -> str:
        return autoresearch(night.folder, *words).stdout

    night.begin()
    night.give("idea", text="X = 2.0")
    night.give("idea", text=f"X = 2.5, {LONG}")
    order("pause")
    with night.command("run", "--tag", "t", "--experiments", "5") as running:
        check_pause_before_the_baseline(night, order)
        check_skip(night, order)
        check_veto(night, order)
        check_extend_and_restore(night, order)
        eventually(lambda: night.is_at(HELD), "paused")
        assert "stopping now" in order("stop")
        assert running.wait(PATIENCE_SECONDS) == 0
    check_what_is_left(night, order)


Order = Callable[..., str]


def check_pause_before_the_baseline(night: Night, order: Order) -> None:
    eventually(lambda: night.is_at(HELD), "paused before the baseline")
    assert [(each.is_open, each.runs) for each in night.rows] == [(True, ())]
    assert night.status().words == "paused; go on with `autoresearch resume`"
    assert "going on" in order("resume")


def check_skip(night: Night, order: Order) -> None:
    eventually(lambda: night.is_at(TRAINING, 2), "the second idea runs")
    first = night.row(1)
    assert (first.description, first.researcher, first.verdict) == ("X = 2.0", "person", "keep")
    status = json.loads(order("status", "--json"))
    assert (status["running"], status["state"]) == (True, "training #2")
    assert status["now"]["experiment"] == 2
    limit = {"name": "experiments", "limit": 5, "added": 0, "used": 1.0, "left": 4.0}
    assert status["limits"]["experiments"] == limit
    order("note", "nobody reads this")
    order("idea", "X = 2.9")
    night.give("idea", text=f"Y = 0.9, {LONG}")
    assert "skipping #2" in order("skip")
    eventually(lambda: night.is_at(TRAINING, 4), "an idea on top of the third runs")
    second = night.row(2)
    assert (second.verdict, second.score) == ("discard", None)
    assert second.reason == "skipped by the person"
    assert [run.outcome for run in second.runs] == ["interrupted"]


def check_veto(night: Night, order: Order) -> None:
    assert (night.row(3).verdict, night.row(4).parent) == ("keep", 3)
    night.give("idea", text=f"Y = 0.7, {LONG}")
    said = order("veto", "3")
    assert "#3 is vetoed; the best is now #1" in said
    assert "#4 was built on it and ends" in said
    eventually(lambda: night.is_at(TRAINING, 5), "the next one runs")
    assert night.row(4).reason == "built on a change that the person has vetoed"
    assert night.row(5).parent == 1, "the best that stands"


def check_extend_and_restore(night: Night, order: Order) -> None:
    assert "2 experiments more" in order("extend", "--experiments", "2")
    assert "the best is now #3" in order("restore", "3")
    assert "pausing after experiment #5" in night.give("pause")
    assert night.status().words == "training #5; pausing after that"
    night.give("skip", experiment=5)


def check_what_is_left(night: Night, order: Order) -> None:
    assert "Study t: you stopped it." in night.said()
    assert [each.number for each in night.rows] == [0, 1, 2, 3, 4, 5]
    taken = [(each.data["idea"], each.data["experiment"]) for each in night.events("taken")]
    assert sorted(number for _, number in taken) == [1, 2, 3, 4, 5]
    assert len({idea for idea, _ in taken}) == 5
    assert git.resolve(night.lab.repository, night.lab.branch("t")) == night.row(3).commit
    it = night.status()
    assert (it.is_busy, it.now, it.limits[0].limit, it.limits[0].left) == (False, {}, 7, 2)
    (note,) = it.notes
    assert f"{note.id} is withdrawn" in order("withdraw", str(note.id))
    assert night.events("paused")[-1].data["seconds"] > 0
    assert not seen(night.lab.study_folder("t"))
    assert "1.01" in (night.lab.study_folder("t") / "report.md").read_text()


def prompt_printer(folder: Path) -> str:
    """A researcher that prints what it is told, and is slow when that says so."""
    script = folder / "agent.sh"
    script.write_text(
        'cat "$1"\n'
        'grep -q SLOWLY "$1" && sleep 300\n'
        "n=$(wc -l < history/README.md)\n"
        "echo \"EXTRA = '$n $(date +%N)'\" >> train.py\n"
        "echo; echo 'Description: an extra line'\n"
    )
    return f"cmd: sh {script} {{prompt}}"


def test_a_killed_engine_loses_no_word_and_says_none_twice(night: Night) -> None:
    who = prompt_printer(night.folder.parent)
    night.begin()
    night.give("note", text="stay away from Y")
    night.give("note", text="think SLOWLY")
    night.give("idea", text="make it wider")
    with night.engine(2, who) as running:
        eventually(lambda: night.is_at(PROPOSING, 1), "proposing")
        talk = night.lab.study_folder("t") / "talks" / "0001.md"
        eventually(lambda: talk.exists() and "SLOWLY" in talk.read_text(), "the words are said")
        assert "stay away from Y" in talk.read_text()
        assert "The person wants this experiment to be" in talk.read_text()
        kill(running)
    assert night.events("carried", "taken") == []
    assert "killed" in night.status().words
    slow = night.status().notes[1].id
    night.give("withdraw", id=slow)
    night.give("extend", experiments=1)
    with night.engine(2, who) as running:
        assert running.wait(PATIENCE_SECONDS) == 0
    assert [each.number for each in night.rows] == [0, 1, 2, 3], "what was added is still there"
    told = talk.read_text()
    assert "stay away from Y" in told
    assert "make it wider" in told
    assert "SLOWLY" not in told
    for number in (2, 3):
        talk = night.lab.study_folder("t") / "talks" / f"{number:04d}.md"
        assert "stay away from Y" not in talk.read_text()
        assert "make it wider" not in talk.read_text()
    assert [each.data["experiment"] for each in night.events("carried", "taken")] == [1, 1]
    assert (night.status().notes, night.status().ideas) == ((), ())


def test_a_skip_that_a_kill_overtakes_is_done_by_the_next_engine(night: Night) -> None:
    night.begin()
    night.give("idea", text=f"X = 2.0, {LONG}")
    with night.engine(2) as running:
        eventually(lambda: night.is_at(TRAINING, 1), "training")
        night.give("skip")
        kill(running)
    night.give("pause")
    with night.engine(2) as running:
        eventually(lambda: night.is_at(HELD), "an order that came between two engines")
        night.give("resume")
        assert running.wait(PATIENCE_SECONDS) == 0
    assert [each.number for each in night.rows] == [0, 1, 2]
    assert night.row(1).reason == "skipped by the person"
    assert len(night.row(1).runs) == 1, "not run again"
    night.said()


def test_ideas_are_tried_once_each_whenever_the_engine_is_killed(night: Night) -> None:
    night.begin()
    ideas = [f"X = {1.5 + number / 10:.1f}" for number in range(4)]
    ideas.insert(2, "NO_SUCH_NAME = 5")
    for each in ideas:
        night.give("idea", text=each)
    moments = random.Random(5)
    for _ in range(4):
        with night.engine(5) as running, suppress(subprocess.TimeoutExpired):
            running.wait(moments.uniform(0.6, 2.5))
    for _ in range(3):  # a baseline that was killed three times counts as broken, once
        with night.engine(5) as running:
            if running.wait(PATIENCE_SECONDS) == 0:
                break
    rows = night.rows[1:]
    assert [each.description for each in rows] == ideas
    assert {each.researcher for each in rows} == {"person"}
    assert "no script has a constant NO_SUCH_NAME" in rows[2].reason
    assert rows[2].verdict == "failed"
    taken = Counter(each.data["idea"] for each in night.events("taken"))
    assert set(taken.values()) == {1}
    assert len(taken) == 5
    assert night.status().ideas == ()


def test_try_leaves_ideas_waiting_and_can_be_skipped(night: Night) -> None:
    night.begin()
    night.give("idea", text="X = 2.0")
    script = night.folder / "train.py"
    script.write_text(script.read_text().replace("SLEEP = 0.02", LONG))
    with night.command("try", "--tag", "t", "-m", "slower") as trying:
        eventually(lambda: night.is_at(TRAINING, 1), "the edit runs")
        assert "skipping #1" in night.give("skip")
        assert trying.wait(PATIENCE_SECONDS) == 0
    assert "discard: skipped by the person" in night.said()
    assert night.row(1).researcher == "hand"
    assert [each.text for each in night.status().ideas] == ["X = 2.0"]
    assert night.status().limits == (), "a try has no limits"


def test_an_edit_waits_for_its_turn(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.begin()
    engine.main(night.folder, 0)
    script = night.folder / "train.py"
    script.write_text(script.read_text().replace("Y = 0.5", "Y = 0.25"))
    monkeypatch.chdir(night.folder)
    done = CliRunner().invoke(idea, ["--edit", "a smaller Y"], catch_exceptions=False)
    assert "waits: it comes next" in done.output
    night.give("idea", text="X = 2.0")
    git.run(night.folder, "checkout", "--quiet", "--", "train.py")
    engine.main(night.folder, 2)
    one, two = night.rows[1:]
    assert (one.description, one.resolved["Y"]) == ("a smaller Y", 0.25)
    assert (two.description, two.resolved["X"]) == ("X = 2.0", 2.0)
    assert [each.data["why"] for each in night.events("over")][1:] == ["its 2 experiments are done"]
