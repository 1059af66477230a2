"""The set of values that a knob may take, and the coordinates in which it is searched.

A value is what stands in the script. Its coordinate is what Optuna samples: the value itself, the
exponent of a power of two, the distance of a momentum from one, or the name of a choice.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

from autoresearch.source.literals import Scalar, is_power_of_two

Coordinate = float | str

_STEP = 0.05  # the least change that counts: a smaller one drowns in the noise of training


class Scale(Enum):
    """The coordinate of a value that is searched evenly."""

    LINEAR = auto()  # a float itself
    LOG = auto()  # a float, by its logarithm
    NEAR_ONE = auto()  # 1 - a float, by its logarithm: for momenta and the like
    WHOLE = auto()  # an integer, in units
    POWER = auto()  # the exponent of a power of two, in units


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values. Its coordinate is the value's `repr`: 1, 1.0 and True differ."""

    values: tuple[Scalar, ...]

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.values) == 1

    def encode(self, value: Scalar) -> Coordinate | None:
        """The coordinate of a value, None if it is no choice."""
        return repr(value) if repr(value) in map(repr, self.values) else None

    def near(self, value: Scalar) -> "Choice":
        """All choices: none is nearer than another."""
        return self

    def below(self, value: Scalar) -> "Choice":
        """All choices: none is less than another."""
        return self

    def distance(self, one: Scalar, other: Scalar) -> float:
        """0 for the same choice, 1 for another."""
        return float(repr(one) != repr(other))

    def is_step(self, before: Scalar, after: Scalar) -> bool:
        """Whether the two differ."""
        return repr(before) != repr(after)

    def decode(self, coordinate: Coordinate) -> Scalar:
        """The value at a coordinate."""
        return next(value for value in self.values if repr(value) == coordinate)


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers between two ends, which are included. The ends are coordinates."""

    scale: Scale
    low: float
    high: float
    unit: int = 1

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to choose."""
        return self.low == self.high

    @property
    def is_integer(self) -> bool:
        return self.scale in (Scale.WHOLE, Scale.POWER)

    @property
    def is_log(self) -> bool:
        return self.scale in (Scale.LOG, Scale.NEAR_ONE) or (
            self.scale is Scale.WHOLE and self.low >= 1
        )

    def encode(self, value: Scalar) -> Coordinate | None:
        """The coordinate of a number, or of the nearest end if it lies outside."""
        if isinstance(value, bool | str):
            return None
        return min(max(self.position(value), self.low), self.high)

    def position(self, value: float) -> float:
        """The coordinate of a number, wherever it lies; integers go to the nearest that has one."""
        match self.scale:
            case Scale.NEAR_ONE:
                return 1 - value
            case Scale.WHOLE:
                return round(value / self.unit)
            case Scale.POWER:
                return round(math.log2(max(value / self.unit, 1)))
        return value

    def near(self, value: Scalar) -> "Range":
        """The part of this range within a quarter of its width from a value."""
        place = self.encode(value)
        if not isinstance(place, int | float):
            return self
        if self.is_log:
            reach = (self.high / self.low) ** 0.25
            low, high = place / reach, place * reach
        else:
            reach = (self.high - self.low) / 4
            low, high = place - reach, place + reach
        if self.is_integer:  # at least one step
            low, high = min(math.ceil(low), place - 1), max(math.floor(high), place + 1)
        return replace(self, low=max(low, self.low), high=min(high, self.high))

    def below(self, value: Scalar) -> "Range":
        """The part of this range that lies below a whole number, where there is one."""
        place = self.encode(value)
        if self.is_integer and isinstance(place, int | float) and place - 1 >= self.low:
            return replace(self, high=place - 1)
        return self

    def distance(self, one: Scalar, other: Scalar) -> float:
        """How far apart two values lie, in widths of this range; strangers are a width apart."""
        first, second = self.encode(one), self.encode(other)
        if not isinstance(first, int | float) or not isinstance(second, int | float):
            return 1.0
        if self.is_log:
            return abs(math.log(first / second)) / math.log(self.high / self.low)
        return abs(first - second) / (self.high - self.low)

    def is_step(self, before: Scalar, after: Scalar) -> bool:
        """Whether a change is large enough to be tried: of the range, or of an integer itself."""
        if isinstance(before, int) and isinstance(after, int):
            return before != after and abs(after - before) >= _STEP * before
        return self.distance(before, after) >= _STEP

    def can_express(self, value: float) -> bool:
        """Whether some coordinate, perhaps outside the ends, is exactly this number."""
        match self.scale:
            case Scale.LOG:
                return value > 0
            case Scale.NEAR_ONE:
                return 0 <= value < 1
            case Scale.WHOLE:
                return value >= 0 and value % self.unit == 0
            case Scale.POWER:
                return value % self.unit == 0 and is_power_of_two(int(value) // self.unit)
        return True

    def decode(self, coordinate: Coordinate) -> Scalar:
        """The value at a coordinate, rounded as a person would write it."""
        place = float(coordinate)
        match self.scale:
            case Scale.WHOLE:
                return int(self._inside(_significant(place, 3))) * self.unit
            case Scale.POWER:
                return (1 << int(place)) * self.unit
            case Scale.NEAR_ONE:
                return round(1 - place, 1 - math.floor(math.log10(place)))
            case Scale.LINEAR:
                width = math.floor(math.log10(self.high - self.low))
                return self._inside(round(place, 2 - width))
        return self._inside(_significant(place, 3))

    def _inside(self, coordinate: float) -> float:
        return min(max(coordinate, self.low), self.high)


Space = Choice | Range


def _significant(number: float, digits: int) -> float:
    return float(f"{number:.{digits}g}")
