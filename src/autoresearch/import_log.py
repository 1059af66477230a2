"""The original's results.tsv, read as a finished study of this lab.

Nothing is made up. The log has no times, seeds or machine, so the study has none: times are empty,
a seed is UNKNOWN_SEED, a row is one run. What the log calls a commit stays in `details`; an
experiment has a commit only where git has it.
"""

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch import git
from autoresearch.errors import StudyError
from autoresearch.experiment import IMPORTED, UNKNOWN_SEED, Experiment, Run, Verdict
from autoresearch.lab import TAG, Lab, valid_tag
from autoresearch.program import Limits, Program, metric_name
from autoresearch.store import Store, StudyRow
from autoresearch.text import clean_line, numbered

COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")
STATUSES = (Verdict.KEEP, Verdict.DISCARD, Verdict.CRASH)
MOST_BYTES = 64 * 2**20
LONGEST_DESCRIPTION = 500
LARGEST = 1e300  # as for what a run reports: differences stay finite
REASONS = {
    Verdict.KEEP: "kept, says the imported log",
    Verdict.DISCARD: "discarded, says the imported log",
    Verdict.CRASH: "crashed, says the imported log",
}
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the log."""

    line: int  # in the file, from 1
    commit: str
    score: float
    memory_gb: float
    verdict: Verdict
    description: str


@dataclass(frozen=True, slots=True)
class Log:
    """The whole of it. The second column's heading is the metric."""

    metric: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person said of the log. None: take what it says, or leave it unknown."""

    tag: str | None = None
    metric: str | None = None
    direction: str = "lower"
    budget_seconds: float | None = None


def take_in(lab: Lab, store: Store, path: Path, wanted: Wanted) -> StudyRow:
    """Add the log as a study of the lab; all of it or nothing. Raises StudyError."""
    log = read(read_text(path), clean_line(path.name), wanted.metric)
    tag = tag_of(path) if wanted.tag is None else valid_tag(wanted.tag)
    program = replace(
        Program.load(lab.root / "program.md"),
        metric=log.metric,
        direction=wanted.direction,
        budget_seconds=wanted.budget_seconds or 0.0,
        limits=Limits(),  # the lab's were not that night's
    )
    study = StudyRow(tag, "", program.contract(), UNKNOWN_SEED, IMPORTED, {}, keep_rule="")
    commits = git.known_commits(lab.repository, {row.commit for row in log.rows if named(row)})
    found = experiments(log.rows, program, commits)
    store.insert(study, found, file=clean_line(path.name), rows=len(found))
    return study


def tag_of(path: Path) -> str:
    """A tag from the file's name; `results.tsv`, as all are called, says nothing."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:64]
    return valid_tag(name) if TAG.fullmatch(name) and name != "results" else IMPORTED


def named(row: Row) -> bool:
    """Whether the first column can be a commit's name: a log may have any word there."""
    return _COMMIT.fullmatch(row.commit) is not None


def read_text(path: Path) -> str:
    """What stands in a file, or comes from a pipe (`<(zcat results.tsv.gz)`). Raises StudyError."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise StudyError(f"{path} is neither a file nor a pipe")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise StudyError(f"{path} has more than {MOST_BYTES // 2**20} MB: no log of a study")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path} is no UTF-8 text (byte {error.start}): save it as that"
        ) from error
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from error


def read(text: str, where: str, named_metric: str | None = None) -> Log:
    """The log that a text is. Raises StudyError, which names the line and the column.

    `named_metric` is what its scores are, whatever the heading calls them.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled:
        raise StudyError(f"{where} is empty: it must begin with the heading {' '.join(COLUMNS)}")
    number, heading = filled[0]
    metric = read_heading(heading.split("\t"), f"{where} line {number}", named_metric)
    rows = tuple(read_row(line, n, f"{where} line {n}", metric) for n, line in filled[1:])
    if not rows:
        raise StudyError(f"{where} has a heading and no rows: there is nothing to import")
    if rows[0].verdict is not Verdict.KEEP:
        raise StudyError(
            f"{where} line {rows[0].line}, column status: the first row is the baseline, which "
            f"must be kept, and it is {rows[0].verdict}: put the baseline's row first"
        )
    return Log(metric, rows)


