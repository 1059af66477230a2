"""Parquet: the columns of a row with their types; the study's facts in the file's metadata."""

import json
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autoresearch.exports.base import curves_path
from autoresearch.exports.rows import Export, Point, Row
from autoresearch.text import json_value

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def write(export: Export, path: Path) -> None:
    """The facts are under the key `autoresearch`, as JSON."""
    facts = json.dumps(json_value(asdict(export.facts)), allow_nan=False)
    save(path, Row, [astuple(row) for row in export.rows], {"autoresearch": facts})
    if export.curves:
        points = [
            (number, *astuple(point)) for number, curve in export.curves.items() for point in curve
        ]
        save(curves_path(path), Point, points, {}, ("experiment", pa.int64()))


def save(
    path: Path, kind: type[Any], rows: list[tuple[Any, ...]], metadata: dict[str, str], *first: Any
) -> None:
    """`first` are columns before those of the dataclass."""
    schema = pa.schema([*first, *((each.name, type_of(each.type)) for each in fields(kind))])
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [
        pa.array(column, type=each.type) for column, each in zip(columns, schema, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=schema.with_metadata(metadata))
    pq.write_table(table, path)


def type_of(annotation: Any) -> Any:
    """A column's type; whether None may be there makes no difference in Parquet."""
    names = getattr(annotation, "__args__", (annotation,))
    return next(_TYPES[each] for each in names if each in _TYPES)
