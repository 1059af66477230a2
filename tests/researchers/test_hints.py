"""Protects the search: hints mean what they say, and without one a knob stays in a sane range."""

import pytest

from autoresearch.researchers.hints import is_idle, misread, space_of
from autoresearch.researchers.space import Choice, Range, Scale, Space
from autoresearch.source.constants import Constant, find_constants
from autoresearch.source.literals import Scalar


def constant(line: str) -> Constant:
    (found,) = find_constants(line).values()
    return found


def space(line: str, start: Scalar | None = None) -> Space | None:
    found = constant(line)
    return space_of(found, found.value if start is None else start)


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("A = 4  # one of: 2, 4, 8", (2, 4, 8)),
        ("A = 4  # heads; One of: 2, 4 or 8. ", (2, 4, 8)),
        ("A = 4  # heads (one of: 2, 4, 2**3)", (2, 4, 8)),
        ("A = 3  # one of: 2, 4", (2, 4)),
        ("A = 0.1  # one of: 0, 0.1, 1e-2; more is worse", (0.0, 0.1, 0.01)),
        ("A = True  # one of: True, False", (True, False)),
        ("A = 'relu'  # one of: relu, gelu, silu.", ("relu", "gelu", "silu")),
        ("A = 'a,b'  # one of: 'a,b', \"c or d\"", ("a,b", "c or d")),
        ("SEED = 1  # one of: 1, 2", (1, 2)),
        ("A = 1  # one of: 1, 1, 2, 2.5, x, True", (1, 2)),
        ("A = 4  # one of: 2 | 4 | 8", (2, 4, 8)),
        ("A = 4  # choices: [2, 4, 8]", (2, 4, 8)),
        ("A = 'a'  # options: a, b", ("a", "b")),
        ("A = False", (False, True)),
    ],
)
def test_choices(line: str, choices: tuple[Scalar, ...]) -> None:
    assert space(line) == Choice(choices)
    assert [type(each) for each in choices] == [type(constant(line).value)] * len(choices)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A = 0.02  # range: 0.001 to 0.1", Range(Scale.LINEAR, 0.001, 0.1)),
        ("A = 0.02  # range: 0.001 to 0.1, log", Range(Scale.LOG, 0.001, 0.1)),
        ("A = 0.02  # rate (range: 1e-3 to 0.1 log).", Range(Scale.LOG, 0.001, 0.1)),
        ("A = 0.02  # range: 0.001..0.1, log", Range(Scale.LOG, 0.001, 0.1)),
        ("A = 0.02  # range: [1e-3, .1] (log)", Range(Scale.LOG, 0.001, 0.1)),
        ("A = 0.02  # range 0.001 to 0.1; the rate", Range(Scale.LINEAR, 0.001, 0.1)),
        ("A = 0.02  # range: 0.001 - 0.1", Range(Scale.LINEAR, 0.001, 0.1)),
        ("A = 2**14  # range: 2**12..2**16", Range(Scale.POWER, 12, 16)),
        ("SEED = 3  # range: 1 to 20", Range(Scale.WHOLE, 1, 20)),
        ("A = 0.0  # range: 0 to 1, log", Range(Scale.LINEAR, 0.0, 1.0)),
        ("A = -1.0  # range: -3 to -0.5.", Range(Scale.LINEAR, -3.0, -0.5)),
        ("A = 7  # range: 1 to 20", Range(Scale.WHOLE, 1, 20)),
        ("A = 64  # range: 16 to 256", Range(Scale.POWER, 4, 8)),
        ("A = 64  # range: 10 to 100", Range(Scale.WHOLE, 10, 100)),
        ("A = 2**14  # range: 2**12 to 2**16", Range(Scale.POWER, 12, 16)),
        ("A = 3 * 128  # range: 128 to 1000", Range(Scale.WHOLE, 1, 7, 128)),
        ("LAYERS = 4  # range: 2 to 8", Range(Scale.WHOLE, 2, 8)),
        ("LAYERS = 4  # range: 2 to 8, power of 2", Range(Scale.POWER, 1, 3)),
        (
            "A = 192  # a multiple of B; range: 64 to 2048, multiple of 64",
            Range(Scale.WHOLE, 1, 32, 64),
        ),
        ("A = 128  # range: 100 to 300, multiples of 64", Range(Scale.WHOLE, 2, 4, 64)),
        ("A = 100  # range: 10 to 200, multiple of 64", Range(Scale.WHOLE, 10, 200)),
        ("A = 100  # range: 10 to 200, multiple of 0", Range(Scale.WHOLE, 10, 200)),
    ],
)
def test_hinted_ranges(line: str, expected: Range) -> None:
    assert space(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("LR = 0.02", Range(Scale.LOG, 0.005, 0.08)),
        ("LR = 2.0  # range: low to high", Range(Scale.LOG, 0.5, 8.0)),
        ("LR = 2.0  # range: 5 to 1", Range(Scale.LOG, 0.5, 8.0)),
        ("SHIFT = 0.0", Range(Scale.LINEAR, 0.0, 0.1)),
        ("SHIFT = 1e-300", Range(Scale.LINEAR, 0.0, 0.1)),
        ("SHIFT = -0.5", Range(Scale.LINEAR, -1.0, 0.0)),
        ("DROPOUT = 0.125", Range(Scale.LOG, 0.03125, 0.5)),
        ("WARMDOWN_RATIO = 0.5", Range(Scale.LINEAR, 0.125, 0.875)),
        ("KEPT = 0.5  # fraction of the batch", Range(Scale.LINEAR, 0.125, 0.875)),
        ("FINAL_FRAC = 1.0", Range(Scale.LINEAR, 0.25, 1.0)),
        ("MLP_RATIO = 2.0", Range(Scale.LOG, 0.5, 8.0)),
        ("MOMENTUM = 0.875", Range(Scale.NEAR_ONE, 0.03125, 0.5)),
        ("EMA_DECAY = 0.9375", Range(Scale.NEAR_ONE, 0.015625, 0.25)),
        ("VALUE_EVERY = 2", Range(Scale.WHOLE, 1, 4)),
        ("BATCH = 64", Range(Scale.POWER, 4, 8)),
        ("HEADS = 4", Range(Scale.POWER, 1, 3)),
        ("DEPTH = 8", Range(Scale.WHOLE, 4, 16)),
        ("N_LAYER = 4", Range(Scale.WHOLE, 2, 6)),
        ("TOKENS = 2**1", Range(Scale.POWER, 0, 2)),
        ("EVERY = 1", Range(Scale.WHOLE, 1, 3)),
        ("EVERY = 0", Range(Scale.WHOLE, 0, 2)),
        ("STEPS = 5", Range(Scale.WHOLE, 3, 7)),
        ("STEPS = 100", Range(Scale.WHOLE, 50, 200)),
        ("WIDTH = 3 * 128", Range(Scale.WHOLE, 1, 5, 128)),
        ("WIDTH = 8 * 1024", Range(Scale.POWER, 2, 4, 1024)),
    ],
)
def test_inferred_ranges(line: str, expected: Range) -> None:
    assert space(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "LR = 0.02  # fixed",
        "LR = 0.02  # the rate; fixed, by law; range: 0 to 1",
        "SEED = 1337",
        "DATA_SEED = 3",
        "NUM_CLASSES = 10",
        "VOCAB_SIZE = 50304",
        "LOG_EVERY = 100",
        "EVAL_INTERVAL = 100",
        "NUM_WORKERS = 2",
        "NAME = 'gpt'",
        "PATH = '/tmp/x'",
        "WINDOW = -1",
        "KIND = 'a'  # one of: a",
        "KIND = 'a'  # one of:",
        "LR = 0.5  # one of: low, high",
        "LR = 0.5  # range: 1 to 1",
    ],
)
def test_what_is_left_alone(line: str) -> None:
    assert space(line) is None