def read_heading(names: Sequence[str], where: str, named_metric: str | None) -> str:
    wanted = "tab-separated: " + ", ".join(COLUMNS)
    if len(names) != len(COLUMNS):
        raise StudyError(
            f"{where}: the heading has {numbered(len(names), 'column')}; it must have 5, {wanted}"
        )
    for place, (name, right) in enumerate(zip(names, COLUMNS, strict=True), 1):
        if place != 2 and name.strip() != right:
            raise StudyError(
                f"{where}, column {place}: the heading is {clean_line(name, 40)!r} and must be "
                f"{right!r} ({wanted})"
            )
    try:
        return metric_name(names[1].strip() if named_metric is None else named_metric)
    except ValueError as error:
        words = clean_line(str(error))
        if named_metric is not None:
            raise StudyError(f"--metric {words}") from error
        raise StudyError(f"{where}, column 2: {words}, or name it with --metric") from error


def read_row(line: str, number: int, where: str, metric: str) -> Row:
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        raise StudyError(
            f"{where} has {numbered(len(cells), 'tab-separated column')}; it must have 5"
        )
    commit, score, memory, status, words = (cell.strip() for cell in cells)
    if status not in STATUSES:
        names = ", ".join(STATUSES)
        raise StudyError(f"{where}, column status: {clean_line(status, 40)!r} is none of {names}")
    if status == Verdict.CRASH:  # whatever stands there is no score: 0.000000, nan, - or nothing
        score, memory = "0", memory if is_number(memory) else "0"
    return Row(
        number, clean_line(commit, 80),
        read_number(score, f"{where}, column {metric}"),
        max(0.0, read_number(memory, f"{where}, column memory_gb")),
        Verdict(status), clean_line(words, LONGEST_DESCRIPTION),
    )  # fmt: skip


def read_number(text: str, where: str) -> float:
    if not is_number(text):
        raise StudyError(f"{where}: {clean_line(text, 40)!r} is no finite number below {LARGEST:g}")
    return float(text)


def is_number(text: str) -> bool:
    try:
        return abs(float(text)) < LARGEST  # false of NaN, too
    except ValueError:
        return False


def experiments(
    rows: Sequence[Row], program: Program, commits: Mapping[str, str]
) -> tuple[Experiment, ...]:
    """An experiment a row: its parent is the last kept one before, its delta is over the best."""
    found = list[Experiment]()
    parent: int | None = None
    best: float | None = None
    for number, row in enumerate(rows):
        score = None if row.verdict is Verdict.CRASH else row.score  # a crash's 0.000000 is none
        delta = None if score is None or best is None else score - best
        found.append(experiment(number, parent, row, score, delta, commits.get(row.commit)))
        if row.verdict is Verdict.KEEP and score is not None:
            parent = number
            best = score if best is None or program.is_better(score, best) else best
    return tuple(found)


def experiment(
    number: int, parent: int | None, row: Row, score: float | None, delta: float | None,
    commit: str | None,
) -> Experiment:  # fmt: skip
    figures = {"peak_memory_mb": row.memory_gb * 1024} if row.memory_gb else {}
    outcome = "scored" if score is not None else row.verdict.value
    return Experiment(
        number, parent, "", commit=commit, description=row.description, researcher=IMPORTED,
        details={"commit": row.commit, "line": row.line}, verdict=row.verdict,
        reason=REASONS[row.verdict], score=score, delta=delta,
        runs=(Run(0, UNKNOWN_SEED, outcome, "", score, figures=figures),),
    )  # fmt: skip
