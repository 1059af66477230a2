"""The keep rule: how many runs a verdict needs, and what they say. Pure: numbers in, words out.

    measured    groups of runs of one experiment each -> Noise: how far runs stray by luck alone
    Confirm     better by half a standard error on `dev`, then again on a fresh seed, on `confirm`
    Greedy      the original's rule: one run, any gain

Where the numbers come from: `python benchmarks/keep_rule.py`, and docs/judge.md.

Not covered: about one keep of `Confirm` in four is still false (of `Greedy` one in two), and the
score of a kept change is a little too good, because it was chosen for being good; how much all
changes are worth together is for fresh seeds on the `final` split to say. Scores must be finite.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from autoresearch.errors import UserError

DEV, BOTH = "dev", "dev,confirm"  # splits, as the score command is told of them
SHORT = 20  # experiments: up to here a third run of the baseline costs more than it tells
BASELINE = "the baseline: everything else is measured against it"


@dataclass(frozen=True, slots=True)
class Score:
    """What one run scored. `confirm` is None where the run, or the lab, has no such score."""

    dev: float
    confirm: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation between runs that differ in their seed only.

    `degrees` of freedom say how well it is known: 0 not at all, infinity exactly.
    """

    sd: float = 0.0
    degrees: float = 0.0

    @property
    def is_none(self) -> bool:
        """True where runs were repeated and scored the same every time."""
        return self.degrees > 0 and self.sd == 0.0


@dataclass(frozen=True, slots=True)
class Noise:
    """The spread on each split."""

    dev: Spread = Spread()
    confirm: Spread = Spread()


@dataclass(frozen=True, slots=True)
class Incumbent:
    """What a change must beat: all scored runs of the best experiment so far."""

    number: int
    runs: tuple[Score, ...]

    @property
    def name(self) -> str:
        return f"#{self.number}" if self.number else "the baseline"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a verdict rests on.

    `noise` is that of the other experiments: a run must not help to set its own bar.
    """

    runs: tuple[Score, ...]  # of the experiment in question, in their order
    incumbent: Incumbent | None  # None for the baseline
    noise: Noise
    lower: bool = True  # is better

    @property
    def rival(self) -> Incumbent:
        assert self.incumbent is not None, "the baseline has nothing to beat"
        return self.incumbent

    def gain(self, count: int) -> float:
        """By how much the first `count` runs are better than the incumbent's mean, on `dev`."""
        return self.signed(dev_mean(self.runs[:count]) - dev_mean(self.rival.runs))

    def error(self, count: int) -> float:
        """The standard error of that."""
        return self.noise.dev.sd * math.sqrt(1 / count + 1 / len(self.rival.runs))

    def gain_again(self) -> float:
        """Of the last run alone; on `confirm` where it and the incumbent were scored there."""
        run = self.runs[-1]
        known = [each.confirm for each in self.rival.runs if each.confirm is not None]
        if run.confirm is None or not known:
            return self.signed(run.dev - dev_mean(self.rival.runs))
        return self.signed(run.confirm - mean(known))

    def signed(self, difference: float) -> float:
        return -difference if self.lower else difference


@dataclass(frozen=True, slots=True)
class Decision:
    """Kept or not, with the sentence that a person reads.

    `score` is the mean over the runs on `dev`; `delta` is that minus the incumbent's mean. A kept
    change is strictly better by it, so the scores of the kept never go back.
    """

    kept: bool
    sentence: str
    score: float
    delta: float | None = None


class KeepRule(Protocol):
    """Decides what becomes of an experiment."""

    @property
    def name(self) -> str: ...

    def next_run(self, evidence: Evidence) -> str:
        """The splits that one more run is needed on; empty when the runs suffice for weigh()."""
        ...

    def weigh(self, evidence: Evidence) -> Decision:
        """The verdict, once next_run() is content."""
        ...

    def bar(self, noise: Spread, runs: int) -> str:
        """What a change must do to be kept, where the incumbent has so many runs."""
        ...


# numbers


def mean(values: Sequence[float]) -> float:
    """Exact where all are equal, which a sum divided by a count need not be."""
    return values[0] + math.fsum(each - values[0] for each in values) / len(values)


def pooled(groups: Iterable[Sequence[float]]) -> Spread:
    """One spread from many small groups, each around its own mean."""
    squares, degrees = [], 0
    for group in groups:
        if len(group) > 1:
            middle = mean(group)
            squares += [(each - middle) * (each - middle) for each in group]
            degrees += len(group) - 1
    return Spread(math.sqrt(math.fsum(squares) / degrees), degrees) if degrees else Spread()


def measured(groups: Iterable[Sequence[Score]]) -> Noise:
    """The noise, from the runs of each experiment that has several: the baseline first of all.

    The first run of a confirmed pair was chosen for being good, which makes the pair differ a
    little too much: the estimate grows by about a tenth over a night, to the safe side.
    """
    groups = tuple(groups)
    on_confirm = ([run.confirm for run in group if run.confirm is not None] for group in groups)
    return Noise(pooled([run.dev for run in group] for group in groups), pooled(on_confirm))


def dev_mean(runs: Sequence[Score]) -> float:
    return mean([run.dev for run in runs])


# rules


