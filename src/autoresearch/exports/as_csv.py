"""CSV: a heading and a row for each experiment; the curves in a second file beside it."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path

from autoresearch.exports.base import curves_path
from autoresearch.exports.rows import Export, Point, Row

_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would run


def write(export: Export, path: Path) -> None:
    """Not known is empty, a truth is `true` or `false`, a number is written in full."""
    save(path, [each.name for each in fields(Row)], map(astuple, export.rows))
    if export.curves:
        names = ["experiment", *(each.name for each in fields(Point))]
        points = (
            (number, *astuple(point)) for number, curve in export.curves.items() for point in curve
        )
        save(curves_path(path), names, points)


def save(path: Path, names: list[str], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([cell(value) for value in row] for row in rows)


def cell(value: object) -> object:
    match value:
        case bool():
            return str(value).lower()
        case str() if value.startswith(_FORMULA):
            return f"'{value}"
    return value
