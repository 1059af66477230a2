"""What a study may use in all, however often it is resumed."""

import math
from dataclasses import dataclass

from autoresearch.experiment import Experiment, Usage
from autoresearch.text import duration, numbered


@dataclass(frozen=True, slots=True)
class Budget:
    """None: no limit."""

    experiments: int | None = None  # besides the baseline
    seconds: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None

    def spent(
        self, experiments: tuple[Experiment, ...], used: Usage, waited_seconds: float = 0.0
    ) -> str:
        """Why no further experiment may begin, or ""."""
        done = [each for each in experiments if each.verdict is not None]
        if self.experiments is not None and len(done) > self.experiments:
            are = "is" if self.experiments == 1 else "are"
            return f"its {numbered(self.experiments, 'experiment')} {are} done"
        seconds = waited_seconds + sum(each.seconds or 0.0 for each in done)
        typical = max((each.seconds or 0.0 for each in done[-5:]), default=0.0)
        if self.seconds is not None and done and seconds + typical > self.seconds:
            return f"its time of {duration(self.seconds)} is used up"
        return self.overspent(used)

    def seconds_left(
        self, experiments: tuple[Experiment, ...], waited_seconds: float = 0.0
    ) -> float:
        """How long the study may still go on; infinity without a limit."""
        used = waited_seconds + sum(
            each.seconds or 0.0 for each in experiments if each.verdict is not None
        )
        return math.inf if self.seconds is None else max(0.0, self.seconds - used)

    def overspent(self, used: Usage) -> str:
        """Which limit on what models take has been reached, or ""."""
        if self.tokens is not None and used.tokens >= self.tokens:
            return f"its {self.tokens:,} tokens are used up"
        if self.cost_usd is not None and (used.cost_usd or 0.0) >= self.cost_usd:
            return f"its ${self.cost_usd:,.2f} are used up"
        return ""