@dataclass(frozen=True, slots=True)
class Greedy:
    """Keep whatever scores better in one run, however little: the original's rule."""

    @property
    def name(self) -> str:
        return "greedy"

    def next_run(self, evidence: Evidence) -> str:
        return "" if evidence.runs else DEV

    def weigh(self, evidence: Evidence) -> Decision:
        if evidence.incumbent is None:
            return Decision(True, BASELINE, dev_mean(evidence.runs))
        gain, rival = evidence.gain(1), evidence.rival
        if gain <= 0:
            return decision(evidence, short_of(gain, rival.name))
        alone = "in one run each" if len(rival.runs) == 1 else "in one run"
        words = f"{amount(gain)} better than {rival.name}, {alone}: not confirmed"
        return decision(evidence, words, kept=True)

    def bar(self, noise: Spread, runs: int) -> str:
        del noise, runs
        return "score better in one run, by however little"


@dataclass(frozen=True, slots=True)
class Confirm:
    """Better by a margin in one run, then better again on a fresh seed and on other text.

    The margin is counted in standard errors of the difference: it grows with the noise and with
    the doubt about the incumbent's mean. While no noise is known it is nothing, and the fresh seed
    decides alone: also where the baseline scored the same every time, which a score in whole
    steps does by chance, and which says nothing of a change that brings noise.
    """

    margin: float = 0.5
    repeats: int = 3  # runs of the baseline

    @property
    def name(self) -> str:
        return "confirm"

    def next_run(self, evidence: Evidence) -> str:
        count = len(evidence.runs)
        if evidence.incumbent is None:
            return BOTH if count < self.repeats or self.is_suspect(evidence.runs) else ""
        if count == 0:
            return DEV
        return BOTH if count == 1 and self.is_promising(evidence) else ""

    @staticmethod
    def is_suspect(runs: Sequence[Score]) -> bool:
        """Whether two runs are alike: a lab without noise, or two that just met?"""
        return len(runs) == 2 and measured([runs]).dev.is_none

    def is_promising(self, evidence: Evidence) -> bool:
        """Whether the first run is better by the margin."""
        return evidence.gain(1) > self.margin * evidence.error(1)

    def weigh(self, evidence: Evidence) -> Decision:
        if evidence.incumbent is None:
            return Decision(True, baseline_words(evidence.runs), dev_mean(evidence.runs))
        if not self.is_promising(evidence):
            return decision(evidence, first_words(evidence))
        assert len(evidence.runs) > 1, "next_run() asks for more"
        if evidence.gain_again() > 0 and evidence.gain(len(evidence.runs)) > 0:
            return decision(evidence, kept_words(evidence), kept=True)
        return decision(evidence, unconfirmed_words(evidence))

    def bar(self, noise: Spread, runs: int) -> str:
        least = self.margin * noise.sd * math.sqrt(1 + 1 / runs)
        first = f"by more than {amount(least)}" if least else "by however little"
        return f"beat its mean {first} in a first run, then again on a fresh seed and other text"


RULES: dict[str, KeepRule] = {rule.name: rule for rule in (Confirm(), Greedy())}


def rule_named(name: str, experiments: int | None = None) -> KeepRule:
    """The rule for a study of at most so many experiments; None: without such a limit, and 0: only
    its baseline is wanted now.

    Raises UserError.
    """
    if name not in RULES:
        raise UserError(f"no keep rule is called {name!r}; choose one of: {', '.join(RULES)}")
    rule = RULES[name]
    is_short = experiments is not None and 0 < experiments <= SHORT
    return replace(rule, repeats=2) if isinstance(rule, Confirm) and is_short else rule


def decision(evidence: Evidence, sentence: str, kept: bool = False) -> Decision:
    score = dev_mean(evidence.runs)
    return Decision(kept, sentence, score, score - dev_mean(evidence.rival.runs))


# words


def baseline_words(runs: Sequence[Score]) -> str:
    spread = measured([runs]).dev
    sigma = "all alike" if spread.is_none else f"sigma {amount(spread.sd)}"
    return f"{BASELINE}; {len(runs)} runs, {sigma}" if spread.degrees else BASELINE


def first_words(evidence: Evidence) -> str:
    """Why one run was enough to discard."""
    gain, name, sigma = evidence.gain(1), evidence.rival.name, sigmas(evidence, 1)
    if gain <= 0:
        return short_of(gain, name) + sigma
    return f"only {amount(gain)} better than {name}{sigma}: within the noise"


def kept_words(evidence: Evidence) -> str:
    count = len(evidence.runs)
    gain, again = amount(evidence.gain(count)), amount(evidence.gain_again())
    better = f"{gain} better than the incumbent's mean{sigmas(evidence, count)}"
    return f"{better}; confirmed on a second seed ({again} better)"


def unconfirmed_words(evidence: Evidence) -> str:
    again = evidence.gain_again()
    where = "on other text" if measured([evidence.runs]).dev.is_none else "on a second seed"
    missed = f"{amount(-again)} worse {where}" if again else f"no better {where}"
    if again > 0:  # on the other text, yet not over all runs
        missed = "no better over both seeds"
    return (
        f"{amount(evidence.gain(1))} better at first{sigmas(evidence, 1)}, but {missed}: not kept"
    )


def short_of(gain: float, name: str) -> str:
    return f"{amount(-gain)} worse than {name}" if gain else f"no better than {name}"


def sigmas(evidence: Evidence, count: int) -> str:
    """Such as ", 3.1 sigma": the gain in standard errors. Empty where there is nothing to say."""
    gain, error = abs(evidence.gain(count)), evidence.error(count)
    if not error or not gain:
        return ""
    return f", {gain / error:.1f} sigma" if gain < 100 * error else ", over 100 sigma"


def amount(value: float) -> str:
    """Four decimals where they say something; two digits of what is smaller, fewer of the large."""
    if value < 0.00095:
        return f"{value:.2g}"
    return f"{value:.4f}" if value < 100 else f"{value:.1f}"
