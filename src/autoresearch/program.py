"""program.md -> Program: the strategy, which is prose, and the contract, which is optional YAML.

    ---
    editable: train.py            # or a list
    locked: [prepare.py]
    commands: {prepare: python prepare.py, train: python train.py, score: python prepare.py score}
    metric: val_bpb
    direction: lower              # or higher
    budget: 5m                    # training time of one run: 300s, 5m, 1h30m, 90
    limits: {startup: 10m, scoring: 10m, memory: 8GB, log: 16MB, artifact: 4GB,
             editable_size: 48KB, experiments: 100, time: 8h, proposal: 15m, tokens: 20M, cost: 10}
    ---
    Prose for the researcher, in any wording.

Every key may be left out, and so may the whole contract: prose that happens to start with a `---`
rule stays prose. Every complaint is a `ProgramError` that names the file and the line.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Self

import yaml

from autoresearch.errors import ProgramError
from autoresearch.frontmatter import Problem, Section, compose, split, value, values, wrong

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "sec": 1.0, "": 1.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])(?:i?b)?", re.ASCII | re.IGNORECASE)
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmb]?)", re.ASCII | re.IGNORECASE)
_DOLLARS = re.compile(r"\$?\s*(\d{1,9}(?:\.\d+)?)", re.ASCII)
_EXPONENTS = {"k": 10, "m": 20, "g": 30, "t": 40}
_METRIC = re.compile(r"[A-Za-z_][\w./@-]*", re.ASCII)
_LONGEST_SECONDS = 366 * 86400.0
_GROWTH_BYTES = 16 * 2**10  # of the editable files, where program.md does not say
_OURS = {".git", ".autoresearch"}  # with all that they hold, never the researcher's


def parse_duration(text: str) -> float:
    """Seconds of `300s`, `5m`, `1h30m`, `1.5h`, `2d` or plain `90`.

    ValueError, which says what to write, for anything else: zero, negative, above a year.
    """
    clean = text.strip().lower()
    position, total, unit = 0, 0.0, math.inf
    while match := _DURATION.match(clean, position):
        seconds = _SECONDS.get(match[2], math.inf)
        is_bare = not match[2] and (position > 0 or match.end() < len(clean))  # the 30 of `1h30`
        if seconds >= unit or is_bare:  # unknown, twice, or out of order
            break
        total, unit, position = total + float(match[1]) * seconds, seconds, match.end()
    if position != len(clean) or not 0 < total <= _LONGEST_SECONDS:
        raise ValueError(f"{text!r} is not a duration; write 90s, 5m, 1h30m or 8h")
    return total


def parse_size(text: str) -> int:
    """Bytes of `8GB`, `512MB`, `256KB`, `1.5G` or `4GiB`; a K is always 1024.

    ValueError, which says what to write, for anything else, such as `8`, which may mean anything.
    """
    match = _SIZE.fullmatch(text.strip())
    size = float(match[1]) * 2 ** _EXPONENTS[match[2].lower()] if match else 0.0
    if not 1 <= size < 2**63:
        raise ValueError(f"{text!r} is not a size with its unit; write 8GB, 512MB or 256KB")
    return int(size)


def parse_count(text: str) -> int:
    """A number of tokens: `500000`, `500k`, `20M`, `1.5B`. ValueError for anything else."""
    match = _COUNT.fullmatch(text.strip())
    count = float(match[1]) * 1000 ** " kmb".index(match[2].lower() or " ") if match else 0.0
    if not 1 <= count < 2**53:
        raise ValueError(f"{text!r} is not a number of tokens; write 500k, 20M or 1000000")
    return int(count)


def parse_dollars(text: str) -> float:
    """US dollars: `20`, `$7.50`. ValueError for anything else."""
    match = _DOLLARS.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise ValueError(f"{text!r} is not an amount in US dollars; write 20 or 7.50")
    return float(match[1])


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
    editable_bytes: int | None = None  # of all editable files together; None: see Program.sized
    disk_bytes: int = 16 * 2**30  # all that a run has written, the artifact included
    processes: int = 512
    open_files: int = 4096  # of one process
    experiments: int | None = None  # besides the baseline
    study_seconds: float | None = None
    proposal_seconds: float = 900.0  # the longest that a researcher may think
    tokens: int | None = None  # of all proposals together, in and out
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """The strategy (Markdown body) and the contract (optional YAML front matter)."""

    body: str = ""
    editable: tuple[str, ...] = ("train.py",)
    locked: tuple[str, ...] = ("prepare.py",)
    commands: Commands = field(default_factory=Commands)
    metric: str = "val_bpb"
    direction: str = "lower"  # or "higher"
    budget_seconds: float = 300.0  # training time of one run; 0: an imported log does not say
    limits: Limits = field(default_factory=Limits)
    notify: tuple[str, ...] = ()  # the person's command that is told of a new best, trouble, ...

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and parse a file. Bytes that are no text become U+FFFD: prose may hold anything."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ProgramError(
                f"{path} cannot be read: {error.strerror}. Write your strategy there, in plain "
                "words, or let `autoresearch init` write a first one."
            ) from error
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        return cls.parse(data.decode(encoding, errors="replace"), path.name)

    @classmethod
    def parse(cls, text: str, where: str = "program.md") -> Self:
        """The program that a text describes; `where` is what a `ProgramError` calls the text."""
        try:
            front, body = split(text, _CONTRACT.keys)
            if front is None:
                return cls(body=body)
            root = compose(front)
            program = cls(body=body, **_CONTRACT(root))
            program._check(root)
        except Problem as problem:
            raise ProgramError(f"{where} line {problem.line}: {problem}") from problem
        return program

    def _check(self, root: yaml.Node) -> None:
        """No file is both editable and locked, also where `Train.py` and `train.py` are one."""
        locked = {name.casefold() for name in self.locked}
        both = [name for name in self.editable if name.casefold() in locked]
        if both:
            keys = {key.value: key for key, _ in root.value}
            node = keys.get("editable") or keys["locked"]
            default = "" if "locked" in keys else ", which it is unless `locked` names other files"
            raise wrong(node, "editable", f"{both[0]} is also locked{default}; keep it in one list")

    def contract(self) -> dict[str, Any]:
        """Everything but the body, as plain JSON values: what a study promises to keep to."""
        everything = asdict(self)
        del everything["body"]
        return {key: _plain(each) for key, each in everything.items()}

    @classmethod
    def from_contract(cls, contract: Mapping[str, Any], body: str = "") -> Self:
        """The program whose `contract()` this is, with another body."""
        try:
            rest = {key: _frozen(each) for key, each in contract.items()}
            commands, limits = Commands(**rest.pop("commands")), Limits(**rest.pop("limits"))
            return cls(body=body, commands=commands, limits=limits, **rest)
        except (TypeError, KeyError) as error:
            raise ProgramError(
                f"the saved contract of this study cannot be read ({error}): another version of "
                "autoresearch made it. Start a new study with another tag."
            ) from error

    def sized(self, files: Mapping[str, bytes]) -> Self:
        """With a limit on the size of the editable files where none was named: 16 KB more than
        they have in `files`, so that text known by heart has little room."""
        if self.limits.editable_bytes is not None:
            return self
        size = sum(len(files.get(name, b"")) for name in self.editable)
        return replace(self, limits=replace(self.limits, editable_bytes=size + _GROWTH_BYTES))

    @property
    def is_lower(self) -> bool:
        """Whether a lower score is better."""
        return self.direction == "lower"

    def is_better(self, score: float, than: float) -> bool:
        """Whether a score beats another, strictly, in the metric's direction. NaN never does."""
        return score < than if self.is_lower else score > than


