"""Protects the values: whatever is sampled lies inside the range and reads like a person's."""

import random

import pytest

from autoresearch.researchers.space import Choice, Range, Scale

RANGES = [
    Range(Scale.LINEAR, 0.0, 0.1),
    Range(Scale.LINEAR, -3.0, -0.5),
    Range(Scale.LINEAR, 5.0, 60.0),
    Range(Scale.LOG, 0.005, 0.08),
    Range(Scale.LOG, 0.0080499, 0.0080501),
    Range(Scale.LOG, 1000.0, 1e6),
    Range(Scale.NEAR_ONE, 0.0125, 0.2),
    Range(Scale.NEAR_ONE, 2e-6, 3e-5),
    Range(Scale.WHOLE, 0, 2),
    Range(Scale.WHOLE, 1, 5, 128),
    Range(Scale.WHOLE, 10_001, 2**53 - 1),
    Range(Scale.POWER, 0, 4),
    Range(Scale.POWER, 2, 4, 1024),
]


def sampled(space: Range, rng: random.Random) -> float:
    if space.scale in (Scale.WHOLE, Scale.POWER):
        return rng.randint(int(space.low), int(space.high))
    return rng.uniform(space.low, space.high)


@pytest.mark.parametrize("space", RANGES, ids=str)
def test_every_coordinate_gives_a_short_value_inside_the_range(space: Range) -> None:
    rng = random.Random(1)
    for coordinate in (space.low, space.high, *(sampled(space, rng) for _ in range(200))):
        value = space.decode(coordinate)
        assert isinstance(value, int if space.scale in (Scale.WHOLE, Scale.POWER) else float)
        assert space.can_express(value)
        place = space.encode(value)
        assert isinstance(place, int | float)
        assert place == pytest.approx(space.position(value), rel=0.05, abs=1e-12)
        assert place == pytest.approx(coordinate, rel=0.06, abs=1e-3)


@pytest.mark.parametrize("space", RANGES, ids=str)
def test_near_is_a_narrower_part_around_the_value(space: Range) -> None:
    rng = random.Random(2)
    for coordinate in (space.low, space.high, *(sampled(space, rng) for _ in range(50))):
        value = space.decode(coordinate)
        near, place = space.near(value), space.encode(value)
        assert isinstance(place, int | float)
        assert space.low <= near.low <= place <= near.high <= space.high
        assert not near.is_single


def test_near_reaches_a_quarter_of_the_width_each_way() -> None:
    assert Range(Scale.LOG, 0.25, 4.0).near(1.0) == Range(Scale.LOG, 0.5, 2.0)
    assert Range(Scale.LINEAR, 0.0, 8.0).near(4.0) == Range(Scale.LINEAR, 2.0, 6.0)
    assert Range(Scale.POWER, 0, 8).near(16) == Range(Scale.POWER, 2, 6)
    assert Range(Scale.WHOLE, 1, 5).near(3) == Range(Scale.WHOLE, 2, 4)


@pytest.mark.parametrize(
    ("space", "coordinate", "value"),
    [
        (Range(Scale.LOG, 0.005, 0.08), 0.0312345, 0.0312),
        (Range(Scale.LINEAR, 0.0, 0.1), 0.0312345, 0.031),
        (Range(Scale.LINEAR, 5.0, 60.0), 31.2345, 31.2),
        (Range(Scale.NEAR_ONE, 0.0125, 0.2), 0.0384, 0.962),
        (Range(Scale.WHOLE, 50_000, 200_000), 137_284, 137_000),
    ],
)
def test_rounding(space: Range, coordinate: float, value: float) -> None:
    assert space.decode(coordinate) == value


def test_a_value_outside_counts_as_the_nearest_end_and_a_stranger_has_no_place() -> None:
    space = Range(Scale.LOG, 0.005, 0.08)
    assert [space.encode(value) for value in (-1.0, 0.01, 7)] == [0.005, 0.01, 0.08]
    assert space.encode("0.01") is None
    assert space.encode(True) is None
    assert space.near("x") == space


def test_a_change_that_noise_would_hide_is_no_step() -> None:
    rate = Range(Scale.LOG, 0.005, 0.08)
    assert not rate.is_step(0.02, 0.0207)
    assert rate.is_step(0.02, 0.024)
    assert not Range(Scale.WHOLE, 50, 200).is_step(100, 103)
    assert Range(Scale.WHOLE, 1, 1000).is_step(16, 17)
    assert not Range(Scale.WHOLE, 0, 2).is_step(0, 0)
    assert Choice((1, 2)).is_step(1, 2)
    assert not Choice((1, 2)).is_step(1, 1)


def test_distances_are_in_widths_of_the_range() -> None:
    assert Range(Scale.LOG, 0.25, 4.0).distance(0.5, 2.0) == pytest.approx(0.5)
    assert Range(Scale.LINEAR, 0.0, 8.0).distance(2.0, 4.0) == 0.25
    assert Range(Scale.POWER, 0, 4).distance(2, 16) == 0.75
    assert Range(Scale.LINEAR, 0.0, 8.0).distance(2.0, "x") == 1.0
    assert Choice(("a", "b")).distance("a", "b") == 1.0
    assert Choice(("a", "b")).distance("a", "a") == 0.0


def test_choices_tell_apart_what_python_calls_equal() -> None:
    space = Choice((1, 2))
    assert space.encode(1) is not None
    assert space.encode(True) is None
    assert space.encode(1.0) is None
    assert space.encode(3) is None
    mixed = Choice(("a", "1"))
    assert [mixed.decode(mixed.encode(each) or "") for each in mixed.values] == ["a", "1"]
    assert mixed.near("a") == mixed
