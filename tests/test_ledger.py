"""What a proposal took and what happened in it is known at once, bounded and harmless."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.budget import StudyLimits
from autoresearch.errors import Spent
from autoresearch.experiment import Experiment, Run, Usage, Verdict
from autoresearch.lab import talk_path
from autoresearch.ledger import (
    MOST_NOTES,
    MOST_TALK_BYTES,
    StudyLedger,
    untold,
    used_by,
)
from autoresearch.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "s.db")
    store.create_study("t", {}, seed=0, researcher="x", machine={})
    return store


def ledger(store: Store, tmp_path: Path, budget: StudyLimits, told: list[str] | None = None):
    tell = (told if told is not None else []).append
    return StudyLedger(store, "t", 3, "agent", tmp_path, lambda: budget, tell, lambda used: None)


def test_tokens_and_money_add_up_over_experiments(store: Store, tmp_path: Path) -> None:
    ours = ledger(store, tmp_path, StudyLimits())
    ours.spend(Usage(100, 10, 40, 0.5), "m")
    ours.spend(Usage(50, 5), "m")
    store.spend("t", 4, "other", Usage(1, 1))
    assert store.usage("t") == {3: Usage(150, 15, 40, 0.5), 4: Usage(1, 1, 0, None)}
    assert used_by(store, "t") == Usage(151, 16, 40, 0.5)


def test_the_call_that_passes_a_limit_is_counted_and_is_the_last(
    store: Store, tmp_path: Path
) -> None:
    ours = ledger(store, tmp_path, StudyLimits(tokens=150))
    ours.spend(Usage(100, 10))
    with pytest.raises(Spent, match="150 tokens are used up"):
        ours.spend(Usage(50, 5))
    assert used_by(store, "t").tokens == 165
    with pytest.raises(Spent, match=r"\$0.50 are used up"):
        ledger(store, tmp_path, StudyLimits(cost_usd=0.5)).spend(Usage(1, 1, 0, 0.6))


def test_what_a_turn_has_taken_so_far_counts_against_the_limit(
    store: Store, tmp_path: Path
) -> None:
    ours = ledger(store, tmp_path, StudyLimits(tokens=150))
    ours.spend(Usage(100))
    ours.pending(49)
    with pytest.raises(Spent, match="150 tokens are used up"):
        ours.pending(50)
    assert used_by(store, "t") == Usage(100)
    ledger(store, tmp_path, StudyLimits(cost_usd=1.0)).pending(2**70)


def test_counts_that_cannot_be_do_no_harm(store: Store, tmp_path: Path) -> None:
    ours = ledger(store, tmp_path, StudyLimits(tokens=2**50))
    ours.spend(Usage(5, 1, 2, 0.5))
    ours.spend(Usage(-(2**80), -1, -1, -0.5))
    for cost in (math.nan, math.inf, -math.inf):
        ours.spend(Usage(cost_usd=cost))
    assert used_by(store, "t") == Usage(5, 1, 2, 0.5)
    ours.pending(2**80)
    for _ in range(3):  # each would fit the store, and not their sum
        ours.spend(Usage(2**62, 2**80, 2**62, 1e308))
    used = used_by(store, "t")
    assert used.tokens < 2**44
    assert math.isfinite(used.cost_usd or math.nan)


def test_a_limit_of_money_that_cannot_hold_is_said_to_be_none(store: Store, tmp_path: Path) -> None:
    told: list[str] = []
    budget = StudyLimits(cost_usd=5.0)
    ledger(store, tmp_path, StudyLimits(), told).spend(Usage(10))
    priced = ledger(store, tmp_path, budget, told)
    priced.spend(Usage(cost_usd=0.1))
    priced.spend(Usage(10))
    assert not told
    for _ in range(2):
        silent = ledger(store, tmp_path, budget, told)
        silent.spend(Usage(10))
        silent.spend(Usage(10))
    assert told == ["agent reports no cost: --max-cost cannot hold, use --max-tokens"]
    store.event("t", "resumed")
    ledger(store, tmp_path, budget, told).spend(Usage(10))
    assert len(told) == 2


def test_a_limit_of_what_nobody_tells_is_said_to_be_none(store: Store, tmp_path: Path) -> None:
    told: list[str] = []
    both = StudyLimits(tokens=100, cost_usd=5.0)
    ledger(store, tmp_path, StudyLimits(), told).spend(Usage())
    ledger(store, tmp_path, both, told).spend(Usage(cost_usd=0.1))
    assert not told
    assert untold(store, "t") == frozenset()
    for _ in range(2):
        for absurd in (Usage(), Usage(-5, 10), Usage(10**30, 5)):
            ledger(store, tmp_path, both, told).spend(absurd)
    assert told == [
        "agent reports no tokens: --max-tokens cannot hold, use --for",
        "agent reports no cost: --max-cost cannot hold, use --for",
    ]
    assert untold(store, "t") == {"tokens", "cost_usd"}
    ledger(store, tmp_path, both).spend(Usage(cost_usd=1e300))  # and the study goes on
    assert used_by(store, "t") == Usage(cost_usd=0.1)


def test_a_budget_says_which_limit_ends_the_study() -> None:
    done = tuple(Experiment(n, None, "", verdict=Verdict.DISCARD, seconds=100.0) for n in range(4))
    none, some = Usage(), Usage(60, 40, 0, 2.0)
    assert StudyLimits().spent(done, some) == ""
    assert "3 experiments" in StudyLimits(experiments=3).spent(done, none)
    assert StudyLimits(experiments=4, seconds=501, tokens=101, cost_usd=2.1).spent(done, some) == ""
    assert StudyLimits(seconds=499).spent(done, none) == (
        "its time of 8.32 min has no room for another experiment: 99 s left, and the last ones "
        "took up to 100 s"
    )
    assert "10 min has no room" in StudyLimits(seconds=600).spent(done, none, waited_seconds=101)
    assert "10 min is used up" in StudyLimits(seconds=600).spent(done, none, waited_seconds=200)
    assert "100 tokens" in StudyLimits(tokens=100).spent(done, some)
    assert "$2.00" in StudyLimits(cost_usd=2.0).spent(done, some)


def test_what_is_left_of_a_budget() -> None:
    done = tuple(Experiment(n, None, "", verdict=Verdict.DISCARD, seconds=100.0) for n in range(4))
    some = Usage(60, 40, 0, 2.0)
    assert StudyLimits().left(done, some) == ""
    whole = StudyLimits(experiments=4, seconds=3600, tokens=2000, cost_usd=2.5)
    assert whole.left(done, some, 200.0) == "1 experiment, 50 min, 1,900 tokens, $0.50"


def test_the_baselines_repeats_are_no_measure_of_an_experiment() -> None:
    """Three runs of 100 s each: all of its time counts, and the next one takes 100 s."""
    runs = tuple(Run(index, index, "scored", "", 1.5) for index in range(3))
    base = Experiment(0, None, "", verdict=Verdict.KEEP, seconds=300.0, runs=runs)
    assert StudyLimits(seconds=401).spent((base,), Usage()) == ""
    assert "no room" in StudyLimits(seconds=399).spent((base,), Usage())
    pair = replace(base, number=1, seconds=200.0, runs=runs[:2])
    assert "no room" in StudyLimits(seconds=650).spent((base, pair), Usage())


def test_an_agent_that_floods_fills_neither_store_nor_disk(store: Store, tmp_path: Path) -> None:
    ours = ledger(store, tmp_path, StudyLimits())
    for _ in range(MOST_NOTES + 50):
        ours.note("refused", "x" * 10_000)
    for _ in range(30):
        ours.talk("y" * 100_000)
    assert len(store.events("t")) == MOST_NOTES
    assert max(len(each.data["text"]) for each in store.events("t")) <= 400
    said = talk_path(tmp_path, 3).read_text()
    assert MOST_TALK_BYTES <= len(said) < MOST_TALK_BYTES + 100
    assert said.endswith("[more was said, and not kept]\n")


def test_what_an_agent_says_is_made_harmless(store: Store, tmp_path: Path) -> None:
    told: list[str] = []
    ours = ledger(store, tmp_path, StudyLimits(), told)
    ours.note("unavailable", "it\x1b[31m died\u202e\nnow")
    ours.note("refused", "quietly")
    ours.talk("\x1b]0;title\x07hello\n")
    assert told == ["it died now"]
    assert store.events("t")[0].data == {"experiment": 3, "text": "it died now"}
    assert talk_path(tmp_path, 3).read_text() == "hello\n"


def test_a_proposal_that_a_kill_cut_short_starts_its_talk_anew(
    store: Store, tmp_path: Path
) -> None:
    ledger(store, tmp_path, StudyLimits()).talk("half")
    ledger(store, tmp_path, StudyLimits()).talk("whole")
    assert talk_path(tmp_path, 3).read_text() == "whole"
