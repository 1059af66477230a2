"""The store: one SQLite file with everything that is known of every study of a lab.

It is a public product: `docs/store.md` documents the tables, and reading it with any SQLite tool
while a study runs is fine. Writes are transactions on a write-ahead log with full synchronisation:
after a power cut an experiment is either there or not, never half.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from autoresearch.errors import StudyError
from autoresearch.experiment import Experiment, Run, Usage, Verdict
from autoresearch.final import Final

MIGRATIONS = (
    """
    CREATE TABLE studies (
        tag TEXT PRIMARY KEY,
        created_at TEXT NOT NULL,
        contract TEXT NOT NULL,              -- JSON: the program's front matter, defaults included
        seed INTEGER NOT NULL,
        researcher TEXT NOT NULL,
        machine TEXT NOT NULL DEFAULT '{}'   -- JSON: what it ran on
    );
    CREATE TABLE experiments (
        study TEXT NOT NULL REFERENCES studies (tag) ON DELETE CASCADE,
        number INTEGER NOT NULL,             -- 0 is the baseline
        parent INTEGER,
        started_at TEXT NOT NULL,
        finished_at TEXT,
        "commit" TEXT,
        description TEXT NOT NULL DEFAULT '',
        hypothesis TEXT NOT NULL DEFAULT '',
        researcher TEXT NOT NULL DEFAULT '',
        details TEXT NOT NULL DEFAULT '{}',  -- JSON: the researcher's own notes
        verdict TEXT,                        -- NULL while it is open
        reason TEXT NOT NULL DEFAULT '',
        score REAL,
        delta REAL,                          -- score minus the incumbent's at that moment
        seconds REAL,
        PRIMARY KEY (study, number)
    );
    CREATE TABLE runs (
        study TEXT NOT NULL,
        experiment INTEGER NOT NULL,
        "index" INTEGER NOT NULL,
        seed INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        outcome TEXT NOT NULL,               -- running, scored, interrupted, or a verdict
        score REAL,
        reason TEXT NOT NULL DEFAULT '',
        figures TEXT NOT NULL DEFAULT '{}',  -- JSON: seconds, memory, tokens, ...
        config TEXT NOT NULL DEFAULT '{}',   -- JSON: the configuration that ran
        PRIMARY KEY (study, experiment, "index"),
        FOREIGN KEY (study, experiment) REFERENCES experiments (study, number) ON DELETE CASCADE
    );
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        study TEXT NOT NULL,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL DEFAULT '{}'      -- JSON
    );
    CREATE INDEX events_by_study ON events (study, id);
    """,
    "ALTER TABLE studies ADD COLUMN keep_rule TEXT NOT NULL DEFAULT 'greedy'",
    """
    CREATE TABLE usage (                     -- what calls of models took
        id INTEGER PRIMARY KEY,
        study TEXT NOT NULL REFERENCES studies (tag) ON DELETE CASCADE,
        experiment INTEGER NOT NULL,
        at TEXT NOT NULL,
        researcher TEXT NOT NULL,
        model TEXT NOT NULL DEFAULT '',
        input_tokens INTEGER NOT NULL,       -- cached ones included
        output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        cost_usd REAL                        -- NULL: nobody said
    );
    CREATE INDEX usage_by_study ON usage (study, experiment);
    """,
    """
    -- of a person's order; NULL for what happened by itself
    ALTER TABLE events ADD COLUMN key TEXT;
    CREATE UNIQUE INDEX events_by_key ON events (study, key);
    -- 1: the person took it back
    ALTER TABLE experiments ADD COLUMN vetoed INTEGER NOT NULL DEFAULT 0;
    -- 1: it, or a change that it was built on, is vetoed
    ALTER TABLE experiments ADD COLUMN undone INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- JSON: what a session that goes on had told of itself by then; else NULL
    ALTER TABLE usage ADD COLUMN totals TEXT
    """,
)
SETTINGS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")
UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
BUSY_SECONDS = 30.0  # that somebody else may write before we give up
ASK_SECONDS = 1.0  # the same while there is patience, before it is asked whether to go on
RUNNING, INTERRUPTED = "running", "interrupted"
STARTED, OVER = "started", "over"  # events: an engine began to work on the study, and ended
TROUBLE = "trouble"  # an event: failures in a row, a full disk
ENGINES = (  # kinds of events that only the engine may write
    *("started", "over", "trouble", "resumed", "stopped", "waited", "paused", "carried", "taken"),
    *("limits", "final"),
)


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study's own row."""

    tag: str
    created_at: str
    contract: Mapping[str, Any]
    seed: int
    researcher: str
    machine: Mapping[str, str]
    keep_rule: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a study beside its experiments."""

    id: int  # grows with time, within the store
    at: str  # ISO 8601, UTC
    kind: str
    data: Mapping[str, Any]
    key: str | None = None  # of a person's order: the same key, the same order


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Store:
    """Facts in, facts out. Raises StudyError when the file is not one of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ask: Callable[[], None] | None = None
        self._open()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            self._set_up()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in UNWRITABLE and self._open_to_read():
                return
            is_none = code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
            mend = (
                " Move it away to start over; git still holds every attempt below "
                "refs/autoresearch/."
            )
            words = f"{self.path} cannot be opened: {error}.{mend if is_none else ''}"
            raise StudyError(words) from error

    def _open_to_read(self) -> bool:
        """Where it cannot be written, by its permissions or its disk: whether it can be read.

        SQLite reads a write-ahead log only where it can note that beside it. Where there is no
        log, nobody writes at this moment, and the file itself is all.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        is_whole = not log.exists() or not log.stat().st_size
        for mode in ("mode=ro", *(["immutable=1"] if is_whole else [])):
            place = f"{self.path.absolute().as_uri()}?{mode}"
            with suppress(sqlite3.DatabaseError):
                self._db = sqlite3.connect(place, uri=True, isolation_level=None)
                self._set_up(("PRAGMA query_only = ON",))
                return True
        return False

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_up(self, settings: tuple[str, ...] = SETTINGS) -> None:
        try:
            self._db.row_factory = sqlite3.Row
            for each in settings:
                self._db.execute(each)
            self._migrate()
        except BaseException:
            self._db.close()
            raise

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StudyError(
                f"{self.path} was written by a newer autoresearch (schema {version}): upgrade first"
            )
        if version == len(MIGRATIONS):
            return
        with self._transaction():  # another process may be doing the same at this moment
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            for number, script in enumerate(MIGRATIONS[version:], version + 1):
                for statement in script.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        if self._db.in_transaction:  # a part of a larger one
            yield
            return
        self._begin(kind)
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _begin(self, kind: str) -> None:
        while True:
            try:
                self._db.execute(f"BEGIN {kind}")
                return
            except sqlite3.OperationalError as error:
                if self._ask is None or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                self._ask()

    @contextmanager
    def patient(self, ask: Callable[[], None]) -> Iterator[None]:
        """Inside, somebody else may write for as long as they like: it is tried again and again.

        `ask` is called each second meanwhile, and raises to give up.
        """
        self._ask = ask
        self._db.execute(f"PRAGMA busy_timeout = {int(1000 * ASK_SECONDS)}")
        try:
            yield
        finally:
            self._ask = None
            self._db.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_SECONDS)}")

    # studies

    def create_study(
        self,
        tag: str,
        contract: Mapping[str, Any],
        *,
        seed: int,
        researcher: str,
        machine: Mapping[str, str],
        keep_rule: str = "confirm",
    ) -> StudyRow:
        study = StudyRow(tag, now(), contract, seed, researcher, machine, keep_rule)
        with self._transaction():
            self._insert_study(study)
        return self.study(tag)

    def _insert_study(self, study: StudyRow) -> None:
        self._db.execute(
            "INSERT INTO studies (tag, created_at, contract, seed, researcher, machine,"
            " keep_rule) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(study.tag, study.created_at, json.dumps(dict(study.contract)), study.seed),
                *(study.researcher, json.dumps(dict(study.machine)), study.keep_rule),
            ),
        )

    def insert(self, study: StudyRow, experiments: Iterable[Experiment], **event: Any) -> None:
        """Add a finished study whole, or nothing of it. Raises StudyError when its tag is taken.

        `event` is the data of its first event, `imported`.
        """
        experiments = tuple(experiments)
        with self._transaction():
            if study.tag in self.tags():
                raise StudyError(
                    f"there is a study {study.tag} in this lab already: name another with --tag"
                )
            self._insert_study(study)
            self._db.executemany(
                "INSERT INTO experiments (study, number, parent, started_at, finished_at,"
                ' "commit", description, hypothesis, researcher, details, verdict, reason, score,'
                " delta, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [experiment_row(study.tag, each) for each in experiments],
            )
            self._db.executemany(
                'INSERT INTO runs (study, experiment, "index", seed, started_at, outcome, score,'
                " reason, figures, config) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [run_row(study.tag, each, run) for each in experiments for run in each.runs],
            )
            self.event(study.tag, "imported", **event)

    def study(self, tag: str) -> StudyRow:
        """Raises StudyError when there is none."""
        is_text = tag.isprintable()  # bytes that are none cannot be asked for
        row = is_text and self._db.execute("SELECT * FROM studies WHERE tag = ?", (tag,)).fetchone()
        if not row:
            known = ", ".join(self.tags()) or "none yet"
            raise StudyError(f"no study {tag!r} in this lab (there are: {known})")
        facts = dict(row)
        return StudyRow(**{k: json.loads(v) if k in JSON_COLUMNS else v for k, v in facts.items()})

    def tags(self) -> list[str]:
        """The studies, the one that was worked on last at the end."""
        rows = self._db.execute(
            "SELECT tag FROM studies ORDER BY (SELECT max(started_at) FROM experiments"
            " WHERE study = tag) NULLS FIRST, created_at"
        )
        return [row["tag"] for row in rows]

    def forget(self, tag: str) -> None:
        """Remove a study that has no result, so that its tag can be used again."""
        with self._transaction():
            self._db.execute("DELETE FROM studies WHERE tag = ?", (tag,))

    # experiments

    def experiments(self, tag: str) -> tuple[Experiment, ...]:
        """All of them, open ones included, by number."""
        return self._read(tag, 0, 2**62)

    def experiment(self, tag: str, number: int) -> Experiment:
        """Raises StudyError when there is none."""
        if abs(number) < 2**63:  # SQLite has no larger ones
            for each in self._read(tag, number, number):
                return each
        raise StudyError(f"study {tag} has no experiment {number}: see `autoresearch log`")

    def _read(self, tag: str, first: int, last: int) -> tuple[Experiment, ...]:
        runs: dict[int, list[Run]] = {}
        these = (tag, first, last)
        with self._transaction("DEFERRED"):  # both tables as of one moment
            select = "SELECT * FROM runs WHERE study = ? AND experiment BETWEEN ? AND ?"
            for row in self._db.execute(f'{select} ORDER BY experiment, "index"', these):
                runs.setdefault(row["experiment"], []).append(read_run(row))
            select = "SELECT * FROM experiments WHERE study = ? AND number BETWEEN ? AND ?"
            rows = self._db.execute(f"{select} ORDER BY number", these).fetchall()
        return tuple(read_experiment(row, tuple(runs.get(row["number"], ()))) for row in rows)

    def begin(self, tag: str, parent: int | None, researcher: str) -> Experiment:
        """Open the next experiment; an open one that was left behind is taken up again."""
        with self._transaction():
            row = self._db.execute(
                "SELECT number FROM experiments WHERE study = ? AND verdict IS NULL", (tag,)
            ).fetchone()
            if row is None:
                row = self._db.execute(
                    "INSERT INTO experiments"
                    " (study, number, parent, started_at, researcher, undone)"
                    " SELECT ?, coalesce(max(number) + 1, 0), ?, ?, ?,"
                    " coalesce(max(CASE WHEN number = ? THEN undone END), 0)"
                    " FROM experiments WHERE study = ? RETURNING number",
                    (tag, parent, now(), researcher, parent, tag),
                ).fetchone()
            else:  # somebody else may propose now
                self._db.execute(
                    "UPDATE experiments SET researcher = ?"
                    ' WHERE study = ? AND number = ? AND "commit" IS NULL',
                    (researcher, tag, row["number"]),
                )
        return self.experiment(tag, row["number"])

    def proposed(self, tag: str, experiment: Experiment) -> None:
        """Record what was proposed, and its commit; a finished experiment never changes."""
        with self._transaction():
            self._db.execute(
                'UPDATE experiments SET "commit" = ?, description = ?, hypothesis = ?,'
                " details = ?, researcher = ? WHERE study = ? AND number = ? AND verdict IS NULL",
                (
                    *(experiment.commit, experiment.description, experiment.hypothesis),
                    *(json.dumps(dict(experiment.details)), experiment.researcher),
                    *(tag, experiment.number),
                ),
            )

    def begin_run(self, tag: str, number: int, seed: int) -> int:
        """Record that a run starts; returns its index."""
        with self._transaction():
            row = self._db.execute(
                'INSERT INTO runs (study, experiment, "index", seed, started_at, outcome)'
                ' SELECT ?, ?, coalesce(max("index") + 1, 0), ?, ?, ?'
                ' FROM runs WHERE study = ? AND experiment = ? RETURNING "index"',
                (tag, number, seed, now(), RUNNING, tag, number),
            ).fetchone()
        return int(row["index"])

    def finish_run(self, tag: str, number: int, run: Run) -> None:
        with self._transaction():
            self._db.execute(
                "UPDATE runs SET outcome = ?, score = ?, reason = ?, figures = ?, config = ?"
                ' WHERE study = ? AND experiment = ? AND "index" = ? AND outcome = ?',
                (
                    *(run.outcome, run.score, run.reason, json.dumps(dict(run.figures))),
                    *(json.dumps(dict(run.config)), tag, number, run.index, RUNNING),
                ),
            )

    def interrupt_runs(self, tag: str) -> int:
        """Close the runs that a killed engine left; returns how many there were."""
        with self._transaction():
            update = "UPDATE runs SET outcome = ?, reason = ? WHERE study = ? AND outcome = ?"
            reason = "the engine was stopped during this run"
            return self._db.execute(update, (INTERRUPTED, reason, tag, RUNNING)).rowcount

    def finish(
        self,
        tag: str,
        number: int,
        verdict: Verdict,
        reason: str,
        *,
        score: float | None = None,
        delta: float | None = None,
        seconds: float | None = None,
    ) -> Experiment:
        """Give an open experiment its verdict; a finished one never changes."""
        with self._transaction():
            self._db.execute(
                "UPDATE experiments SET verdict = ?, reason = ?, score = ?, delta = ?, seconds = ?,"
                " finished_at = ? WHERE study = ? AND number = ? AND verdict IS NULL",
                (verdict.value, reason, score, delta, seconds, now(), tag, number),
            )
        return self.experiment(tag, number)

    # tokens and money

    def spend(
        self,
        tag: str,
        number: int,
        researcher: str,
        usage: Usage,
        model: str = "",
        totals: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what a call took, at once: what was paid for is known after a power cut, too."""
        counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cost_usd)
        told = None if totals is None else json.dumps(dict(totals))
        with self._transaction():
            self._db.execute(
                "INSERT INTO usage (study, experiment, at, researcher, model, input_tokens,"
                " output_tokens, cached_tokens, cost_usd, totals)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (tag, number, now(), researcher, model, *counts, told),
            )

    def usage(self, tag: str) -> dict[int, Usage]:
        """What each experiment's proposal took, by number; those that took nothing are left out."""
        rows = self._db.execute(
            "SELECT experiment, sum(input_tokens), sum(output_tokens), sum(cached_tokens),"
            " sum(cost_usd) FROM usage WHERE study = ? GROUP BY experiment",
            (tag,),
        )
        return {number: Usage(*counts) for number, *counts in rows}

    def totals(self, tag: str) -> Iterator[Mapping[str, Any]]:
        """What sessions had told when they were counted, the newest first."""
        select = "SELECT totals FROM usage WHERE study = ? AND totals IS NOT NULL ORDER BY id DESC"
        for row in self._db.execute(select, (tag,)):
            yield json.loads(row["totals"])

    # events

    def event(self, tag: str, kind: str, **data: Any) -> None:
        """Append to the study's history: resumed, stopped, ..."""
        row = (tag, now(), kind, json.dumps(data))
        with self._transaction():
            self._db.execute("INSERT INTO events (study, at, kind, data) VALUES (?, ?, ?, ?)", row)

    def events(self, tag: str, *, after: int = 0, kinds: Collection[str] = ()) -> list[Event]:
        """Those with a larger id than `after`, oldest first; of some kinds, or of all."""
        marks = ", ".join("?" * len(kinds))
        some = f" AND kind IN ({marks})" if kinds else ""
        rows = self._db.execute(
            f"SELECT id, at, kind, data, key FROM events WHERE study = ? AND id > ?{some}"  # noqa: S608
            " ORDER BY id",
            (tag, after, *kinds),
        )
        return [read_event(row) for row in rows]

    def last_event(self, tag: str) -> int:
        """The id of the latest one; 0 where there is none."""
        select = "SELECT coalesce(max(id), 0) FROM events WHERE study = ?"
        return int(self._db.execute(select, (tag,)).fetchone()[0])

    @property
    def version(self) -> tuple[int, int]:
        """Another one whenever somebody has written, in this process or elsewhere. Cheap."""
        return self._db.execute("PRAGMA data_version").fetchone()[0], self._db.total_changes

    # a person's orders

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """All that is read and written inside is one transaction."""
        with self._transaction():
            yield

    def order(self, tag: str, kind: str, data: Mapping[str, Any], key: str) -> int:
        """Write down what a person wants; returns the event's id. The same key is written once."""
        with self._transaction():
            known = self.ordered(tag, key)
            if known is not None:
                return known.id
            return int(
                self._db.execute(
                    "INSERT INTO events (study, at, kind, data, key) VALUES (?, ?, ?, ?, ?)"
                    " RETURNING id",
                    (tag, now(), kind, json.dumps(dict(data)), key),
                ).fetchone()[0]
            )

    def ordered(self, tag: str, key: str) -> Event | None:
        """The order with this key, if it was given."""
        select = "SELECT id, at, kind, data, key FROM events WHERE study = ? AND key = ?"
        row = self._db.execute(select, (tag, key)).fetchone()
        return None if row is None else read_event(row)

    def veto(self, tag: str, number: int, is_vetoed: bool) -> None:
        """Take a kept change back, or restore it, and mark all that was built on vetoed ones."""
        with self._transaction():
            self._db.execute(
                "UPDATE experiments SET vetoed = ? WHERE study = ? AND number = ?",
                (int(is_vetoed), tag, number),
            )
            self._db.execute(
                "UPDATE experiments SET undone = number IN ("
                " WITH RECURSIVE hit (number) AS ("
                " SELECT number FROM experiments WHERE study = :study AND vetoed"
                " UNION SELECT child.number FROM experiments AS child"
                " JOIN hit ON child.parent = hit.number WHERE child.study = :study"
                ") SELECT number FROM hit) WHERE study = :study",
                {"study": tag},
            )

    def is_undone(self, tag: str, number: int) -> bool:
        """Whether an experiment, or a change that it was built on, is vetoed."""
        select = "SELECT undone FROM experiments WHERE study = ? AND number = ?"
        row = self._db.execute(select, (tag, number)).fetchone()
        return row is not None and bool(row[0])

    def final(self, tag: str) -> Final | None:
        """What the sealed text said when it was opened; None while it is sealed."""
        for each in self.events(tag, kinds=("final",)):
            data = each.data
            scores = tuple(data["baseline"]), tuple(data["best"])
            return Final(each.at, data["number"], *scores, is_fresh="seeds" in data)
        return None


