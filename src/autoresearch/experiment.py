"""The nouns: what an experiment is and what is known of it.

All are facts: frozen, and never changed once an experiment has its verdict.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from autoresearch.source.literals import Scalar


class Verdict(StrEnum):
    """What became of an experiment."""

    KEEP = "keep"  # better: the new incumbent
    DISCARD = "discard"  # not better
    CRASH = "crash"  # ended by itself without a result
    TIMEOUT = "timeout"  # stopped by the harness's clock
    INVALID = "invalid"  # broke a rule
    FAILED = "failed"  # the researcher gave nothing usable


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a researcher says of the change that it has just made in its desk.

    `details` is for the researcher itself: it comes back in the history and is never interpreted.
    """

    description: str  # one line, for the log and the chart
    hypothesis: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""  # who of several made it; "": the study's researcher
    heard: bool = False  # whether it was made by somebody who read the person's notes and idea


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls of a model took. `cost_usd` None: nobody said."""

    input_tokens: int = 0  # cached ones included
    output_tokens: int = 0
    cached_tokens: int = 0  # of the input
    cost_usd: float | None = None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        costs = [each for each in (self.cost_usd, other.cost_usd) if each is not None]
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            sum(costs) if costs else None,
        )


IMPORTED = "imported"  # the researcher of an experiment that was read from a log, not run here
UNKNOWN_SEED = -1
BUSY_PERCENT = 10.0  # of the processor, taken by other programs during a run: worth a warning


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of an experiment with one seed.

    `figures` is what the run reported of itself and what the harness measured: `seconds` (whole
    run, process start to score), `training_seconds` (the harness's clock), `startup_seconds`,
    `scoring_seconds`, `peak_memory_mb`, and where the lab says them `num_params`, `tokens`,
    `num_steps`, ... Only the score decides anything.
    """

    index: int  # 0, 1, ... within the experiment
    seed: int  # UNKNOWN_SEED in an imported one
    outcome: str  # "scored", a Verdict without a score, or "interrupted"
    started_at: str  # ISO 8601, UTC
    score: float | None = None
    reason: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(
        default_factory=dict
    )  # the resolved configuration that actually ran


@dataclass(frozen=True, slots=True)
class Experiment:
    """One proposed change to the editable files. Number 0 is the baseline."""

    number: int
    parent: int | None  # the experiment whose files it started from; None for the baseline
    started_at: str  # ISO 8601, UTC
    finished_at: str | None = None
    commit: str | None = None  # None until something was proposed
    description: str = ""
    hypothesis: str = ""
    researcher: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None  # None while it is open
    reason: str = ""  # the verdict in one sentence
    score: float | None = None  # None when there is none
    delta: float | None = None  # score minus the incumbent's score at that moment
    seconds: float | None = None  # wall time of the whole experiment, proposal included
    runs: tuple[Run, ...] = field(default=())
    vetoed: bool = False  # the person takes it back
    undone: bool = False  # it, or a change that it was built on, is vetoed

    @property
    def is_open(self) -> bool:
        return self.verdict is None

    @property
    def is_kept(self) -> bool:
        """Kept, and not vetoed since."""
        return self.verdict is Verdict.KEEP and not self.undone

    @property
    def is_taken_back(self) -> bool:
        """Kept by the rule, and undone since."""
        return self.verdict is Verdict.KEEP and self.undone

    @property
    def is_imported(self) -> bool:
        """Read from a log of somebody else's: no times, no seed, and perhaps no files."""
        return self.researcher == IMPORTED

    @property
    def commit_name(self) -> str:
        """Its commit, or what an imported log calls it; "" where there is neither."""
        given = self.details.get("commit", "") if self.is_imported else ""
        return self.commit or str(given)

    @property
    def short_commit(self) -> str:
        """The same, as short as it is shown."""
        return (self.commit or "")[:7] or self.commit_name

    @property
    def standing(self) -> str:
        """The verdict in a word, as it stands after the person's word: vetoed, undone, keep, ..."""
        if self.is_taken_back:
            return "vetoed" if self.vetoed else "undone"
        return self.verdict.value if self.verdict else "running"

    @property
    def answer(self) -> str:
        """What the verdict says to the hypothesis."""
        if self.score is None:
            return "not tested"
        answers = {Verdict.KEEP: "supported", Verdict.DISCARD: "not supported"}
        return answers.get(self.verdict or Verdict.FAILED, "not tested")

    @property
    def resolved(self) -> dict[str, Scalar]:
        """The configuration that its last run reported, as far as it is numbers and words."""
        config = self.last_run.config if self.last_run else {}
        return {name: value for name, value in config.items() if isinstance(value, Scalar)}

    @property
    def tier(self) -> int | None:
        """Of the weakest box that its runs had; None where none tells of one."""
        tiers = (int(run.figures["tier"]) for run in self.runs if "tier" in run.figures)
        return min(tiers, default=None)

    @property
    def last_run(self) -> Run | None:
        return self.runs[-1] if self.runs else None


def weakest_tier(experiments: Iterable[Experiment]) -> int | None:
    """Of the boxes that the scored runs had; None where it is not known of each."""
    runs = [run for each in experiments for run in each.runs if run.score is not None]
    return min((int(run.figures.get("tier", 0)) for run in runs), default=0) or None


def incumbent(experiments: Iterable[Experiment], *, lower: bool) -> Experiment | None:
    """The best of the kept experiments, by score: what the next change starts from.

    Of equals it is the later one. `lower` is better, or higher. Each kept change is better than
    the incumbent of its moment, so this is the latest one, unless a veto was taken back.
    """
    kept = [each for each in experiments if each.is_kept]
    scored = [each for each in kept if each.score is not None]
    if not scored:
        return kept[-1] if kept else None
    sign = -1.0 if lower else 1.0
    return max(scored, key=lambda each: (sign * (each.score or 0.0), each.number))
