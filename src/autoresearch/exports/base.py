"""The formats by name, and where an export goes: a file is replaced whole, a folder must be new."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from autoresearch.errors import StudyError
from autoresearch.lab import Lab, remove
from autoresearch.program import Program
from autoresearch.text import short

if TYPE_CHECKING:  # the command line knows the formats before it reads a study
    from autoresearch.exports.rows import Export, Row


class Write(Protocol):
    """Writes an export to a path where nothing is; a folder is there, and empty."""

    def __call__(self, export: "Export", path: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Format:
    """`suffix` is "" for one that is a folder; `extra` names what must be installed for it."""

    name: str
    suffix: str = ""
    extra: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)  # `{path}` is the folder

    @property
    def writer(self) -> str:
        return f"autoresearch.exports.as_{self.name}:write"

    def settings(self, path: Path) -> dict[str, str]:
        """What its library reads from the environment when it is imported."""
        return {name: value.format(path=path) for name, value in self.environment.items()}


QUIET = {"DO_NOT_TRACK": "true"}  # nothing of a study leaves the machine by an export
FORMATS = {
    each.name: each
    for each in (
        Format("csv", ".csv"),
        Format("json", ".json"),
        Format("parquet", ".parquet", "parquet"),
        Format("tensorboard", extra="tensorboard"),
        Format("wandb", extra="wandb", environment={**QUIET, "WANDB_MODE": "offline"}),
        Format(
            "mlflow",
            extra="mlflow",
            environment={
                **QUIET,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_LOGGING_LEVEL": "ERROR",
            },
        ),
        Format("trackio", extra="trackio", environment={**QUIET, "TRACKIO_DIR": "{path}"}),
    )
}


@contextmanager
def target(lab: Lab, program: Program, path: Path, form: Format, ours: bool) -> Iterator[Path]:
    """Where to write. `ours`: the place is the study's own, and what stood there is replaced.

    After an error nothing half is left. Raises StudyError when something of the user's is there
    that is more than a file, or the lab's.
    """
    if form.suffix:
        places = [path, curves_path(path)]
        if not ours:
            places = [lab.place_for(each, program) for each in places]
        places[0].parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".autoresearch-", dir=places[0].parent) as folder:
            yield (made := Path(folder) / path.name)
            for written, place in zip((made, curves_path(made)), places, strict=True):
                if written.exists():
                    shutil.move(written, place)
                elif ours:
                    place.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if ours:
        remove(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StudyError(f"{path} is there already: name a new folder with --output, or remove it")
    path.mkdir(exist_ok=True)
    try:
        yield path
    except BaseException:
        remove(path)
        raise


def curves_path(path: Path) -> Path:
    """The file beside a table that its loss curves go to: `night.csv`, `night.curves.csv`."""
    return path.with_name(f"{path.stem}.curves{path.suffix}")


# what the trackers of experiments share

SERIES = (  # columns that are drawn over the experiments
    *("score", "best", "delta", "gain", "kept", "seconds", "training_seconds", "peak_memory_mb"),
    *("num_params", "tokens", "input_tokens", "output_tokens", "cost_usd"),
)


def series(row: "Row") -> dict[str, float]:
    """What a row has of these."""
    values = ((name, getattr(row, name)) for name in SERIES)
    return {name: float(value) for name, value in values if value is not None}


def kept_words(row: "Row") -> str:
    """A kept change in one line, such as "#7 1.4981 (gain 0.0042): wider MLP"."""
    gain = f" (gain {row.gain:.6g})" if row.gain is not None else ""
    score = "" if row.score is None else f" {short(row.score, 6)}"
    return f"#{row.number}{score}{gain}: {row.description or '(no description)'}"


def kept_list(export: "Export") -> list[str]:
    return [kept_words(row) for row in export.kept]
