"""Protects the verdict: noise is not sold as progress, and every decision says why in numbers."""

import importlib.util
import math
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from autoresearch.errors import UserError
from autoresearch.keep import (
    BOTH,
    DEV,
    RULES,
    Confirm,
    Decision,
    Evidence,
    Greedy,
    Incumbent,
    KeepRule,
    Noise,
    Score,
    Spread,
    mean,
    measured,
    pooled,
    rule_named,
)

BASELINE = Incumbent(0, (Score(1.52, 1.62), Score(1.50, 1.60), Score(1.48, 1.58)))
KNOWN = Noise(Spread(0.02, math.inf), Spread(0.02, math.inf))
SILENT = Noise(Spread(0.0, 2), Spread(0.0, 2))
ERROR = 0.02 * math.sqrt(1 + 1 / 3)  # of one run against the baseline's three


def evidence(*runs: Score, noise: Noise = KNOWN, incumbent: Incumbent = BASELINE) -> Evidence:
    return Evidence(runs, incumbent, noise)


def judged(rule: KeepRule, one: Evidence) -> tuple[Decision, int]:
    """The verdict as the engine finds it, and how many of the runs at hand were needed."""
    used = 0
    while rule.next_run(replace(one, runs=one.runs[:used])):
        used += 1
    return rule.weigh(replace(one, runs=one.runs[:used])), used


def some_evidence(dice: random.Random) -> Evidence:
    """Any small case: near and far candidates, all sorts of noise, with and without splits."""
    splits = dice.random() < 0.7

    def score(centre: float) -> Score:
        dev, confirm = (dice.gauss(centre, 1.0) for _ in range(2))
        return Score(dev, confirm + 3.0 if splits else None)

    spread = Spread(dice.choice([0.0, 0.3, 1.0, 3.0]), dice.choice([0, 2, math.inf]))
    number = dice.choice([0, 7])
    runs = tuple(score(0.0) for _ in range(3 if number == 0 else dice.choice([1, 2])))
    worth = dice.gauss(0.0, 2.0)
    candidate = (score(worth), score(worth))
    return Evidence(candidate, Incumbent(number, runs), Noise(spread, spread), dice.random() < 0.5)


def changed(one: Evidence, scale: float, shift: float, lower: bool) -> Evidence:
    def move(runs: Sequence[Score]) -> tuple[Score, ...]:
        return tuple(
            Score(
                each.dev * scale + shift,
                None if each.confirm is None else each.confirm * scale + shift,
            )
            for each in runs
        )

    spread = Spread(one.noise.dev.sd * abs(scale), one.noise.dev.degrees)
    incumbent = Incumbent(one.rival.number, move(one.rival.runs))
    return Evidence(move(one.runs), incumbent, Noise(spread, spread), lower)


CASES = [some_evidence(random.Random(number)) for number in range(2000)]


# ---------------------------------------------------------------------------------------------
# Noise


def test_the_spread_of_one_group_is_its_standard_deviation() -> None:
    values = [1.52, 1.50, 1.49]
    assert pooled([values]).sd == pytest.approx(statistics.stdev(values))
    assert pooled([values]).degrees == 2


def test_groups_are_pooled_around_their_own_means() -> None:
    spread = pooled([[1.0, 3.0], [101.0, 103.0, 105.0], [7.0]])
    assert spread.degrees == 3
    assert spread.sd == pytest.approx(math.sqrt((2.0 + 8.0) / 3))


def test_many_small_groups_find_the_truth() -> None:
    dice = random.Random(1)
    centres = [dice.gauss(0.0, 50.0) for _ in range(3000)]
    spread = pooled([[dice.gauss(centre, 0.3) for _ in range(3)] for centre in centres])
    assert spread.sd == pytest.approx(0.3, rel=0.02)


def test_each_split_has_its_own_noise() -> None:
    noise = measured([[Score(1.0), Score(2.0, 5.0), Score(3.0, 9.0)], [Score(4.0, 4.0)]])
    assert noise.dev == Spread(1.0, 2)
    assert noise.confirm == Spread(pytest.approx(math.sqrt(8.0)), 1)


def test_what_was_never_repeated_is_not_known_rather_than_silent() -> None:
    for groups in ([], [[Score(1.0)]], [[Score(1.0)], [Score(2.0)]]):
        assert measured(groups) == Noise()
        assert not measured(groups).dev.is_none


