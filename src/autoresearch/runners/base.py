"""The seam: where a run is executed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from autoresearch.box.sandbox import Tier
from autoresearch.program import Program


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, as it says itself: for people, it decides nothing."""

    seconds: float  # of training, by the harness's clock
    step: int
    loss: float
    tokens: int

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Data:
    """What the prepare command made."""

    manifest: str = ""  # public facts, for a run to read before READY
    handover: tuple[Path, ...] = ()  # files whose descriptors it gets at READY, not before
    withheld: tuple[Path, ...] = ()  # no box shows them: the sources of the validation text

    @property
    def secret(self) -> tuple[Path, ...]:
        """What no author of a change may read: beside that, all that was prepared."""
        folder = [Path(self.manifest).parent] if self.manifest else []
        return (*self.withheld, *self.handover, *folder)


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be done."""

    tree: Path  # the experiment's files; the run may do with them what it likes
    folder: Path  # for the artifact, temporary files and the log
    program: Program
    python: str  # the interpreter that the command word `python` means
    seed: int
    tier: Tier  # of the box that it gets
    data: Data
    compiled: Path | None = None  # compile cache of earlier runs, as it stood at their READY
    on_progress: Callable[[Progress], None] = lambda progress: None
    tick: Callable[[], None] = lambda: None  # called a few times a second; may raise Stopped

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def compiling(self) -> Path:
        """Its compile cache: only how it stood at READY is worth keeping (`compiled_at_ready`)."""
        return self.folder / "compile"

    @property
    def compiled_at_ready(self) -> Path:
        return self.folder / "compile-at-ready"

    @property
    def artifact(self) -> Path:
        """What the run is to make; the folder around it is there, and the run's to write."""
        return self.folder / "out" / "artifact"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run that ended well left behind: an artifact, and what is known of the way there."""

    artifact: Path
    figures: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """Executes a run. Raises Crashed, TimedOut or Invalid with the reason that the log shows."""

    def run(self, job: Job) -> Outcome: ...
