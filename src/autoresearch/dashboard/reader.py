"""Rows out of the store, by a connection that can only read. What words they hold is hostile."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from autoresearch.errors import StudyError
from autoresearch.experiment import Experiment, Usage
from autoresearch.keep import Score, Spread, measured
from autoresearch.store import Event, Study, read_experiment, read_run
from autoresearch.text import clean_line

LONGEST = 160  # characters of a description or a reason in the table

_ROWS = """SELECT number, parent, verdict, score, delta, round(seconds, 1), description, reason,
    researcher, CAST(strftime('%s', started_at) AS INTEGER),
    CAST(strftime('%s', finished_at) AS INTEGER), vetoed, undone
    FROM experiments WHERE study = ? ORDER BY number"""


class Row(NamedTuple):
    """An experiment as the table and the chart need it. The page knows this order."""

    number: int
    parent: int | None
    verdict: str | None
    score: float | None
    delta: float | None
    seconds: float | None
    description: str
    reason: str
    researcher: str
    started: int | None  # seconds since 1970; an imported one tells no times
    finished: int | None
    vetoed: int
    undone: int


@contextmanager
def reading(path: Path) -> Iterator["Reader"]:
    """A reader for one question."""
    with closing(connect(path)) as db:
        yield Reader(db)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, check_same_thread=False
    )


class Reader:
    """Questions to the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def close(self) -> None:
        self._db.close()

    def version(self) -> int:
        """Changes whenever somebody has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def studies(self) -> list[tuple[str, int]]:
        """Tags and how many experiments each has; the one that was worked on last at the end."""
        return self._db.execute(
            "SELECT tag, count(number) FROM studies LEFT JOIN experiments ON study = tag"
            " GROUP BY tag ORDER BY max(started_at) NULLS FIRST, created_at"
        ).fetchall()

    def study(self, tag: str) -> Study:
        """Raises StudyError when there is none."""
        found = self._db.execute(
            "SELECT tag, created_at, contract, seed, researcher, machine, keep_rule"
            " FROM studies WHERE tag = ?",
            (tag,),
        ).fetchone()
        if found is None:
            raise StudyError(f"no study {clean_line(tag, 64)!r} in this lab")
        tag, created, contract, seed, who, machine, rule = found
        return Study(tag, created, json.loads(contract), seed, who, json.loads(machine), rule)

    def rows(self, tag: str, known: tuple[Row, ...] = ()) -> tuple[Row, ...]:
        """All experiments; those that are as they were `known` are the same objects."""
        raw = self._db.execute(_ROWS, (tag,)).fetchall()
        return tuple(
            known[place] if place < len(known) and unchanged(found, known[place]) else row_of(found)
            for place, found in enumerate(raw)
        )

    def events(self, tag: str, after: int = 0) -> list[Event]:
        found = self._db.execute(
            "SELECT id, at, kind, data, key FROM events WHERE study = ? AND id > ? ORDER BY id",
            (tag, after),
        )
        return [Event(each[0], each[1], each[2], json.loads(each[3]), each[4]) for each in found]

    def usage(self, tag: str, number: int | None = None) -> Usage:
        """What all proposals took, or that of one experiment."""
        found = self._db.execute(
            "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"
            " coalesce(sum(cached_tokens), 0), sum(cost_usd) FROM usage"
            " WHERE study = ? AND experiment = coalesce(?, experiment)",
            (tag, number),
        ).fetchone()
        return Usage(*found)

    def noise(self, tag: str) -> Spread:
        """How far runs stray by luck alone, from the experiments that were run several times."""
        groups: dict[int, list[Score]] = {}
        found = self._db.execute(
            "SELECT experiment, score FROM runs WHERE study = ? AND score IS NOT NULL"
            " AND outcome = 'scored' AND experiment IN (SELECT experiment FROM runs"
            ' WHERE study = ? AND "index" > 0)',
            (tag, tag),
        )
        for number, score in found:
            if isfinite(score):
                groups.setdefault(number, []).append(Score(score))
        return measured(groups.values()).dev

    def experiment(self, tag: str, number: int) -> Experiment:
        """Raises StudyError when there is none."""
        self._db.row_factory = sqlite3.Row
        these = (tag, number)
        found = self._db.execute(
            "SELECT * FROM experiments WHERE study = ? AND number = ?", these
        ).fetchone()
        if found is None:
            raise StudyError(f"study {clean_line(tag, 64)} has no experiment {number}")
        select = 'SELECT * FROM runs WHERE study = ? AND experiment = ? ORDER BY "index"'
        runs = tuple(map(read_run, self._db.execute(select, these)))
        return read_experiment(found, runs)


def unchanged(found: tuple[Any, ...], known: Row) -> bool:
    """Whether a row is as it was: of one that has its verdict only the marks may change."""
    if found[2] is None or found[2] != known.verdict:
        return False
    return found[0] == known.number and found[9:] == known[9:]  # its times, too: begun anew?


def row_of(found: tuple[Any, ...]) -> Row:
    """With its words made harmless and its numbers such that JSON can hold them."""
    row = Row(*found)
    return row._replace(
        score=finite(row.score),
        delta=finite(row.delta),
        seconds=finite(row.seconds),
        description=clean_line(row.description, LONGEST),
        reason=clean_line(row.reason, LONGEST),
        researcher=clean_line(row.researcher, 60),
    )


def finite(number: float | None) -> float | None:
    return number if number is not None and isfinite(number) else None
