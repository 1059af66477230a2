"""A study flattened: a row of plain values for each experiment, whatever the format.

Every number is the store's, or follows from it in the one way that its comment says. Words of
experiments are cleaned. docs/exports.md lists the columns; a test keeps it true.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.analysis.view import StudyView, has_score, score_of
from autoresearch.errors import StudyError
from autoresearch.experiment import UNKNOWN_SEED, Experiment, Usage
from autoresearch.lab import Lab, curve_path
from autoresearch.program import Program
from autoresearch.store import Store, StudyRow
from autoresearch.text import json_value, plain

MOST_CURVE_BYTES = 64 * 2**20  # of one experiment


@dataclass(frozen=True, slots=True)
class Row:
    """One finished experiment. None: not known, or there is none."""

    study: str
    number: int
    parent: int | None
    verdict: str
    kept: bool  # and it still stands: neither it nor what it was built on is vetoed
    vetoed: bool  # the person took it back
    undone: bool  # it, or a change that it was built on, is vetoed
    score: float | None
    delta: float | None  # score minus the incumbent's at that moment
    gain: float | None  # the same, positive when it is better
    best: float | None  # the best score of the kept ones up to here
    runs: int
    scores: str  # JSON: of each run that has one
    description: str
    hypothesis: str
    reason: str
    researcher: str
    commit: str | None
    started_at: str | None
    finished_at: str | None
    seconds: float | None  # wall time of the whole experiment
    seed: int | None  # of its last run, as all from here to `num_steps`
    training_seconds: float | None
    peak_memory_mb: float | None
    num_params: float | None
    tokens: float | None
    num_steps: float | None
    tier: int | None  # the weakest box that its runs had
    input_tokens: int | None  # of its proposal, as the next three
    output_tokens: int | None
    cached_tokens: int | None
    cost_usd: float | None
    figures: str  # JSON: all that is known of its last run
    config: str  # JSON: the configuration that its last run had


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said once of the whole study."""

    tag: str
    imported: bool
    created_at: str | None
    researcher: str
    seed: int | None
    keep_rule: str | None
    metric: str
    direction: str
    budget_seconds: float | None
    machine: Mapping[str, str]
    experiments: int  # without the baseline
    kept: int
    baseline: float | None
    best: float | None
    best_number: int | None
    best_commit: str | None


@dataclass(frozen=True, slots=True)
class Point:
    """Of a loss curve."""

    seconds: float
    step: int
    loss: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Export:
    """What every format is given."""

    facts: Facts
    rows: tuple[Row, ...]
    curves: Mapping[int, Sequence[Point]] = field(default_factory=dict)  # by experiment

    @property
    def kept(self) -> tuple[Row, ...]:
        """The baseline and the kept changes."""
        return tuple(row for row in self.rows if row.kept)


def gather(lab: Lab, store: Store, tag: str, program: Program, with_curves: bool) -> Export:
    """Everything of a study that an export may say. Raises StudyError when that is nothing."""
    view = StudyView(tag, program, store.experiments(tag))
    rows = tuple(flattened(view, store.usage(tag)))
    if not rows:
        raise StudyError(f"study {tag} has no finished experiment yet: there is nothing to export")
    folder = lab.study_folder(tag)
    curves = dict(read_curves(folder, [row.number for row in rows])) if with_curves else {}
    return Export(facts_of(view, store.study(tag)), rows, curves)


def facts_of(view: StudyView, row: StudyRow) -> Facts:
    first, best, program = view.baseline, view.best, view.program
    return Facts(
        tag=view.tag,
        imported=view.is_imported,
        created_at=row.created_at or None,
        researcher=plain(row.researcher),
        seed=None if row.seed == UNKNOWN_SEED else row.seed,
        keep_rule=row.keep_rule or None,
        metric=program.metric,
        direction=program.direction,
        budget_seconds=program.budget_seconds or None,
        machine={plain(name): plain(value) for name, value in row.machine.items()},
        experiments=len(view.tried),
        kept=len(view.kept),
        baseline=score_of(first) if first else None,
        best=score_of(best) if best else None,
        best_number=best.number if best else None,
        best_commit=best.commit if best else None,
    )


def flattened(view: StudyView, used: Mapping[int, Usage]) -> Iterator[Row]:
    """The rows, with the best so far carried along."""
    best: float | None = None
    for each in view.closed:
        if each.is_kept and has_score(each):
            score = score_of(each)
            best = score if best is None or view.program.is_better(score, best) else best
        yield row_of(view, each, used.get(each.number, Usage()), best)


def row_of(view: StudyView, each: Experiment, used: Usage, best: float | None) -> Row:
    run = each.last_run
    figures = {plain(name): value for name, value in run.figures.items()} if run else {}
    known = run is not None and run.seed != UNKNOWN_SEED
    return Row(
        study=view.tag,
        number=each.number,
        parent=each.parent,
        verdict=str(each.verdict),
        kept=each.is_kept,
        vetoed=each.vetoed,
        undone=each.undone,
        score=each.score,
        delta=each.delta,
        gain=None if each.delta is None else view.as_gain(each.delta),
        best=best,
        runs=len(each.runs),
        scores=json.dumps(json_value([one.score for one in each.runs if one.score is not None])),
        description=plain(each.description),
        hypothesis=plain(each.hypothesis),
        reason=plain(each.reason),
        researcher=plain(each.researcher),
        commit=plain(each.commit_name) or None,
        started_at=each.started_at or None,
        finished_at=each.finished_at or None,
        seconds=each.seconds,
        seed=run.seed if run and known else None,
        training_seconds=figures.get("training_seconds"),
        peak_memory_mb=figures.get("peak_memory_mb"),
        num_params=figures.get("num_params"),
        tokens=figures.get("tokens"),
        num_steps=figures.get("num_steps"),
        tier=each.tier,
        input_tokens=None if each.is_imported else used.input_tokens,
        output_tokens=None if each.is_imported else used.output_tokens,
        cached_tokens=None if each.is_imported else used.cached_tokens,
        cost_usd=used.cost_usd,
        figures=json.dumps(json_value(figures)),
        config=json.dumps(json_value(dict(run.config) if run else {})),
    )


def read_curves(folder: Path, numbers: Sequence[int]) -> Iterator[tuple[int, list[Point]]]:
    """The curves that are there. A line that is being written at this moment is left out."""
    for number in numbers:
        try:
            with curve_path(folder, number).open("rb") as file:
                lines = file.read(MOST_CURVE_BYTES).splitlines()
        except OSError:
            continue
        if points := [point for line in lines if (point := read_point(line))]:
            yield number, points


def read_point(line: bytes) -> Point | None:
    try:
        seconds, step, loss, tokens = json.loads(line)
        return Point(float(seconds), int(step), float(loss), float(tokens))
    except (ValueError, TypeError, OverflowError):
        return None