def _plain(item: Any) -> Any:
    """Tuples as lists, all the way down: the same before and after a trip through JSON."""
    if isinstance(item, dict):
        return {key: _plain(each) for key, each in item.items()}
    return list(item) if isinstance(item, tuple) else item


def _frozen(item: Any) -> Any:
    """The inverse of `_plain`."""
    if isinstance(item, dict):
        return {key: _frozen(each) for key, each in item.items()}
    return tuple(item) if isinstance(item, list) else item


def _file_name(text: str) -> str:
    """A relative path inside the lab, in its shortest form."""
    path = PurePosixPath(text)
    if path.is_absolute() or text.startswith("~") or ".." in path.parts:
        raise ValueError(f"{text!r} leads out of the lab; name files relative to program.md")
    if not path.parts or "\\" in text or not text.isprintable():
        raise ValueError(f"{text!r} is not a file name; write one like train.py or src/model.py")
    return str(path)


def _locked_files(node: yaml.Node, path: str) -> tuple[str, ...]:
    """File names without repetition; the list may be empty."""
    return tuple(dict.fromkeys(values(node, path, value(_file_name))))


def _editable_files(node: yaml.Node, path: str) -> tuple[str, ...]:
    """As `_locked_files`, but there must be one, and some files are never the researcher's."""
    names = _locked_files(node, path)
    if not names:
        raise wrong(node, path, "no file is editable; name at least one, such as train.py")
    for name in names:
        folded = PurePosixPath(name.casefold())
        if _OURS.intersection(folded.parts) or folded == PurePosixPath("program.md"):
            raise wrong(node, path, f"{name} is never the researcher's to edit; name another file")
    return names


