"""The one number to quote: incumbent against baseline, where nothing was chosen by a score."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from statistics import fmean

from autoresearch.keep import Spread, pooled

QUARTER = 20_000  # steps of a quarter turn


@dataclass(frozen=True, slots=True)
class Final:
    """Scores on the sealed split, one a model; each model was trained with another seed."""

    at: str  # ISO 8601, UTC
    number: int  # of the incumbent at that moment
    baseline: tuple[float, ...]
    best: tuple[float, ...]
    is_fresh: bool = True  # the best was trained anew; else its models are those it was kept for

    @property
    def difference(self) -> float:
        """The incumbent's mean minus the baseline's."""
        return fmean(self.best) - fmean(self.baseline)

    @property
    def interval(self) -> float | None:
        """Half the width of the difference's 95% confidence interval: Student's t with the
        variance pooled over both, since the keep rule, too, takes all experiments to stray alike.
        None where each has a single model."""
        sides = (self.baseline, self.best)
        return half_width(pooled(sides), map(len, sides))


def half_width(spread: Spread, counts: Iterable[int]) -> float | None:
    """Half of the 95% confidence interval of the difference between means of so many runs each;
    None where nothing was repeated."""
    if not spread.degrees:
        return None
    error = spread.sd * math.sqrt(sum(1 / count for count in counts))
    return t_quantile(0.975, spread.degrees) * error if error else 0.0


@cache
def t_quantile(share: float, degrees: float) -> float:
    """The value below which so large a share of Student's t lies.

    With t = sqrt(degrees) tan(angle) the density becomes cos(angle)^(degrees - 1) on a quarter
    turn, which is added up and read backwards; right to four digits from 1 degree on.
    """
    step = math.pi / 2 / QUARTER
    parts = [math.cos((n + 0.5) * step) ** (degrees - 1) for n in range(QUARTER)]
    wanted, below = (2 * share - 1) * math.fsum(parts), 0.0
    for n, part in enumerate(parts):
        if below + part >= wanted:
            angle = (n + (wanted - below) / part) * step
            return math.sqrt(degrees) * math.tan(angle)
        below += part
    raise ValueError(f"no quantile of {share}")
