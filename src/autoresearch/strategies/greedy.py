"""Always from the incumbent: the original's hill climb."""

from autoresearch.experiment import Experiment, incumbent


class Greedy:
    def choose(self, experiments: tuple[Experiment, ...]) -> Experiment | None:
        return incumbent(experiments)
