"""The seam: who proposes the next change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autoresearch.experiment import Experiment, Proposal, Usage
from autoresearch.program import Program


class Ledger(Protocol):
    """Where a researcher that talks to a model or an agent says what happens, as it happens."""

    def note(self, kind: str, text: str = "") -> None:
        """One event for the study's history: `refused`, `nudged`, `restarted`, `outside`, ...

        `text` may hold an agent's words: it is made harmless and cut to a line here.
        """

    def talk(self, text: str) -> None:
        """Words of the conversation, kept in a file of the experiment, up to a limit."""

    def spend(self, usage: Usage, model: str = "", totals: Mapping[str, Any] | None = None) -> None:
        """Count tokens and money. Raises Spent once the study's limit is passed.

        `totals`: of a session that may be taken up again, its id and what it has told by now.
        """

    def totals(self, session: str) -> Mapping[str, Any] | None:
        """What a session had told when it was last counted, and were it by a killed engine."""

    def pending(self, tokens: int) -> None:
        """What a turn of many calls has taken so far, before its spend(). Raises Spent as that."""


class NoLedger:
    """Writes nothing down."""

    def note(self, kind: str, text: str = "") -> None:
        del kind, text

    def talk(self, text: str) -> None:
        del text

    def spend(self, usage: Usage, model: str = "", totals: Mapping[str, Any] | None = None) -> None:
        del usage, model, totals

    def totals(self, session: str) -> Mapping[str, Any] | None:
        del session
        return None

    def pending(self, tokens: int) -> None:
        del tokens


def _never() -> None:
    """The tick of somebody who cannot be stopped."""


def _fine() -> str:
    """The objection to nothing."""
    return ""


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a researcher sees: a private copy of the parent's files, and what is known.

    In `tree` lie the program's editable and locked files, `program.md` as it reads now, and
    `history/`: `README.md`, the study on one page, and `0007.md` and `0007.diff` for each earlier
    experiment.
    """

    tree: Path  # edit the program's editable files here, in place
    program: Program
    history: tuple[Experiment, ...]  # every finished experiment of the study, baseline first
    parent: Experiment  # whose files lie in `tree`
    number: int  # of the experiment that is being proposed
    seed: int  # for the researcher's own random choices: the same number, the same seed
    ledger: Ledger = field(default_factory=NoLedger)
    tick: Callable[[], None] = _never  # to be called a few times a second; raises Stopped
    objection: Callable[[], str] = _fine  # why `tree`, as it is now, would be refused; "": it won't
    scratch: Path | None = None  # an empty folder outside `tree`, gone after the proposal
    seconds: float = 900.0  # the longest that a proposal may take
    notes: tuple[str, ...] = ()  # what the person wants the next proposal to know
    idea: str = ""  # what the person wants this experiment to be
    python: str = ""  # the interpreter of the runs, shown in an agent's box
    machine: str = ""  # that the runs have: its GPU or processor, and its memory
    left: str = ""  # of the study's limits, this experiment included
    withheld: tuple[Path, ...] = ()  # what nobody may read who edits: held-out text, prepared data


class Researcher(Protocol):
    """Makes one change in `desk.tree` and says what it is.

    Raises `Failed` when it has nothing usable, and `Unavailable`, which is a `Failed`, when it
    cannot be reached at the moment; the study goes on with the next experiment.
    """

    def propose(self, desk: Desk) -> Proposal: ...


@runtime_checkable
class Listens(Protocol):
    """A researcher that can read: `desk.notes` and `desk.idea` reach it."""

    @property
    def listens(self) -> bool: ...


def listens(researcher: Researcher) -> bool:
    return isinstance(researcher, Listens) and researcher.listens


@runtime_checkable
class Silent(Protocol):
    """A researcher of whom nobody can know the tokens and the money that it takes."""

    @property
    def is_silent(self) -> bool: ...


def is_silent(researcher: Researcher) -> bool:
    return isinstance(researcher, Silent) and researcher.is_silent


@runtime_checkable
class Checked(Protocol):
    """A researcher that can say in the evening whether it will be able to work in the night."""

    def check(self, tree: Path) -> list[str]:
        """Try it once, in a folder with the editable files: what a person should know, in lines.

        Raises UserError, with what to do, when it will never work as things stand, and Unavailable
        when nobody is there who could, which a mix can live with.
        """


def check(researcher: Researcher, tree: Path) -> list[str]:
    """What there is to say of any researcher. Raises UserError, Unavailable."""
    return researcher.check(tree) if isinstance(researcher, Checked) else []
