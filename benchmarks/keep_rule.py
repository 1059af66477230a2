"""False keeps and true gain of the keep rules, simulated. `python benchmarks/keep_rule.py [1000]`

Simulates whole studies with the rules that the engine runs, and prints tables; the number is that
of repetitions a row. All lengths are in sigma, the standard deviation of a score from seed to seed.

The world: 55% of ideas are harmful (exponential, mean 3 sigma), 30% do nothing, 15% are real
(exponential, mean gain 1.5). A run's luck is normal, nine tenths of its variance the same on `dev`
and `confirm`; a change is worth a little more or less on each text (sd 0.2). Ideas do not run out,
and kept changes add up. The budget is counted in runs: repeats and confirmations are paid from it.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from autoresearch.final import Final
from autoresearch.keep import (
    DEV,
    Confirm,
    Decision,
    Evidence,
    Greedy,
    Incumbent,
    KeepRule,
    Noise,
    Score,
    Spread,
    dev_mean,
    measured,
)

KNOWN = Noise(Spread(1.0, math.inf), Spread(1.0, math.inf))


@dataclass(frozen=True)
class World:
    """What ideas are worth and how runs stray."""

    harmful: float = 0.55
    real: float = 0.15
    harm: float = 3.0  # mean of the harmful
    gain: float = 1.5  # mean of the real
    text: float = 0.2  # sd of a change's worth from one text to another
    shared: float = 0.9  # part of a run's luck that is the same on both texts
    tail: float = math.inf  # degrees of freedom of that luck; below infinity: outliers
    late: float = 0.0  # part of the runs that fall 6 sigma behind: a machine with other work to do

    def idea(self, dice: np.random.Generator) -> float:
        kind = dice.random()
        if kind < self.harmful:
            return -dice.exponential(self.harm)
        return dice.exponential(self.gain) if kind > 1 - self.real else 0.0

    def luck(self, dice: np.random.Generator, count: int) -> Iterator[tuple[float, float, float]]:
        """On `dev`, on `confirm`, and what is the same on any text, run after run."""
        seed = dice.standard_normal(count)
        if math.isfinite(self.tail):
            seed = dice.standard_t(self.tail, count) * math.sqrt(1 - 2 / self.tail)
        seed -= 6.0 * (dice.random(count) < self.late)
        own = dice.standard_normal((count, 2)) * math.sqrt(1 - self.shared)
        seed *= math.sqrt(self.shared)
        return iter(np.column_stack([own + seed[:, None], seed]).tolist())


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    label: str
    rule: KeepRule
    world: World = field(default_factory=World)
    runs: int = 100
    noise: Noise | None = None  # None: measured, as in a real study
    incumbent: str = "all runs"  # make its mean; or "confirmation", "third run", "truth"


@dataclass(frozen=True)
class Tally:
    """What came of one study."""

    ideas: int
    keeps: int
    false: int  # keeps that are worth nothing or less
    gain: float  # true
    claimed: float  # the incumbent's mean on `dev` against the baseline's
    sigma_first: float
    sigma_last: float
    sealed: tuple[float, tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    # on a third text: the incumbent's true gain, and scores of the baseline, of the runs that the
    # incumbent was kept for, and of two new ones


@dataclass(frozen=True)
class Once:
    """For comparison: one run and a margin, no confirmation."""

    margin: float
    name: str = "once"

    def next_run(self, evidence: Evidence) -> str:
        wanted = 1 if evidence.incumbent else 3
        return DEV if len(evidence.runs) < wanted else ""

    def weigh(self, evidence: Evidence) -> Decision:
        if evidence.incumbent is None:
            return Decision(True, "", dev_mean(evidence.runs))
        return Decision(Confirm(self.margin).is_promising(evidence), "", evidence.runs[0].dev)


@dataclass(frozen=True)
class Twice(Confirm):
    """For comparison: the second run needs a margin, too."""

    second: float = 0.25

    def weigh(self, evidence: Evidence) -> Decision:
        decision = Confirm.weigh(self, evidence)
        if evidence.incumbent is None or not decision.kept:
            return decision
        count = sum(run.confirm is not None for run in evidence.rival.runs)
        margin = self.second * evidence.noise.confirm.sd * math.sqrt(1 + 1 / count)
        return replace(decision, kept=evidence.gain_again() > margin)


def study(setting: Setting, dice: np.random.Generator) -> Tally:
    """One study, until its runs are used up. Higher is better. A last half idea does not count."""
    world, rule, left = setting.world, setting.rule, setting.runs
    other = dice.spawn(1)[0]  # for the third text: the dice of the search fall as without it
    luck, on_final, first, best = world.luck(dice, left), 0.0, (), ()
    truth = on_dev = on_confirm = 0.0  # of the incumbent: on all text there is, and on these two
    groups: list[list[Score]] = []
    noise, incumbent, keeps, false, ideas = Noise(), None, 0, 0, 0
    while True:
        worth, dev, confirm, final = 0.0, on_dev, on_confirm, on_final
        if incumbent is not None:
            worth = world.idea(dice)
            dev += worth + world.text * dice.standard_normal()
            confirm += worth + world.text * dice.standard_normal()
            final += worth + world.text * other.standard_normal()
        runs: list[Score] = []
        sealed: list[float] = []
        evidence = Evidence((), incumbent, setting.noise or noise, lower=False)
        while splits := rule.next_run(evidence):
            if not left:
                sigmas = [measured(part).dev.sd for part in (groups[:1], groups)]
                assert incumbent is not None
                claimed = dev_mean(incumbent.runs) - dev_mean(groups[0])
                fresh = tuple(on_final + other.standard_normal(2))
                return Tally(
                    ideas, keeps, false, truth, claimed, *sigmas, (on_final, first, best, fresh)
                )
            left, (a, b, seed) = left - 1, next(luck)
            sealed.append(final + seed + math.sqrt(1 - world.shared) * other.standard_normal())
            runs.append(Score(dev + a, confirm + b if "confirm" in splits else None))
            evidence = Evidence(tuple(runs), incumbent, setting.noise or noise, lower=False)
        if len(runs) > 1 or not groups:
            groups.append(runs)
            noise = measured(groups)
        ideas += incumbent is not None
        if rule.weigh(evidence).kept:
            keeps += incumbent is not None
            false += incumbent is not None and worth <= 0
            if setting.incumbent == "third run" and len(runs) == 2 and left:
                left, (a, b, _) = left - 1, next(luck)
                runs.append(Score(dev + a, confirm + b))
                noise = measured([*groups[:-1], runs])
            elif setting.incumbent == "truth":
                runs = [Score(dev, confirm)] * 30
            elif setting.incumbent == "confirmation" and len(runs) == 2:
                runs = runs[1:]
            incumbent = Incumbent(ideas, tuple(runs))
            first, best = first or tuple(sealed), tuple(sealed)
            truth, on_dev, on_confirm, on_final = truth + worth, dev, confirm, final


def row(setting: Setting, repetitions: int) -> list[Tally]:
    """Simulate and print one line. Every row meets the same dice."""
    tallies = [study(setting, np.random.default_rng(each)) for each in range(repetitions)]

    def average(what: Callable[[Tally], float]) -> float:
        return float(np.mean([what(each) for each in tallies]))

    keeps, false = average(lambda t: t.keeps), average(lambda t: t.false)
    gain = average(lambda t: t.gain)
    error = float(np.std([each.gain for each in tallies])) / math.sqrt(repetitions)
    print(
        f"| {setting.label:44} | {average(lambda t: t.ideas):5.1f} | {keeps:5.2f} | {false:5.2f} "
        f"| {100 * false / keeps:3.0f}% | {gain:5.2f} ± {error:.2f} "
        f"| {average(lambda t: t.claimed) - gain:+5.2f} |",
        flush=True,
    )
    return tallies


def title(text: str) -> None:
    print(f"\n{text}\n")
    print("| | ideas tried | keeps | false keeps | share false | true gain | claimed beyond it |")
    print("|---|---|---|---|---|---|---|")


def settings() -> dict[str, list[Setting]]:
    """All rows but the first two, under their titles."""
    worlds = {
        "a third of the real ideas": World(real=0.05),
        "harm as small as 1 sigma": World(harm=1.0),
        "outliers (t, 3 degrees)": World(tail=3.0),
        "texts that differ (sd 0.7)": World(text=0.7),
    }
    return {
        "The margin, in standard errors of the difference": [
            Setting(f"confirm, margin {margin:g}", Confirm(margin))
            for margin in (0.0, 0.25, 0.75, 1.0)
        ]
        + [Setting("a second margin, 0.25", Twice())],
        "One run and a margin, no confirmation": [
            Setting(f"one run, margin {margin:g}", Once(margin)) for margin in (0.5, 0.75)
        ],
        "What is known; above: sigma from 3 runs at first, the incumbent from all its runs": [
            Setting("sigma exactly", Confirm(), noise=KNOWN),
            Setting("the incumbent by its confirmation alone", Confirm(), incumbent="confirmation"),
            Setting("the incumbent by a third run, too", Confirm(), incumbent="third run"),
            Setting("sigma and the incumbent exactly", Confirm(), noise=KNOWN, incumbent="truth"),
        ],
        "Runs of the baseline": [
            Setting(f"{repeats} runs of {runs}", Confirm(repeats=repeats), runs=runs)
            for runs in (12, 20, 30, 100)
            for repeats in (2, 3, 5)
            if (repeats, runs) != (3, 100)
        ]
        + [
            Setting(
                f"{repeats} runs of 100, 5% fall behind", Confirm(repeats=repeats), World(late=0.05)
            )
            for repeats in (2, 3, 5)
        ],
        "Other worlds": [
            Setting(f"{rule.name}: {name}", rule, world)
            for name, world in worlds.items()
            for rule in (Greedy(), Confirm())
        ],
    }


def coverage(sides: tuple[int, int], spread: float, repetitions: int) -> tuple[float, float]:
    """How often the sealed text's 95% interval holds the truth, and half its median width, where
    the best strays `spread` times as much as the baseline."""
    dice, halves, held = np.random.default_rng(0), [], 0
    for _ in range(20 * repetitions):
        base, best = dice.standard_normal(sides[0]), spread * dice.standard_normal(sides[1])
        found = Final("", 1, tuple(base), tuple(best))
        assert found.interval is not None
        halves.append(found.interval)
        held += abs(found.difference) <= found.interval
    return held / len(halves), float(np.median(halves))


def headline(tallies: list[Tally], is_fresh: bool) -> tuple[float, float]:
    """Of all studies, those whose sealed text says "It worked"; of those that kept something, those
    whose 95% interval holds the truth."""
    worked, held, opened = 0, 0, [each for each in tallies if each.keeps]
    for each in opened:
        truth, base, chosen, fresh = each.sealed
        found = Final("", 1, base, fresh if is_fresh else chosen)
        assert found.interval is not None
        worked += found.difference > found.interval
        held += abs(found.difference - truth) <= found.interval
    return worked / len(tallies), held / len(opened)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    title(f"The rules, 100 runs a study, {repetitions} repetitions")
    row(Setting("greedy", Greedy()), repetitions)
    ours = row(Setting("confirm", Confirm()), repetitions)
    for words, rows in settings().items():
        title(words)
        for setting in rows:
            row(setting, repetitions)
    print("\nWhat `confirm` takes sigma for (truth: 1), 5%, 50% and 95% of studies:")
    for name, values in (
        ("3 runs", [each.sigma_first for each in ours]),
        ("at the end", [each.sigma_last for each in ours]),
    ):
        print(
            f"  {name}: "
            + ", ".join(f"{each:.2f}" for each in np.quantile(values, (0.05, 0.5, 0.95)))
        )
    print("\nThe sealed text's 95% interval: models of the baseline and of the best, how much more")
    print("the best strays, how often the interval holds the truth, half its width (median)\n")
    print("| baseline | best | strays | holds | half |\n|---|---|---|---|---|")
    for sides in ((2, 2), (3, 2)):
        for spread in (0.5, 1.0, 2.0, 4.0):
            share, half = coverage(sides, spread, repetitions)
            print(f"| {sides[0]} | {sides[1]} | {spread:g} | {100 * share:.1f}% | {half:.2f} |")
    title("Worlds without a real idea")
    barren = {"no real idea": World(0.0, 0.0, text=0.0), "harm or nothing": World(real=0.0)}
    found = {name: row(Setting(name, Confirm(), it), repetitions) for name, it in barren.items()}
    print("\nThe sealed text after a search: the models that it kept, and two fresh seeds\n")
    print("| world | models | says that it worked | holds the truth |\n|---|---|---|---|")
    for name, tallies in {**found, "the world above": ours}.items():
        for models, is_fresh in (("as kept", False), ("fresh", True)):
            worked, held = headline(tallies, is_fresh)
            print(f"| {name} | {models} | {100 * worked:.1f}% | {100 * held:.1f}% |")


if __name__ == "__main__":
    main()