def test_the_word_fixed_in_a_sentence_fixes_nothing() -> None:
    assert space("LR = 0.02  # not to be confused with a fixed rate") is not None


@pytest.mark.parametrize(
    ("line", "start"),
    [("A = 0.03", 0.02), ("A = 8", 6), ("A = 128", 64), ("DROPOUT = 0.3", 0.125), ("A = 3", 2)],
)
def test_the_range_stays_that_of_the_start_while_the_value_moves_in_it(
    line: str, start: Scalar
) -> None:
    assert space(line, start) == space(f"{line.split(maxsplit=1)[0]} = {start}")


@pytest.mark.parametrize(
    ("line", "start", "expected"),
    [
        ("LR = 2.0", 0.02, Range(Scale.LOG, 0.005, 8.0)),
        ("A = 2048", 64, Range(Scale.POWER, 4, 13)),
        ("A = 100", 6, Range(Scale.WHOLE, 3, 200)),
        ("SHIFT = 0.5", 0.0, Range(Scale.LINEAR, 0.0, 0.5)),
    ],
)
def test_the_range_widens_to_a_value_that_was_moved_out_of_it(
    line: str, start: Scalar, expected: Range
) -> None:
    assert space(line, start) == expected


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("A = 100", 64),  # no power of two any more
        ("A = 1.5", 2),  # an integer no more
        ("A = 0.0", 0.5),  # no logarithm
        ("A = 3 * 128", 100),  # in units now
        ("A = 5", "five"),
        ("A = 5", -1),
    ],
)
def test_a_start_that_no_longer_fits_is_forgotten(line: str, start: Scalar) -> None:
    assert space(line, start) == space(line)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("if DEPTH > 1", True),
        ("range: 1 to 4; if DEPTH >= 2", True),
        ("one of: 1, 2; if DEPTH != 1.", True),
        ("for deep models (if DEPTH == 1)", False),
        ("if DEPTH < 1.5", False),
        ("if SHARE > 0.25", True),
        ("if IS_ON > 0", False),
        ("if IS_ON", False),
        ("range: 1 to 2; if IS_OFF", True),
        ("if DEPTH", False),
        ('if KIND == "deep"', False),
        ("if KIND != deep; fixed", True),
        ("if KIND == wide", True),
        ("if KIND > 1", False),
        ("if DEPTH > 1 and IS_ON", False),
        ("if NOTHING > 1", False),
        ("if DEPTH > x", False),
        ("what it does if DEPTH > 1", False),
    ],
)
def test_what_changes_nothing_now_is_idle(hint: str, expected: bool) -> None:
    values: dict[str, Scalar] = {"DEPTH": 1, "SHARE": 0.25, "IS_ON": True, "KIND": "deep"}
    found = constant(f"A = 2  # {hint}")
    assert is_idle(found, {**values, "IS_OFF": False}) is expected
    assert space_of(found, 2) is not None or "fixed" in hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("A = 0.02  # range: low to high", "A: `range: low to high` is not understood"),
        ("A = 0.02  # range: 0.1 to 0.001", "is not understood: write `range: 0.001 to 0.1, log`"),
        ("A = 0  # range: 0 to 0.3", "leaves one value: a whole number, as it is written"),
        ("A = 4  # one of: 2, None", "`None` is no choice: it must be a whole number, as now"),
        ("A = 4  # choices:", "is not understood"),
        (
            "A = 4  # range: 2 to 8; if N > 1 and FLAG",
            "write `if DEPTH > 1`, and nothing behind it",
        ),
        ("A = 'a'  # range: 1 to 2", "is not understood"),
        ("A = 0.02  # range: 0.001..0.1; if IS_ON", ""),
        ("A = 4  # one of: 2, 4 or 8. ", ""),
        ("A = 4  # fixed; range: x to y", ""),
        ("A = 4  # a wide range of values; if in doubt, leave it", ""),
        ("A = 4", ""),
    ],
)
def test_a_hint_that_cannot_be_read_is_said(line: str, words: str) -> None:
    said = misread(constant(line))
    assert words in said if words else said == ""
