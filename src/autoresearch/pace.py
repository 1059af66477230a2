"""How many tokens the runs of a study trained on in the same time.

A score by the clock measures the machine, too: where that is now faster and now slower, what a run
says of its `tokens` shows it. This decides nothing; it helps to read what was decided.
"""

from math import isfinite
from statistics import fmean

from autoresearch.experiment import Experiment
from autoresearch.view import StudyView

LEAST = 0.03  # a difference that is worth a word


def more_tokens(one: Experiment, other: Experiment | None) -> float | None:
    """By what share the runs of one trained on more than those of the other; None: not known."""
    ours, theirs = _tokens(one), _tokens(other) if other else []
    return fmean(ours) / fmean(theirs) - 1 if ours and theirs else None


def words(more: float | None) -> str:
    """Such as "12% more tokens"; "" where there is nothing to say."""
    if more is None or abs(more) < LEAST:
        return ""
    return f"{abs(more) * 100:.0f}% {'more' if more > 0 else 'fewer'} tokens"


def variation(view: StudyView) -> float:
    """By what share runs of one and the same file differ, at most; 0 where none was repeated."""
    known = [found for each in view.closed if len(found := _tokens(each)) > 1]
    return max((max(found) / min(found) - 1 for found in known), default=0.0)


def _tokens(experiment: Experiment) -> list[float]:
    said = (run.figures.get("tokens") for run in experiment.runs if run.score is not None)
    return [each for each in said if each is not None and isfinite(each) and each > 0]