@pytest.mark.parametrize("value", [0.1, 1e-17, 1 / 3, 1e300])
def test_equal_scores_have_no_spread_at_all(value: float) -> None:
    assert mean([value] * 7) == value
    assert pooled([[value] * 7]).is_none


# ---------------------------------------------------------------------------------------------
# How many runs, and on which text


@pytest.mark.parametrize(
    ("experiments", "scores", "count"),
    [
        (None, [1.5, 1.52, 1.51, 1.49], 3),
        (100, [1.5, 1.52, 1.51, 1.49], 3),
        (0, [1.5, 1.52, 1.51, 1.49], 3),
        (20, [1.5, 1.52, 1.51, 1.49], 2),
        (1, [1.5, 1.5, 1.51, 1.49], 3),  # two that are alike are no proof of a lab without noise
    ],
)
def test_how_often_the_baseline_is_run(
    experiments: int | None, scores: list[float], count: int
) -> None:
    rule, runs = rule_named("confirm", experiments), [Score(each, each + 0.1) for each in scores]
    for given in range(count):
        assert rule.next_run(Evidence(tuple(runs[:given]), None, Noise())) == BOTH
    assert not rule.next_run(Evidence(tuple(runs[:count]), None, Noise()))


def test_a_clear_loser_costs_one_run_on_dev() -> None:
    assert Confirm().next_run(evidence()) == DEV
    assert Confirm().next_run(evidence(Score(1.60))) == ""


def test_a_promising_run_is_confirmed_once_on_both_texts() -> None:
    assert Confirm().next_run(evidence(Score(1.40))) == BOTH
    assert Confirm().next_run(evidence(Score(1.40), Score(1.60, 1.70))) == ""


def test_the_margin_grows_with_the_noise_and_with_the_doubt_about_the_incumbent() -> None:
    just_better = evidence(Score(1.50 - 0.51 * ERROR))
    assert Confirm().next_run(just_better)
    louder = Noise(Spread(0.03, math.inf), Spread(0.03, math.inf))
    assert not Confirm().next_run(replace(just_better, noise=louder))
    fewer = Incumbent(7, (Score(1.50, 1.60),))
    assert not Confirm().next_run(replace(just_better, incumbent=fewer))
    assert not Confirm().next_run(evidence(Score(1.50 - 0.49 * ERROR)))


def test_greedy_asks_for_one_run_of_anything() -> None:
    for one in (Evidence((), None, Noise()), evidence()):
        assert Greedy().next_run(one) == DEV
        assert not Greedy().next_run(replace(one, runs=(Score(1.0),)))


# ---------------------------------------------------------------------------------------------
# Sentences


@pytest.mark.parametrize(
    ("runs", "kept", "sentence"),
    [
        (
            [Score(1.4), Score(1.42, 1.53)],
            True,
            "0.0900 better than the incumbent's mean, 4.9 sigma; "
            "confirmed on a second seed (0.0700 better)",
        ),
        ([Score(1.5281)], False, "0.0281 worse than the baseline, 1.2 sigma"),
        ([Score(1.50)], False, "no better than the baseline"),
        (
            [Score(1.491)],
            False,
            "only 0.0090 better than the baseline, 0.4 sigma: within the noise",
        ),
        (
            [Score(1.4538), Score(1.49, 1.6008)],
            False,
            "0.0462 better at first, 2.0 sigma, but 0.0008 worse on a second seed: not kept",
        ),
        (
            [Score(1.4538), Score(1.49, 1.60)],
            False,
            "0.0462 better at first, 2.0 sigma, but no better on a second seed: not kept",
        ),
        (
            [Score(1.48), Score(1.53, 1.59)],
            False,
            "0.0200 better at first, 0.9 sigma, but no better over both seeds: not kept",
        ),
    ],
)
def test_the_sentence_of_a_verdict(runs: list[Score], kept: bool, sentence: str) -> None:
    decision, used = judged(Confirm(), evidence(*runs))
    assert (decision.kept, decision.sentence, used) == (kept, sentence, len(runs))


