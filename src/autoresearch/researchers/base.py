"""The seam: who proposes the next change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoresearch.experiment import Experiment, Proposal
from autoresearch.program import Program


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a researcher sees: a private copy of the parent's files, and what is known."""

    tree: Path  # edit the program's editable files here, in place
    program: Program
    history: tuple[Experiment, ...]  # every finished experiment of the study, baseline first
    parent: Experiment  # whose files lie in `tree`
    number: int  # of the experiment that is being proposed
    seed: int  # for the researcher's own random choices: the same number, the same seed


class Researcher(Protocol):
    """Makes one change in `desk.tree` and says what it is.

    Raises `Failed` when it has nothing usable; the study goes on with the next experiment.
    """

    def propose(self, desk: Desk) -> Proposal: ...
