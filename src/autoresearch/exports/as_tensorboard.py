"""TensorBoard: event files that hold scalars by experiment, and the loss curves of the kept ones.

`study/` has the score, the best so far, ... with the experiment's number as the step; each curve
is a run of its own, `0007/`, with the training step as the step. TensorBoard keeps 32-bit floats.
Where a time is not known its wall time is 0.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

from autoresearch.analysis.view import moment
from autoresearch.exports.base import kept_words, series
from autoresearch.exports.rows import Export, Point, Row
from autoresearch.text import fenced


def write(export: Export, path: Path) -> None:
    with events(path / "study") as writer:
        for row in export.rows:
            at, step = time_of(row.finished_at), row.number
            record(writer, Event(wall_time=at, step=step, summary=scalars(series(row))))
            if row.kept:
                record(writer, Event(wall_time=at, step=step, summary=words("kept changes", row)))
    for row in export.kept:
        if curve := export.curves.get(row.number):
            with events(path / f"{row.number:04d}") as writer:
                began = time_of(row.started_at)
                for point in curve:
                    record(writer, event_of(point, began))


@contextmanager
def events(folder: Path) -> Iterator[RecordWriter]:
    """A new event file. Its name says no host and no time, so that the same study is the same."""
    folder.mkdir(parents=True)
    with (folder / "events.out.tfevents.0.autoresearch").open("wb") as file:
        writer = RecordWriter(file)
        record(writer, Event(file_version="brain.Event:2"))
        yield writer


def record(writer: RecordWriter, event: Event) -> None:
    writer.write(event.SerializeToString())


def scalars(values: dict[str, float]) -> Summary:
    return Summary(value=[Summary.Value(tag=name, simple_value=x) for name, x in values.items()])


def words(tag: str, row: Row) -> Summary:
    """A text, which TensorBoard renders as Markdown: a code block, so that words stay words."""
    tensor = TensorProto(
        dtype=DT_STRING,
        string_val=[fenced(kept_words(row)).encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])


def event_of(point: Point, began: float) -> Event:
    values = {"loss": point.loss, "seconds": point.seconds, "tokens": point.tokens}
    return Event(wall_time=began + point.seconds, step=point.step, summary=scalars(values))


def time_of(text: str | None) -> float:
    when = moment(text or "")
    return when.timestamp() if when else 0.0
