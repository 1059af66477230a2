"""Several researchers share a study as the person said, or by what each has gained."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from autoresearch.errors import Failed, UserError
from autoresearch.experiment import Experiment, Proposal, Run, Verdict
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.researchers.mix import LEAST_SHARE, Mix, Part, read_parts, shares


@dataclass
class Named:
    name: str
    by: str = ""

    def propose(self, desk: Desk) -> Proposal:
        return Proposal(self.name, by=self.by)


def done(number: int, researcher: str, gain: float = 0.0, seconds: float = 60.0) -> Experiment:
    verdict = Verdict.KEEP if gain else Verdict.DISCARD
    run = Run(0, 0, "scored", "", 1.0, figures={"seconds": seconds})
    delta = -gain or 0.01
    return Experiment(
        number, 0, "", researcher=researcher, verdict=verdict, delta=delta, runs=(run,)
    )


def desk_of(history: tuple[Experiment, ...], seed: int) -> Desk:
    base = Experiment(0, None, "")
    return Desk(Path(), Program(), (base, *history), base, len(history) + 1, seed)


def drawn(mix: Mix, history: tuple[Experiment, ...], times: int = 2000) -> Counter[str]:
    return Counter(mix.propose(desk_of(history, seed)).by for seed in range(times))


def mix_of(text: str) -> Mix:
    return Mix(tuple((part, Named(part.name)) for part in read_parts(text)))


def test_fixed_shares_are_kept_to() -> None:
    counts = drawn(mix_of("opencode 30% + knobs 70%"), ())
    assert counts["opencode"] / 2000 == pytest.approx(0.3, abs=0.04)


def test_the_same_experiment_has_the_same_researcher_after_a_restart() -> None:
    first, again = (mix_of("a + b").propose(desk_of((), 5)).by for _ in range(2))
    assert first == again


def test_nothing_known_is_equal_shares() -> None:
    assert shares(["a", "b", "c"], ()) == pytest.approx([1 / 3] * 3)
    losers = tuple(done(n, "ab"[n % 2]) for n in range(1, 9))
    assert shares(["a", "b"], losers) == pytest.approx([0.5, 0.5])


def test_who_gains_more_per_hour_gets_more_and_nobody_gets_nothing() -> None:
    history = tuple(done(n, "ab"[n % 2], 0.01 if n % 2 else 0.0) for n in range(1, 41))
    a, b = shares(["a", "b"], history)
    assert LEAST_SHARE <= a < 0.25
    assert b > 0.75
    slow = tuple(done(n, "ab"[n % 2], 0.01, seconds=600 if n % 2 else 60) for n in range(1, 41))
    a, b = shares(["a", "b"], slow)
    assert a > 0.7


def test_one_lucky_keep_does_not_decide() -> None:
    a, _ = shares(["a", "b"], (done(1, "a", 0.05), done(2, "b")))
    assert 0.5 < a < 0.65


def test_a_crash_costs_its_maker() -> None:
    crash = Experiment(
        9, 0, "", researcher="b", verdict=Verdict.CRASH,
        runs=(Run(0, 0, "crash", "", figures={"seconds": 600.0}),),
    )  # fmt: skip
    kept = (done(1, "a", 0.01), done(2, "b", 0.01))
    assert shares(["a", "b"], (*kept, crash))[1] < shares(["a", "b"], kept)[1]


def test_a_stand_in_is_named_rather_than_the_one_it_stands_in_for() -> None:
    mix = Mix(((Part("agent", None), Named("agent", by="knobs")), (Part("b", None), Named("b"))))
    assert {mix.propose(desk_of((), seed)).by for seed in range(50)} == {"knobs", "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("knobs", "two parts"),
        ("a + ", "two parts"),
        ("a + a", "twice"),
        ("a 30% + b", "to all, or to none"),
        ("a 0% + b 0%", "add up"),
    ],
)
def test_what_makes_no_mix_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_parts(text)


@dataclass
class Fails:
    listens: bool

    def propose(self, desk: Desk) -> Proposal:
        raise Failed("no idea")


@pytest.mark.parametrize("listens", [True, False])
def test_a_failure_counts_as_heard_only_of_one_that_listens(listens: bool) -> None:
    mix = Mix(((Part("a", 100), Fails(listens)), (Part("b", 0), Fails(True))))
    with pytest.raises(Failed) as failed:
        mix.propose(desk_of((), 1))
    assert failed.value.heard is listens


def test_an_idea_goes_to_one_that_can_read_it() -> None:
    reader = Named("reader")
    reader.listens = True  # type: ignore[attr-defined]
    mix = Mix(((Part("knobs", 90), Named("knobs")), (Part("reader", 10), reader)))
    desks = [replace(desk_of((), seed), idea="wider") for seed in range(50)]
    assert {mix.propose(desk).by for desk in desks} == {"reader"}
    assert len(drawn(mix, (), 50)) == 2, "without an idea both have their share"
