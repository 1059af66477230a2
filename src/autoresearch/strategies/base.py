"""The seam: which experiment the next change starts from."""

from typing import Protocol

from autoresearch.experiment import Experiment


class Strategy(Protocol):
    """Chooses the parent of the next experiment among the kept ones; None before the baseline."""

    def choose(self, experiments: tuple[Experiment, ...]) -> Experiment | None: ...
