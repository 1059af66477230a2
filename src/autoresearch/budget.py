"""What a study may use in all, however often it is resumed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from autoresearch.experiment import Experiment, Usage
from autoresearch.program import Program
from autoresearch.text import duration, numbered


@dataclass(frozen=True, slots=True)
class StudyLimits:
    """None: no limit."""

    experiments: int | None = None  # besides the baseline
    seconds: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None

    @classmethod
    def of(cls, program: Program) -> Self:
        """Those that the program itself names."""
        limits = program.limits
        return cls(limits.experiments, limits.study_seconds, limits.tokens, limits.cost_usd)

    def spent(
        self, experiments: tuple[Experiment, ...], used: Usage, waited_seconds: float = 0.0
    ) -> str:
        """Why no further experiment may begin, or ""."""
        done = [each for each in experiments if each.verdict is not None]
        if self.experiments is not None and len(done) > self.experiments:
            are = "is" if self.experiments == 1 else "are"
            return f"its {numbered(self.experiments, 'experiment')} {are} done"
        return self._outlasted(done, waited_seconds) or self.overspent(used)

    def _outlasted(self, done: Sequence[Experiment], waited_seconds: float) -> str:
        """Why there is no time for another experiment like the last ones, or ""."""
        if self.seconds is None or not done:
            return ""
        whole, left = duration(self.seconds), self.seconds_left(done, waited_seconds)
        longest = max(map(typical_seconds, done[-5:]))
        if not left:
            return f"its time of {whole} is used up"
        if longest <= left:
            return ""
        return (
            f"its time of {whole} has no room for another experiment: {duration(left)} left, "
            f"and the last ones took up to {duration(longest)}"
        )

    def seconds_left(self, experiments: Sequence[Experiment], waited_seconds: float = 0.0) -> float:
        """How long the study may still go on; infinity without a limit."""
        used = waited_seconds + sum(
            each.seconds or 0.0 for each in experiments if each.verdict is not None
        )
        return math.inf if self.seconds is None else max(0.0, self.seconds - used)

    def left(
        self, experiments: Sequence[Experiment], used: Usage, waited_seconds: float = 0.0
    ) -> str:
        """Such as "12 experiments, 3.2 h, 90,000 tokens", this one included; "" without any."""
        found, done = [], max(0, sum(each.verdict is not None for each in experiments) - 1)
        if self.experiments is not None:
            found.append(numbered(max(0, self.experiments - done), "experiment"))
        if self.seconds is not None:
            found.append(duration(self.seconds_left(experiments, waited_seconds)))
        if self.tokens is not None:
            found.append(f"{max(0, self.tokens - used.tokens):,} tokens")
        if self.cost_usd is not None:
            found.append(f"${max(0.0, self.cost_usd - (used.cost_usd or 0.0)):,.2f}")
        return ", ".join(found)

    def overspent(self, used: Usage) -> str:
        """Which limit on what models take has been reached, or ""."""
        if self.tokens is not None and used.tokens >= self.tokens:
            return f"its {self.tokens:,} tokens are used up"
        if self.cost_usd is not None and (used.cost_usd or 0.0) >= self.cost_usd:
            return f"its ${self.cost_usd:,.2f} are used up"
        return ""


def used_of(
    experiments: Sequence[Experiment], used: Usage, waited_seconds: float
) -> dict[str, float]:
    """What a study has used of each of its limits."""
    done = [each for each in experiments if each.verdict is not None]
    return {
        "experiments": float(max(0, len(done) - 1)),
        "seconds": sum(each.seconds or 0.0 for each in done) + waited_seconds,
        "tokens": float(used.tokens),
        "cost_usd": used.cost_usd or 0.0,
    }


def typical_seconds(done: Experiment) -> float:
    """What one like it takes. The baseline was run several times over, as others are not."""
    return (done.seconds or 0.0) / (max(1, len(done.runs)) if done.number == 0 else 1)
