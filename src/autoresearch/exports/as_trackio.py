"""trackio, in its own local folder: `TRACKIO_DIR=FOLDER trackio show --project autoresearch`.

The run that is called as the study has the score, the best so far, ... with the experiment's number
as the step; each curve of the baseline and the kept ones is a run of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trackio.sqlite_storage import SQLiteStorage

from autoresearch.analysis.view import moment
from autoresearch.exports.base import kept_list, series
from autoresearch.exports.rows import Export, Point

PROJECT = "autoresearch"
UNKNOWN = datetime.fromtimestamp(0, UTC)


def write(export: Export, path: Path) -> None:
    """Its folder was given to the library when it was imported: TRACKIO_DIR."""
    del path
    facts, rows = export.facts, export.rows
    SQLiteStorage.bulk_log(
        project=PROJECT,
        run=facts.tag,
        metrics_list=[series(row) for row in rows],
        steps=[row.number for row in rows],
        timestamps=[time_of(row.finished_at).isoformat() for row in rows],
        config={**asdict(facts), "kept_changes": kept_list(export)},
    )
    for row in export.kept:
        if curve := export.curves.get(row.number):
            SQLiteStorage.bulk_log(
                project=PROJECT,
                run=f"{facts.tag}/{row.number:04d}",
                metrics_list=[{"loss": each.loss, "seconds": each.seconds} for each in curve],
                steps=[each.step for each in curve],
                timestamps=list(times(curve, time_of(row.started_at))),
                config={"description": row.description, "score": row.score},
            )


def times(curve: Sequence[Point], began: datetime) -> Iterator[str]:
    for each in curve:
        yield (began + timedelta(seconds=each.seconds)).isoformat()


def time_of(text: str | None) -> datetime:
    return moment(text or "") or UNKNOWN
