"""How many tokens the runs of a study trained on in the same time.

A score by the clock measures the machine, too: where that is now faster and now slower, what a run
says of its `tokens` shows it. This decides nothing; it helps to read what was decided.
"""

from math import isfinite
from statistics import fmean

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run

LEAST = 0.03  # a difference that is worth a word


def more_tokens(one: Experiment, other: Experiment | None) -> float | None:
    """By what share the runs of one trained on more than those of the other; None: not known."""
    ours, theirs = _tokens(one, other) if other else ([], [])
    return fmean(ours) / fmean(theirs) - 1 if ours and theirs else None


def words(more: float | None) -> str:
    """Such as "12% more tokens"; "" where there is nothing to say."""
    if more is None or abs(more) < LEAST:
        return ""
    return f"{abs(more) * 100:.0f}% {'more' if more > 0 else 'fewer'} tokens"


def variation(view: StudyView) -> float:
    """By what share runs of one and the same file differ, at most; 0 where none was repeated."""
    known = [found for each in view.closed for found in _tokens(each) if len(found) > 1]
    return max((max(found) / min(found) - 1 for found in known), default=0.0)


def _tokens(*experiments: Experiment) -> list[list[float]]:
    """Of the runs of each: in a second of training where all say how long it took, else in all."""
    groups = [
        [run for run in each.runs if run.score is not None and _figure(run, "tokens")]
        for each in experiments
    ]
    is_timed = all(_figure(run, "training_seconds") for group in groups for run in group)
    return [
        [
            _figure(run, "tokens") / (_figure(run, "training_seconds") if is_timed else 1.0)
            for run in group
        ]
        for group in groups
    ]


def _figure(run: Run, name: str) -> float:
    """0 where it is not known."""
    said = run.figures.get(name, 0.0)
    return said if isfinite(said) and said > 0 else 0.0
