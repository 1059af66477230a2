"""Writes experiments that never ran into a store, at once."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from autoresearch.experiment import Experiment
from autoresearch.program import Program
from autoresearch.store import Store


def write_study(
    path: Path,
    tag: str,
    experiments: Iterable[Experiment],
    *,
    program: Program | None = None,
    machine: Mapping[str, str] | None = None,
) -> None:
    """A study of its own in the store at `path`, whose rows are these experiments."""
    with Store(path) as store:
        contract = (program or Program()).contract()
        store.create_study(tag, contract, seed=0, researcher="knobs", machine=machine or {})
    with closing(sqlite3.connect(path)) as db, db:
        for each in experiments:
            insert(db, "experiments", experiment_row(tag, each))
            for run in each.runs:
                facts = {"index": run.index, "seed": run.seed, "started_at": run.started_at}
                words = {"outcome": run.outcome, "score": run.score, "reason": run.reason}
                more = {
                    "figures": json.dumps(dict(run.figures)),
                    "config": json.dumps(dict(run.config)),
                }
                insert(
                    db, "runs", {"study": tag, "experiment": each.number, **facts, **words, **more}
                )


def experiment_row(tag: str, each: Experiment) -> dict[str, Any]:
    names = (
        *("number", "parent", "started_at", "finished_at", "commit", "description", "hypothesis"),
        *("researcher", "reason", "score", "delta", "seconds"),
    )
    row: dict[str, Any] = {name: getattr(each, name) for name in names}
    verdict = each.verdict.value if each.verdict else None
    details = json.dumps(dict(each.details))
    return {"study": tag, **row, "verdict": verdict, "details": details}


def insert(db: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
