"""JSON: one object with the study's facts and a list of experiments, their curves inside."""

import json
from dataclasses import asdict, astuple
from pathlib import Path

from autoresearch.exports.rows import Export
from autoresearch.text import json_value

PARSED = ("scores", "figures", "config")  # columns that hold JSON: here they are what they hold


def write(export: Export, path: Path) -> None:
    """Every key is always there, and null where nothing is known."""
    experiments = []
    for row in export.rows:
        facts = asdict(row) | {name: json.loads(getattr(row, name)) for name in PARSED}
        if export.curves:
            points = export.curves.get(row.number, ())
            facts["curve"] = [json_value(astuple(point)) for point in points]
        experiments.append(facts)
    whole = {"format": 1, "study": asdict(export.facts), "experiments": experiments}
    path.write_text(
        json.dumps(json_value(whole), indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
