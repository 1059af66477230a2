"""A study goes on, and is never a tight loop of failing calls, while its researcher is away."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from autoresearch.errors import Failed, Spent, Stopped, Unavailable
from autoresearch.experiment import Experiment, Proposal, Usage
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.researchers.fallback import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    WithFallback,
)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Answers:
    """A researcher that does what it is told to, call by call; the last one again and again."""

    script: list[Exception | Callable[[Desk], Proposal]]
    calls: int = 0

    def propose(self, desk: Desk) -> Proposal:
        answer = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        if isinstance(answer, Exception):
            raise answer
        return answer(desk)


@dataclass
class Notes:
    kinds: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def note(self, kind: str, text: str = "") -> None:
        self.kinds.append(kind)
        self.texts.append(text)

    def talk(self, text: str) -> None: ...

    def spend(self, usage: Usage, model: str = "") -> None: ...


def edit(desk: Desk) -> Proposal:
    (desk.tree / "train.py").write_text("X = 2\n")
    return Proposal("X 1 -> 2", "more")


def spoil_and_die(desk: Desk) -> Proposal:
    (desk.tree / "train.py").write_text("half an ed")
    (desk.tree / "prepare.py").unlink()
    (desk.tree / "prepare.py").symlink_to("/etc/passwd")
    raise Unavailable("it died")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "train.py").write_text("X = 1\n")
    (tmp_path / "prepare.py").write_text("locked\n")
    base = Experiment(0, None, "2026-01-01T00:00:00+00:00")
    return Desk(tmp_path, Program(), (base,), base, 1, 1, ledger=Notes())


def test_an_outage_costs_no_experiment_and_the_pauses_grow(desk: Desk) -> None:
    clock, away, knobs = Clock(), Answers([Unavailable("429")]), Answers([edit])
    watch = WithFallback("agent", away, knobs, clock=clock)
    asked = []
    for _ in range(4000):
        calls = away.calls
        assert watch.propose(desk).by == "knobs"
        if away.calls > calls:
            asked.append(clock.now)
        clock.now += 10
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * 2**n for n in range(4)]
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert pauses == sorted(pauses)


def test_it_is_asked_again_when_it_said_so_and_its_return_is_noted(desk: Desk) -> None:
    clock = Clock()
    researcher = Answers([Unavailable("rate limit", 7.0), edit])
    watch = WithFallback("agent", researcher, Answers([edit]), clock=clock)
    assert watch.propose(desk).by == "knobs"
    clock.now += 6.9
    assert watch.propose(desk).by == "knobs"
    clock.now += 0.2
    assert watch.propose(desk).by == ""
    assert researcher.calls == 2
    assert desk.ledger.kinds == ["unavailable", "stand-in", "stand-in", "back"]


def test_the_stand_in_starts_from_clean_files(desk: Desk) -> None:
    def look(there: Desk) -> Proposal:
        assert (there.tree / "train.py").read_text() == "X = 1\n"
        assert not (there.tree / "prepare.py").is_symlink()
        assert (there.tree / "prepare.py").read_text() == "locked\n"
        return edit(there)

    WithFallback("agent", Answers([spoil_and_die]), Answers([look])).propose(desk)
    assert Path("/etc/passwd").read_text() != "locked\n"


def test_one_bad_idea_is_the_researchers_own_affair_three_are_an_outage(desk: Desk) -> None:
    researcher, knobs = Answers([Failed("no idea")]), Answers([edit])
    watch = WithFallback("agent", researcher, knobs)
    for _ in range(2):
        with pytest.raises(Failed, match="no idea"):
            watch.propose(desk)
    assert watch.propose(desk).by == "knobs"
    assert "no idea" in desk.ledger.texts[0]
    assert watch.propose(desk).by == "knobs"
    assert researcher.calls == 3


def test_without_a_stand_in_it_waits_and_does_not_spin(desk: Desk) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    researcher = Answers([Unavailable("429", 1.2)])
    watch = WithFallback("agent", researcher, Answers([Failed("no knobs in train.py")]))
    with pytest.raises(Failed, match="nobody had a proposal"):
        watch.propose(replace(desk, tick=tick))
    assert researcher.calls == 1
    assert 4 <= ticks <= 12


def test_ctrl_c_ends_the_waiting(desk: Desk) -> None:
    def tick() -> None:
        raise Stopped

    watch = WithFallback("agent", Answers([Unavailable("429")]), Answers([Failed("no knobs")]))
    with pytest.raises(Stopped):
        watch.propose(replace(desk, tick=tick))


def test_a_spent_study_gets_no_stand_in(desk: Desk) -> None:
    knobs = Answers([edit])
    with pytest.raises(Spent):
        WithFallback("agent", Answers([Spent("no more tokens")]), knobs).propose(desk)
    assert knobs.calls == 0


def test_words_count_as_heard_by_the_researcher_and_never_by_its_stand_in(desk: Desk) -> None:
    own = WithFallback("agent", Answers([Failed("no idea")]), Answers([edit]))
    with pytest.raises(Failed) as failed:
        own.propose(desk)
    assert failed.value.heard
    away = WithFallback("agent", Answers([Unavailable("429", 0.1)]), Answers([Failed("no knobs")]))
    with pytest.raises(Failed) as failed:
        away.propose(desk)
    assert not failed.value.heard
    stand_in = WithFallback("agent", Answers([Unavailable("429")]), Answers([edit]))
    assert not stand_in.propose(desk).heard
    assert not Spent("no more tokens").heard