def test_the_baseline_says_its_noise() -> None:
    decision = Confirm().weigh(Evidence(BASELINE.runs, None, Noise()))
    words = "the baseline: everything else is measured against it"
    assert (decision.kept, decision.delta) == (True, None)
    assert decision.score == pytest.approx(1.50)
    assert decision.sentence == f"{words}; 3 runs, sigma 0.0200"
    alike = Confirm().weigh(Evidence((Score(1.5),) * 3, None, Noise()))
    assert alike.sentence == f"{words}; 3 runs, all alike"
    assert Greedy().weigh(Evidence((Score(1.5),), None, Noise())).sentence == words


def test_greedy_says_that_nothing_was_confirmed() -> None:
    seven = Incumbent(7, (Score(1.5),))
    better, _ = judged(Greedy(), evidence(Score(1.4999), incumbent=seven))
    assert better.kept
    assert better.sentence == "0.0001 better than #7, in one run each: not confirmed"
    worse, _ = judged(Greedy(), evidence(Score(1.51), incumbent=seven))
    assert (worse.kept, worse.sentence) == (False, "0.0100 worse than #7")
    same, _ = judged(Greedy(), evidence(Score(1.5), incumbent=seven))
    assert (same.kept, same.sentence) == (False, "no better than #7")


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (3e-7, "3e-07 worse"), (0.001, "0.0010 worse"), (2.5, "2.5000 worse"),
        (123456.0, "123456.0 worse"),
    ],
)  # fmt: skip
def test_any_size_of_number_can_be_read(difference: float, words: str) -> None:
    nought = Incumbent(7, (Score(0.0),))
    decision, _ = judged(Confirm(), evidence(Score(difference), noise=Noise(), incumbent=nought))
    assert decision.sentence == f"{words} than #7"


def test_score_and_delta_are_means_over_the_runs_on_dev() -> None:
    decision, _ = judged(Confirm(), evidence(Score(1.40), Score(1.44, 1.5)))
    assert decision.score == pytest.approx(1.42)
    assert decision.delta == pytest.approx(-0.08)


# ---------------------------------------------------------------------------------------------
# Odd laboratories


def test_where_the_baseline_scored_alike_any_gain_counts_that_a_second_seed_confirms() -> None:
    again = Score(1.4999, 1.5999)
    one = evidence(Score(1.4999), again, noise=SILENT)
    assert Confirm().next_run(replace(one, runs=())) == DEV
    decision, used = judged(Confirm(), one)
    assert (decision.kept, used) == (True, 2)
    assert decision.sentence == (
        "0.0001 better than the incumbent's mean; confirmed on a second seed (0.0001 better)"
    )


def test_scores_in_whole_steps_that_met_by_chance_do_not_end_all_confirmation() -> None:
    errors = Incumbent(0, (Score(10.0),) * 3)
    decision, used = judged(
        Confirm(), evidence(Score(9.0), Score(11.0), noise=SILENT, incumbent=errors)
    )
    assert (decision.kept, used) == (False, 2)
    assert (
        decision.sentence == "1.0000 better at first, but 1.0000 worse on a second seed: not kept"
    )


def test_without_noise_the_other_text_still_has_its_say() -> None:
    decision, used = judged(Confirm(), evidence(Score(1.49), Score(1.49, 1.61), noise=SILENT))
    assert (decision.kept, used) == (False, 2)
    assert decision.sentence == "0.0100 better at first, but 0.0100 worse on other text: not kept"


def test_without_splits_the_second_seed_is_compared_on_dev() -> None:
    plain = Incumbent(0, (Score(1.52), Score(1.50), Score(1.48)))
    assert judged(Confirm(), evidence(Score(1.40), Score(1.42), incumbent=plain))[0].kept
    decision, used = judged(Confirm(), evidence(Score(1.40), Score(1.51), incumbent=plain))
    assert (decision.kept, used) == (False, 2)
    assert "0.0100 worse on a second seed" in decision.sentence


def test_an_incumbent_that_was_never_scored_on_confirm_is_compared_on_dev() -> None:
    greedy_keep = Incumbent(7, (Score(1.50),))
    one = evidence(Score(1.40), Score(1.42, 9.9), noise=Noise(), incumbent=greedy_keep)
    assert judged(Confirm(), one)[0].kept


