"""Protects the values: a constant is read without being run, and written back exactly and alike."""

import pytest

from autoresearch.source.literals import Scalar, evaluate, literal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.02", 0.02),
        ("-1e-3", -0.001),
        ("2**14", 16384),
        ("3 * 128", 384),
        ("1 << 4", 16),
        ("1 / 4", 0.25),
        ("7 // 2 + 5 % 3 - 1", 4),
        ("+0x10", 16),
        ("True", True),
        (" 'a' \"b\" ", "ab"),
    ],
)
def test_constant_expressions_have_a_value(text: str, value: Scalar) -> None:
    assert evaluate(text) == value
    assert type(evaluate(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "f()", "[1]", "(1, 2)", "None", "1 +", "1; 2", "A = 1", "1j", "1e400"),
        *("1 / 0", "9**9**9", "2**64", "1 << 10**9", "1.0 << 2", "1 << -1", "(-1) ** 0.5"),
        *("'a' * 9", "-True", "not 1", "1 < 2", "b'a'", "f'{1}'", "+".join("1" * 5000)),
        "__import__('os').system('true')",
    ],
)
def test_everything_else_is_refused_and_nothing_is_run(text: str) -> None:
    with pytest.raises(ValueError, match=r"constant|number|large|negative"):
        evaluate(text)


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (0.031, "0.02", "0.031"),
        (0.0000123, "0.0001", "0.0000123"),
        (15000.0, "20_000.0", "15_000.0"),
        (1234567.0, "1.0", "1234567.0"),
        (0.0021, "1e-3", "2.1e-3"),
        (3000.0, "1E3", "3E3"),
        (-0.0021, "-1e-3", "-2.1e-3"),
        (0.0, "1e-3", "0e0"),
        (12000, "1_000", "12_000"),
        (32, "0x10", "0x20"),
        (31, "30", "31"),
        (False, "True", "False"),
        ("it's", "'a'", '"it\'s"'),
        ('say "é"\n', '"a"', '"say \\"é\\"\\n"'),
    ],
)
def test_a_new_value_looks_like_the_old_one_and_is_exact(
    value: Scalar, like: str, text: str
) -> None:
    assert literal(value, like) == text
    assert evaluate(text) == value
