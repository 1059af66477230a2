"""Rows out of the store, by a connection that can only read. What words they hold is hostile."""

import sqlite3
from math import isfinite
from typing import NamedTuple

from autoresearch.keep import Score, Spread, measured
from autoresearch.store import Store
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


class Reader(Store):
    """A store that is there, and that cannot be written through this."""

    def _open(self) -> None:
        self._db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=10,
            isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        self._db.row_factory = sqlite3.Row

    def studies(self) -> list[tuple[str, int]]:
        """Tags and how many experiments each has; the one that was worked on last at the end."""
        return self._db.execute(
            "SELECT tag, count(number) FROM studies LEFT JOIN experiments ON study = tag"
            " GROUP BY tag ORDER BY max(started_at) NULLS FIRST, created_at"
        ).fetchall()

    def rows(self, tag: str, known: tuple[Row, ...] = ()) -> tuple[Row, ...]:
        """All experiments; those that are as they were `known` are the same objects."""
        raw = self._db.execute(_ROWS, (tag,)).fetchall()
        return tuple(
            known[place] if place < len(known) and unchanged(found, known[place]) else row_of(found)
            for place, found in enumerate(raw)
        )

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


def unchanged(found: sqlite3.Row, known: Row) -> bool:
    """Whether a row is as it was: of one that has its verdict only the marks may change."""
    if found[2] is None or found[2] != known.verdict:
        return False
    return found[0] == known.number and found[9:] == known[9:]  # its times, too: begun anew?


def row_of(found: sqlite3.Row) -> Row:
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
