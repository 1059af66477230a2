"""Always from the incumbent: the original's hill climb."""

from autoresearch.experiment import Experiment, incumbent


class Greedy:
    def __init__(self, *, lower: bool = True) -> None:
        self.lower = lower

    def choose(self, experiments: tuple[Experiment, ...]) -> Experiment | None:
        return incumbent(experiments, lower=self.lower)