def test_while_the_noise_is_not_known_the_fresh_seed_decides() -> None:
    single = Incumbent(0, (Score(1.50, 1.60),))
    tie = evidence(Score(1.50), noise=Noise(), incumbent=single)
    assert not Confirm().next_run(tie)
    for again, kept in ((1.59, True), (1.61, False)):
        one = evidence(Score(1.4999), Score(1.49, again), noise=Noise(), incumbent=single)
        decision, used = judged(Confirm(), one)
        assert (decision.kept, used) == (kept, 2)
        assert "sigma" not in decision.sentence


def test_a_verdict_before_its_time_is_refused() -> None:
    with pytest.raises(AssertionError, match="asks for more"):
        Confirm().weigh(evidence(Score(1.40)))


# ---------------------------------------------------------------------------------------------
# Properties, over 2,000 cases


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_direction_and_scale_change_nothing(rule: KeepRule) -> None:
    for one in CASES:
        decision, used = judged(rule, one)
        mirrored, mirrored_used = judged(rule, changed(one, -1.0, 0.0, not one.lower))
        assert (mirrored.kept, mirrored.sentence, mirrored_used) == (
            decision.kept, decision.sentence, used,
        )  # fmt: skip
        scaled, scaled_used = judged(rule, changed(one, 1024.0, 0.0, one.lower))
        assert (scaled.kept, scaled_used) == (decision.kept, used)
        moved, moved_used = judged(rule, changed(one, 1.0, 4096.0, one.lower))
        assert (moved.kept, moved_used) == (decision.kept, used)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_better_candidate_is_never_treated_worse(rule: KeepRule) -> None:
    dice, kept_before = random.Random(2), 0
    for one in CASES:
        before, used = judged(rule, one)
        kept_before += before.kept
        better = -1.0 if one.lower else 1.0
        runs = tuple(
            Score(
                each.dev + better * dice.expovariate(1.0),
                None if each.confirm is None else each.confirm + better * dice.expovariate(1.0),
            )
            for each in one.runs
        )
        after, used_after = judged(rule, replace(one, runs=runs))
        assert after.kept >= before.kept
        assert used_after >= used
    assert 200 < kept_before < 1800


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_is_kept_is_better_than_what_it_replaces(rule: KeepRule) -> None:
    for one in CASES:
        decision, _ = judged(rule, one)
        assert decision.delta is not None
        if decision.kept:
            assert decision.delta < 0 if one.lower else decision.delta > 0


# ---------------------------------------------------------------------------------------------
# What it is for: whole studies, simulated


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "keep_rule.py"
    spec = importlib.util.spec_from_file_location("keep_rule", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["keep_rule"] = module
    spec.loader.exec_module(module)
    return module


def test_far_fewer_false_keeps_than_greedy_for_most_of_its_gain(simulation: ModuleType) -> None:
    greedy, ours = (
        simulation.row(simulation.Setting(rule.name, rule), 150) for rule in (Greedy(), Confirm())
    )

    def total(tallies: Sequence[object], what: str) -> float:
        return sum(getattr(each, what) for each in tallies)

    share_greedy = total(greedy, "false") / total(greedy, "keeps")
    share_ours = total(ours, "false") / total(ours, "keeps")
    assert 0.40 < share_greedy < 0.56
    assert share_ours < 0.7 * share_greedy
    assert total(ours, "false") < 0.4 * total(greedy, "false")
    assert total(ours, "gain") > 0.7 * total(greedy, "gain")


def test_a_night_without_a_real_idea_keeps_little(simulation: ModuleType) -> None:
    barren = simulation.World(harmful=0.5, real=0.0)
    greedy, ours = (
        simulation.row(simulation.Setting(rule.name, rule, barren), 60)
        for rule in (Greedy(), Confirm())
    )
    assert sum(each.keeps for each in ours) < 0.5 * sum(each.keeps for each in greedy)
    assert all(each.keeps == each.false for each in (*ours, *greedy))


# ---------------------------------------------------------------------------------------------
# Names


def test_rules_are_found_by_name() -> None:
    assert rule_named("confirm") == Confirm()
    assert rule_named("greedy", experiments=3) == rule_named("greedy") == Greedy()
    with pytest.raises(UserError, match="'gready'; choose one of: confirm, greedy"):
        rule_named("gready")