JSON_COLUMNS = {"contract", "machine", "details", "figures", "config"}


def experiment_row(tag: str, each: Experiment) -> tuple[Any, ...]:
    return (
        *(tag, each.number, each.parent, each.started_at, each.finished_at, each.commit),
        *(each.description, each.hypothesis, each.researcher, json.dumps(dict(each.details))),
        *(each.verdict and each.verdict.value, each.reason, each.score, each.delta, each.seconds),
    )


def run_row(tag: str, each: Experiment, run: Run) -> tuple[Any, ...]:
    return (
        *(tag, each.number, run.index, run.seed, run.started_at, run.outcome, run.score),
        *(run.reason, json.dumps(dict(run.figures)), json.dumps(dict(run.config))),
    )


def read_event(row: sqlite3.Row) -> Event:
    return Event(row["id"], row["at"], row["kind"], json.loads(row["data"]), row["key"])


def read_run(row: sqlite3.Row) -> Run:
    facts = {k: row[k] for k in ("index", "seed", "outcome", "started_at", "score", "reason")}
    return Run(**facts, figures=json.loads(row["figures"]), config=json.loads(row["config"]))


def read_experiment(row: sqlite3.Row, runs: tuple[Run, ...]) -> Experiment:
    ours = ("study", "details", "verdict", "vetoed", "undone")
    facts = {k: row[k] for k in row.keys() if k not in ours}  # noqa: SIM118
    verdict = Verdict(row["verdict"]) if row["verdict"] else None
    return Experiment(
        **facts, details=json.loads(row["details"]), verdict=verdict, runs=runs,
        vetoed=bool(row["vetoed"]), undone=bool(row["undone"]),
    )  # fmt: skip
