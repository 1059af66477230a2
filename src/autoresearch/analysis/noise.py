"""How far the gain can be told from chance, as far as the runs of a study say.

The spread is the keep rule's: between runs of one experiment that differ in their seed only,
pooled over all experiments that were repeated. What it cannot say is how much of the best's score
is there because the best was chosen for it: only the sealed text can.
"""

from dataclasses import dataclass
from enum import Enum

from autoresearch.analysis.view import StudyView, run_scores
from autoresearch.experiment import Experiment
from autoresearch.final import Final, half_width
from autoresearch.keep import Spread


class Confidence(Enum):
    """How sure a gain is, as a headline may open."""

    WORKED = "It worked"
    SEEMS = "It seems to have worked"  # not confirmed
    NOISY = "Too noisy to tell"  # within what chance does
    LUCK = "It may have worked"  # on the sealed text the interval holds no gain, too
    FELL = "It did not hold up"  # on the sealed text the best is no better


@dataclass(frozen=True, slots=True)
class Doubt:
    """What chance does to the difference between the best and the baseline."""

    spread: Spread  # of single runs
    counts: tuple[int, ...]  # runs of either; empty where there is nothing to compare

    @property
    def interval(self) -> float | None:
        """Half the width of its 95% interval; None where nothing was repeated."""
        return half_width(self.spread, self.counts)


def doubt(view: StudyView) -> Doubt:
    found = view.noise
    if not view.baseline or not view.best:
        return Doubt(found, ())
    return Doubt(found, (len(run_scores(view.baseline)), len(run_scores(view.best))))


def is_confirmed(each: Experiment) -> bool:
    """Whether its score rests on more than one run."""
    return len(run_scores(each)) > 1


def sealed(view: StudyView) -> Final | None:
    """What the sealed text says of the best; None while nothing, or only of an earlier best."""
    final = view.final
    return final if final and view.best and final.number == view.best.number else None


def confidence(view: StudyView) -> Confidence:
    """Of a study with a gain."""
    if final := sealed(view):
        gain = view.as_gain(final.difference)
        if gain <= 0:
            return Confidence.FELL
        if final.interval is None:
            return Confidence.SEEMS
        return Confidence.WORKED if gain > final.interval else Confidence.LUCK
    half = doubt(view).interval
    if half is not None and view.gain <= half:
        return Confidence.NOISY
    return Confidence.WORKED if view.is_beyond_spread and half is not None else Confidence.SEEMS
