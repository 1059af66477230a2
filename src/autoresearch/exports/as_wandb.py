"""Weights & Biases, offline: `wandb sync` sends the folder when the person wants that.

History has the score, the best so far, ... with the experiment's number as the step; the table
`experiments` has every row; the curves of the kept ones are `curve/0007` over `curve/seconds`.
"""

import json
from dataclasses import asdict, astuple, fields
from pathlib import Path

import wandb

from autoresearch.exports.base import kept_list, series
from autoresearch.exports.rows import Export, Row


def write(export: Export, path: Path) -> None:
    """No host, no program, no system metrics: only what the study says."""
    facts = export.facts
    run = wandb.init(
        project="autoresearch",
        name=facts.tag,
        dir=str(path),
        config={**asdict(facts), "best_config": best_config(export)},
        settings=wandb.Settings(
            mode="offline", silent=True, quiet=True, console="off", save_code=False,
            disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True,
            x_disable_machine_info=True, x_save_requirements=False, host="",
        ),
    )  # fmt: skip
    for row in export.rows:
        run.log(series(row), step=row.number)
    names = [each.name for each in fields(Row)]
    table = wandb.Table(columns=names, data=[list(astuple(row)) for row in export.rows])
    run.log({"experiments": table})
    log_curves(run, export)
    run.summary["best"] = facts.best
    run.summary["best_number"] = facts.best_number
    run.summary["kept_changes"] = kept_list(export)
    run.finish()


def log_curves(run: "wandb.Run", export: Export) -> None:
    run.define_metric("curve/*", step_metric="curve/seconds")
    for row in export.kept:
        for point in export.curves.get(row.number, ()):
            run.log({"curve/seconds": point.seconds, f"curve/{row.number:04d}": point.loss})


def best_config(export: Export) -> object:
    """The configuration that the best ran with."""
    number = export.facts.best_number
    return next((json.loads(row.config) for row in export.rows if row.number == number), {})
