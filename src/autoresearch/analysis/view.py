"""A study as the chart and the reports see it: its facts, and the figures that follow from them.

No text for a reader yet (that is report/findings.py), and nothing here decides anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite

from autoresearch.experiment import Experiment, Usage, Verdict, incumbent, weakest_tier
from autoresearch.final import Final
from autoresearch.keep import Spread, pooled
from autoresearch.program import Program
from autoresearch.source.change import Theme


@dataclass(frozen=True)  # without slots: what takes long on a long study is worked out once
class StudyView:
    """Everything that a chart or a report says of a study comes from here."""

    tag: str
    program: Program
    experiments: tuple[Experiment, ...]  # by number; number 0 is the baseline
    started_at: str = ""  # ISO 8601, UTC; empty where it is not known
    ended_at: str | None = None  # None while the study goes on
    machine: Mapping[str, str] = field(default_factory=dict)  # name -> value, shown as given
    diffs: Mapping[int, str] = field(default_factory=dict)  # number -> diff against its parent
    best_diff: str = ""  # the incumbent against the baseline
    final: Final | None = None  # what the sealed text said, once it was opened
    themes: Mapping[int, tuple[Theme, ...]] = field(default_factory=dict)  # of changes in the code
    files: Mapping[str, str] = field(default_factory=dict)  # the best's editable ones
    constants: Mapping[str, str] = field(default_factory=dict)  # that may be varied, in the best
    ran: frozenset[str] = frozenset()  # fingerprints of all editable files that were run
    usage: Mapping[int, Usage] = field(default_factory=dict)  # number -> what its proposal took
    researcher: str = ""
    keep_rule: str = ""  # empty: not known
    seed: int | None = None
    data: Mapping[str, str] = field(default_factory=dict)  # name -> value: what was trained on

    @property
    def is_imported(self) -> bool:
        """Read from a log: nothing was run here, and when it ran is not known."""
        return bool(self.experiments) and self.experiments[0].is_imported

    @property
    def lower(self) -> bool:
        """Whether a lower score is better."""
        return self.program.is_lower

    @cached_property
    def closed(self) -> tuple[Experiment, ...]:
        """The experiments that have their verdict."""
        return tuple(each for each in self.experiments if not each.is_open)

    @cached_property
    def tried(self) -> tuple[Experiment, ...]:
        """The closed experiments without the baseline, which changes nothing."""
        return tuple(each for each in self.closed if each.number != 0)

    @cached_property
    def kept(self) -> tuple[Experiment, ...]:
        """The kept changes: the baseline is kept too, but it is no change."""
        return tuple(each for each in self.tried if each.is_kept and has_score(each))

    @cached_property
    def vetoed(self) -> tuple[Experiment, ...]:
        """Kept by the rule, then taken back by a person, with what was built on it."""
        return tuple(each for each in self.tried if each.is_taken_back)

    @cached_property
    def failed(self) -> tuple[Experiment, ...]:
        """The closed experiments without a usable result."""
        fine = (Verdict.KEEP, Verdict.DISCARD)
        return tuple(each for each in self.closed if each.verdict not in fine)

    @cached_property
    def baseline(self) -> Experiment | None:
        """Experiment 0, if it has a score to compare with."""
        return next((each for each in self.closed if each.number == 0 and has_score(each)), None)

    @cached_property
    def best(self) -> Experiment | None:
        """The incumbent: the baseline itself until something was as good, whatever was kept."""
        return incumbent(filter(None, (self.baseline, *self.kept)), lower=self.lower)

    @cached_property
    def noise(self) -> Spread:
        """How far runs of one experiment stray; without degrees where none has several."""
        return pooled(run_scores(each) for each in self.closed if has_score(each))

    def as_gain(self, difference: float) -> float:
        """A difference of scores as a gain: positive is better, whatever the direction."""
        return -difference if self.lower else difference

    @cached_property
    def gain(self) -> float:
        """By how much the best beats the baseline; 0 while there is nothing to compare."""
        if not self.baseline or not self.best:
            return 0.0
        return self.as_gain(score_of(self.best) - score_of(self.baseline))

    @property
    def is_beyond_spread(self) -> bool:
        """More than one run on either side, and a gain beyond the baseline's own spread."""
        if not self.baseline or not self.best:
            return False
        fewest = min(len(run_scores(self.baseline)), len(run_scores(self.best)))
        return fewest > 1 and self.gain > spread_of(self.baseline)

    @property
    def wall_seconds(self) -> float | None:
        """From the start to the end, or to the last verdict so far; None where it is not known."""
        last = max((each.finished_at or "" for each in self.closed), default="")
        started, ended = moment(self.started_at), moment(self.ended_at or last)
        return (ended - started).total_seconds() if started and ended else None

    @property
    def tier(self) -> int | None:
        """The weakest box that a scored run had; None where it is not known."""
        return weakest_tier(self.closed)

    def total(self, figure: str) -> float:
        """The sum of a figure over all runs; 0 where nobody tells it."""
        return sum(run.figures.get(figure, 0.0) for each in self.closed for run in each.runs)

    @property
    def used(self) -> Usage:
        """Tokens and money of all proposals."""
        return sum(self.usage.values(), Usage())

    def steps(self, end: float) -> list[tuple[float, float]]:
        """The best score so far as corners (number, score), from the baseline to `end`."""
        corners: list[tuple[float, float]] = []
        for each in filter(None, (self.baseline, *self.kept)):
            score = score_of(each)  # a change that was restored may be better than a later one
            if not corners or self.as_gain(score - corners[-1][1]) >= 0:
                corners.append((float(each.number), score))
        return [*corners, (end, corners[-1][1])]


def has_score(experiment: Experiment) -> bool:
    """Whether there is a score that can be drawn and compared."""
    return experiment.score is not None and isfinite(experiment.score)


def score_of(experiment: Experiment) -> float:
    """The score of one that `has_score`."""
    assert experiment.score is not None
    return experiment.score


def run_scores(experiment: Experiment) -> list[float]:
    """One score per run; an imported experiment that tells nothing of its runs had one."""
    scores = [run.score for run in experiment.runs if run.score is not None and isfinite(run.score)]
    return scores or [score_of(experiment)]


def spread_of(experiment: Experiment) -> float:
    """Its largest run minus its smallest."""
    scores = run_scores(experiment)
    return max(scores) - min(scores)


def memory_gb(experiment: Experiment) -> float:
    """The hungriest run's peak; 0 where it is not known."""
    peaks_mb = (run.figures.get("peak_memory_mb", 0.0) for run in experiment.runs)
    return max(peaks_mb, default=0.0) / 1024


def moment(text: str) -> datetime | None:
    """An ISO 8601 time, in UTC; None for anything else."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
