"""program.md -> Program. (Interface only; being written.)"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Commands:
    """What is run, as argument lists; a first word `python` means the lab's interpreter."""

    prepare: tuple[str, ...] = ("python", "prepare.py")
    train: tuple[str, ...] = ("python", "train.py")
    score: tuple[str, ...] = ("python", "prepare.py", "score")


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps: of one run, and of the whole study. Bytes and seconds."""

    startup_seconds: float = 600.0  # process start to READY
    scoring_seconds: float = 600.0
    memory_bytes: int | None = None  # None: 80% of the machine's
    log_bytes: int = 16 * 2**20
    artifact_bytes: int = 4 * 2**30
    editable_bytes: int = 256 * 2**10  # size of all editable files together
    experiments: int | None = None  # besides the baseline
    study_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """The strategy (Markdown body) and the contract (optional YAML front matter)."""

    body: str = ""
    editable: tuple[str, ...] = ("train.py",)
    locked: tuple[str, ...] = ("prepare.py",)
    commands: Commands = field(default_factory=Commands)
    metric: str = "val_bpb"
    direction: str = "lower"  # or "higher"
    budget_seconds: float = 300.0  # training time of one run
    limits: Limits = field(default_factory=Limits)