def _command(node: yaml.Node, path: str) -> tuple[str, ...]:
    """An argument list: a list as it is, a string split as a shell would."""
    single = isinstance(node, yaml.ScalarNode)
    words = value(_words)(node, path) if single else tuple(values(node, path, value(str)))
    if not words or not words[0]:
        raise wrong(node, path, "names no command; write one like `python train.py`")
    if any("\0" in word for word in words):
        raise wrong(node, path, "no command can hold a zero byte; take it out")
    return words


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(
            f"{text!r} cannot be split into words ({error}); close the quotes"
        ) from error


def metric_name(text: str) -> str:
    """`text`, when it can name a metric. ValueError, which says what to write."""
    if not _METRIC.fullmatch(text):
        raise ValueError(f"{text!r} is not a metric's name; write one like val_bpb")
    return text


def _direction(text: str) -> str:
    if text not in ("lower", "higher"):
        raise ValueError(f"{text!r} is no direction; write `lower` or `higher`: what is better")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{text!r} is not a whole number from 0 up; write one like 100")
    return int(text)


def _positive(text: str) -> int:
    if not (count := _count(text)):
        raise ValueError("nothing can run with 0 of them; write one like 512")
    return count


_COMMANDS = Section({name: (name, _command) for name in ("prepare", "train", "score")}, Commands)
_LIMITS = Section(
    {
        "startup": ("startup_seconds", value(parse_duration)),
        "scoring": ("scoring_seconds", value(parse_duration)),
        "memory": ("memory_bytes", value(parse_size)),
        "log": ("log_bytes", value(parse_size)),
        "artifact": ("artifact_bytes", value(parse_size)),
        "editable_size": ("editable_bytes", value(parse_size)),
        "disk": ("disk_bytes", value(parse_size)),
        "processes": ("processes", value(_positive)),
        "open_files": ("open_files", value(_positive)),
        "experiments": ("experiments", value(_count)),
        "time": ("study_seconds", value(parse_duration)),
        "proposal": ("proposal_seconds", value(parse_duration)),
        "tokens": ("tokens", value(parse_count)),
        "cost": ("cost_usd", value(parse_dollars)),
    },
    Limits,
)
_CONTRACT = Section(
    {
        "editable": ("editable", _editable_files),
        "locked": ("locked", _locked_files),
        "commands": ("commands", _COMMANDS),
        "metric": ("metric", value(metric_name)),
        "direction": ("direction", value(_direction)),
        "budget": ("budget_seconds", value(parse_duration)),
        "limits": ("limits", _LIMITS),
        "notify": ("notify", _command),
    }
)
