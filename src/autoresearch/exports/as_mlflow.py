"""MLflow, in a SQLite file of its own: `mlflow ui --backend-store-uri sqlite:///.../mlflow.db`.

One run for the study, whose metrics have the experiment's number as the step; below it a run for
the baseline and for each kept change, with its configuration, its words and its loss curve.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from autoresearch.analysis.view import moment
from autoresearch.exports.base import kept_words, series
from autoresearch.exports.rows import Export, Point, Row
from autoresearch.text import clean_line

AT_ONCE = 1000  # metrics in one call: as many as it takes
MOST_PARAMS = 100
LONGEST = 4000  # characters of a tag's or a parameter's value


def write(export: Export, path: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{path / 'mlflow.db'}")
    facts = export.facts
    home = client.create_experiment(facts.tag, artifact_location=(path / "artifacts").as_uri())
    first, last = (time_of(row.started_at) for row in (export.rows[0], export.rows[-1]))
    metrics = [
        Metric(name, value, time_of(row.finished_at), row.number)
        for row in export.rows
        for name, value in series(row).items()
    ]
    about = {name: value for name, value in asdict(facts).items() if value is not None}
    study = add_run(client, home, facts.tag, first, {}, about)
    log(client, study, metrics)
    client.set_terminated(study, end_time=last)
    for row in export.kept:
        add_kept(client, home, study, row, export.curves.get(row.number, ()))


def add_kept(client: MlflowClient, home: str, study: str, row: Row, curve: Sequence[Point]) -> None:
    tags = {
        name: getattr(row, name)
        for name in ("number", "verdict", "description", "hypothesis", "reason", "researcher")
    }
    tags |= {"commit": row.commit or "", "mlflow.parentRunId": study}
    began, ended = time_of(row.started_at), time_of(row.finished_at)
    name = clean_line(kept_words(row), 200)
    run = add_run(client, home, name, began, tags, json.loads(row.config))
    metrics = [Metric(name, value, ended, row.number) for name, value in series(row).items()]
    for point in curve:
        at = began + round(1000 * point.seconds) if began else 0
        metrics += [
            Metric("loss", point.loss, at, point.step),
            Metric("loss_seconds", point.seconds, at, point.step),
        ]
    log(client, run, metrics)
    client.set_terminated(run, end_time=ended)


def add_run(
    client: MlflowClient, home: str, name: str, began: int, tags: Mapping[str, object],
    params: Mapping[str, object],
) -> str:  # fmt: skip
    given = {key: clean_line(str(value), LONGEST) for key, value in tags.items()}
    run = client.create_run(home, start_time=began, tags=given, run_name=name).info.run_id
    wanted = {named(key): clean_line(str(value), LONGEST) for key, value in params.items()}
    chosen = list(wanted.items())[:MOST_PARAMS]
    client.log_batch(run, params=[Param(key, value) for key, value in chosen])
    return str(run)


def named(key: str) -> str:
    """A name with nothing in it that MLflow refuses."""
    return re.sub(r"[^\w\-. /]", "_", key, flags=re.ASCII)[:200] or "_"


def log(client: MlflowClient, run: str, metrics: Iterable[Metric]) -> None:
    rows = list(metrics)
    for start in range(0, len(rows), AT_ONCE):
        client.log_batch(run, metrics=rows[start : start + AT_ONCE])


def time_of(text: str | None) -> int:
    """Milliseconds since 1970; 0 where the time is not known."""
    when = moment(text or "")
    return round(when.timestamp() * 1000) if when else 0
