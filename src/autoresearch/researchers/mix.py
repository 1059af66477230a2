"""Several researchers share a study.

    mix: opencode + knobs             shares are learned
    mix: opencode 30% + knobs 70%     shares are fixed

On the original's task a language model that makes 30% of the proposals beside a numeric search
beats either alone (Ferreira et al. 2026, arXiv 2603.24647).

A learned share follows what a researcher has gained per hour of its runs: the sum of its kept
gains over those hours, both with a prior of a few experiments as the study's mean has them, so
that one lucky keep does not decide. Nobody gets less than a tenth. Everything is computed from the
study's history, so that a resumed study goes on as if it had never stopped.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch.errors import Failed, Unavailable, UserError
from autoresearch.experiment import Experiment, Proposal
from autoresearch.researchers.base import Desk, Researcher, check, listens

LEAST_SHARE = 0.1
ROUNDING = 1.0  # percent by which fixed shares may miss 100: three of 33% are meant well
PRIOR_EXPERIMENTS = 4  # as good as the mean, that everybody is believed to have had before
_PART = re.compile(r"(?P<name>.*\S)\s+(?P<percent>\d+(?:\.\d+)?)\s*%")
_PLUS = re.compile(r"(?:^|\s)\+(?=\s|$)")  # by itself: a command may hold others


@dataclass(frozen=True, slots=True)
class Part:
    """One of several: `percent` None is learned."""

    name: str
    percent: float | None


@dataclass(frozen=True, slots=True)
class Mix:
    """Lets one of them propose, by share, and says which in the proposal."""

    parts: tuple[tuple[Part, Researcher], ...]

    @property
    def listens(self) -> bool:
        return any(listens(researcher) for _, researcher in self.parts)

    def check(self, tree: Path) -> list[str]:
        lines = []
        for part, researcher in self.parts:
            try:
                lines += check(researcher, tree)
            except Unavailable as error:
                lines.append(f"{part.name} is asked again at night: {error}")
        return lines

    def propose(self, desk: Desk) -> Proposal:
        names = [part.name for part, _ in self.parts]
        percents = [part.percent for part, _ in self.parts]
        fixed = [percent for percent in percents if percent is not None]
        weights = fixed or shares(names, desk.history)
        able = [not desk.idea or listens(researcher) for _, researcher in self.parts]
        if any(able):  # an idea is for those who can read it
            weights = [weight * each for weight, each in zip(weights, able, strict=True)]
        (part, researcher) = random.Random(desk.seed).choices(self.parts, weights)[0]
        try:
            proposal = researcher.propose(desk)
        except Failed as error:
            error.heard = error.heard and listens(researcher)
            raise
        return replace(proposal, by=proposal.by or part.name)


def shares(names: Sequence[str], history: Sequence[Experiment]) -> list[float]:
    """The learned share of each, in order; they add up to 1."""
    gains = [sum(map(gain, by(name, history))) for name in names]
    hours = [sum(map(run_hours, by(name, history))) for name in names]
    count = sum(len(by(name, history)) for name in names)
    all_gains, all_hours = sum(gains), sum(hours)
    if not all_gains or not all_hours:
        return [1 / len(names)] * len(names)
    prior = PRIOR_EXPERIMENTS * len(names) / count if count else 1.0
    rates = [
        (gain_ + prior * all_gains / len(names)) / (hours_ + prior * all_hours / len(names))
        for gain_, hours_ in zip(gains, hours, strict=True)
    ]
    least = min(LEAST_SHARE, 1 / len(names))
    return [least + (1 - least * len(names)) * rate / sum(rates) for rate in rates]


def by(name: str, history: Sequence[Experiment]) -> list[Experiment]:
    return [each for each in history if each.researcher == name]


def gain(each: Experiment) -> float:
    """By how much a kept change was better than the incumbent, whatever the direction."""
    return abs(each.delta or 0.0) if each.is_kept else 0.0


def run_hours(each: Experiment) -> float:
    """What it took of the machine; a crash counts, too."""
    return sum(run.figures.get("seconds", 0.0) for run in each.runs) / 3600


def read_parts(text: str) -> tuple[Part, ...]:
    """The parts of `A + B`, or of `A 30% + B 70%`. Raises UserError."""
    parts = tuple(_read_part(word.strip()) for word in _PLUS.split(text))
    if any(part.name.partition(":")[0].strip() == "mix" for part in parts):
        raise UserError(f"the mix {text!r} holds another mix: write all its parts in one")
    if len(parts) < 2 or not all(part.name for part in parts):
        raise UserError(
            "a mix has two parts or more, with ` + ` between them, such as "
            f"`mix: opencode + knobs`, not {text!r}"
        )
    if len({part.name for part in parts}) < len(parts):
        raise UserError(f"the mix {text!r} names the same researcher twice: name each once")
    percents = [part.percent for part in parts]
    if any(each is None for each in percents) and any(each is not None for each in percents):
        raise UserError(f"the mix {text!r} gives a share to some only: give it to all, or to none")
    if percents[0] is not None and abs((given := sum(filter(None, percents))) - 100) > ROUNDING:
        raise UserError(f"the mix {text!r} gives away {given:g}%: shares must add up to 100%")
    return parts


def _read_part(text: str) -> Part:
    match = _PART.fullmatch(text)
    return Part(match["name"], float(match["percent"])) if match else Part(text, None)
