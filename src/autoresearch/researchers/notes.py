"""What a study's history says of its knobs.

The `details` of a proposal by `knobs` hold the value of every knob after the change (`knobs`) and
before it (`from`). The second tells what the parent held even where a person or an agent made it.
Experiments of which neither is known are passed over.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from autoresearch.experiment import Experiment, Verdict
from autoresearch.researchers.base import Desk
from autoresearch.researchers.hints import is_idle, space_of
from autoresearch.researchers.space import Space
from autoresearch.source.constants import Constant
from autoresearch.source.literals import Scalar

Values = Mapping[str, Scalar]

_BROKEN = (Verdict.CRASH, Verdict.TIMEOUT, Verdict.INVALID)


@dataclass(frozen=True, slots=True)
class Notes:
    """The knobs, and what came of turning them."""

    spaces: Mapping[str, Space]
    before: Values  # what the parent holds
    results: Sequence[tuple[Values, float]]  # lower is better; what broke stands there as the worst
    turns: Mapping[str, int]  # how often each knob was turned
    broken: Sequence[Values]  # the new values of the knobs whose turn broke something
    tried: Sequence[Values]
    guesses: frozenset[str] = frozenset()  # knobs that the script set by itself, never yet turned
    idle: frozenset[str] = frozenset()  # knobs that change nothing where the parent stands

    @classmethod
    def read(cls, desk: Desk, constants: Mapping[str, Constant]) -> Self:
        """The notes for the next proposal. Every constant that can be searched is a knob."""
        starts = _starts(desk.history)
        values = {name: constant.value for name, constant in constants.items()}
        spaces = {
            name: space
            for name, constant in constants.items()
            if (space := space_of(constant, starts.get(name, constant.value)))
        }
        idle = frozenset(name for name in spaces if is_idle(constants[name], values))
        known = _known(desk, values)
        turned = [(each.verdict, _turned(each)) for each in desk.history]
        return cls(
            spaces,
            {name: values[name] for name in spaces},
            _results(desk, known),
            Counter(name for _, values in turned for name in values),
            [values for verdict, values in turned if verdict in _BROKEN],
            list(known.values()),
            frozenset(name for name in spaces if constants[name].text == "None")
            - {name for _, values in turned for name in values}
            - idle,
            idle,
        )

    def is_tried(self, values: Values) -> bool:
        """Whether some experiment, the parent included, had exactly these knobs."""
        return any(values.items() <= each.items() for each in self.tried)

    def is_risky(self, values: Values) -> bool:
        """Whether, in the knobs that broke an experiment, this is nearer to it than to the parent.

        A score says nothing here: the best values often lie just short of what breaks, so that
        TPE, which only ranks, would keep stepping over the edge.
        """
        return any(
            self._distance(values, broken, broken) < self._distance(values, self.before, broken)
            for broken in self.broken
        )

    def _distance(self, one: Values, other: Values, names: Values) -> float:
        """Over some knobs, as far as they still exist."""
        knobs = [name for name in names if name in self.spaces]
        return math.hypot(*(self.spaces[name].distance(one[name], other[name]) for name in knobs))


def _recalled(experiment: Experiment, key: str) -> Values:
    """One of our own details, empty for an experiment that was not ours."""
    values = experiment.details.get(key)
    if not isinstance(values, Mapping):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, Scalar)}


def _starts(history: Sequence[Experiment]) -> Values:
    """The first value that each knob is known to have had in this study."""
    starts: dict[str, Scalar] = {}
    for each in history:
        first = "knobs" if each.parent is None else "from"
        starts = {**_recalled(each, first), **starts}
    return starts


def _known(desk: Desk, now: Values) -> dict[int, Values]:
    """The knobs of every experiment that is known to us, by its number."""
    known: dict[int, Values] = {}
    for each in desk.history:
        if each.parent is not None and (before := _recalled(each, "from")):
            known.setdefault(each.parent, before)
        if after := _recalled(each, "knobs"):
            known[each.number] = after
    return known | {desk.parent.number: now}


def _turned(experiment: Experiment) -> Values:
    """The knobs that a proposal turned, with their new values."""
    before = _recalled(experiment, "from")
    after = _recalled(experiment, "knobs")
    return {name: value for name, value in after.items() if before.get(name) != value}


def _results(desk: Desk, known: Mapping[int, Values]) -> list[tuple[Values, float]]:
    """Knobs and score of each experiment that has both, lower being better.

    One that broke counts as clearly worse than all others, so that its neighbourhood is avoided.
    """
    sign = 1 if desk.program.is_better(0, 1) else -1
    scores = {
        each.number: sign * each.score
        for each in desk.history
        if each.verdict not in _BROKEN
        and each.score is not None
        and math.isfinite(each.score)
        and not each.vetoed  # the person does not want more of that
    }
    best, worst = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    bad = worst + (worst - best or 1.0)
    broken = {each.number: bad for each in desk.history if each.verdict in _BROKEN}
    found = sorted((scores | broken).items())
    return [(known[number], score) for number, score in found if number in known]
