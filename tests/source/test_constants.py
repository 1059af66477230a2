"""Protects the script: constants are found without running it, an edit touches nothing else."""

import ast
import math
from pathlib import Path

import pytest

from autoresearch.source.constants import find_constants, rewrite
from autoresearch.source.literals import Scalar


def values(source: str) -> dict[str, Scalar]:
    return {name: constant.value for name, constant in find_constants(source).items()}


def edited(source: str, new: dict[str, Scalar]) -> str:
    constants = find_constants(source)
    return rewrite(source, {name: constants[name].written(value) for name, value in new.items()})


def test_constants_are_found_in_order_with_their_comments() -> None:
    source = 'LR = 0.02  # rate; range: 1 to 2\nON: bool = True\nKIND = "a # b"  ## odd\nN = 2**3\n'
    found = find_constants(source)
    assert values(source) == {"LR": 0.02, "ON": True, "KIND": "a # b", "N": 8}
    assert [each.comment for each in found.values()] == ["rate; range: 1 to 2", "", "odd", ""]
    assert [each.text for each in found.values()] == ["0.02", "True", '"a # b"', "2**3"]


@pytest.mark.parametrize(
    "source",
    [
        "lr = 1",
        "Lr = 1",
        "_LR = 1",
        "A = B = 1",
        "A, B = 1, 2",
        "A = [1]",
        "A = None",
        "A = f(1)",
        "A: int",
        "x.A = 1",
        "A += 1",
        "if True:\n    A = 1",
        "def f():\n    A = 1",
        "class C:\n    A = 1",
        "'''\nA = 1\n'''",
        "# A = 1",
        "",
    ],
)
def test_nothing_else_is_a_constant(source: str) -> None:
    assert find_constants(source) == {}


@pytest.mark.parametrize(
    "second",
    [
        "A = 2",
        "A += 1",
        "if True:\n    A = 2",
        "for A in (1, 2): pass",
        "with open('x') as A: pass",
        "del A",
        "def f():\n    global A\n    A = 2",
    ],
)
def test_a_name_that_is_bound_twice_is_left_alone(second: str) -> None:
    assert values(f"A = 1\nB = 1\n{second}\n") == {"B": 1}


def test_the_same_name_in_another_scope_does_not_matter() -> None:
    source = "A = 1\ndef f():\n    A = 2\nclass C:\n    A = 3\nprint(A)\n"
    assert edited(source, {"A": 7}) == source.replace("A = 1", "A = 7")


def test_finding_never_runs_the_script(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    assert values(f"open({str(trace)!r}, 'w')\nA = 1\nraise SystemExit") == {"A": 1}
    assert not trace.exists()


@pytest.mark.parametrize("source", ["A = ", "A = 1\x00", "A = " + "(" * 5000, "  A = 1"])
def test_what_is_no_python_is_a_syntax_error(source: str) -> None:
    with pytest.raises(SyntaxError):
        find_constants(source)


def test_an_odd_escape_elsewhere_is_no_concern() -> None:
    assert values("A = 1\nx = '\\d'\n") == {"A": 1}


def test_a_very_long_expression_is_no_constant() -> None:
    assert values(f"A = 1\nB = {'+'.join('1' * 2000)}\n") == {"A": 1}


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("2**14", 2**15, "2**15"),
        ("2 ** 14", 2**13, "2 ** 13"),
        ("2**14", 20000, "20000"),
        ("1 << 4", 32, "1 << 5"),
        ("3 * 128", 512, "4 * 128"),
        ("3 * 2**7", 512, "4 * 2**7"),
        ("3*4*32", 512, "4*4*32"),
        ("3 * 128", 500, "500"),
        ("1024 + 64", 2048, "2048"),
        ("1 / 3", 0.25, "0.25"),
        ("2.0**3", 4.0, "4.0"),
        ("2 * 1.5", 3.5, "3.5"),
        ("0 * 5", 3, "3"),
        ("-0.5", -0.25, "-0.25"),
        ("1e-3", 0.0021, "2.1e-3"),
    ],
)
def test_the_form_stays_where_it_can_hold_the_value(before: str, value: Scalar, after: str) -> None:
    assert edited(f"A = {before}  # why\n", {"A": value}) == f"A = {after}  # why\n"


def test_a_value_left_to_the_script_counts_as_what_a_run_came_to() -> None:
    source = "A = None  # range: 1 to 9\nB = None\nC = 1\n"
    found = find_constants(source, {"A": 4, "C": 7, "D": 8})
    assert {name: each.value for name, each in found.items()} == {"A": 4, "C": 1}
    assert rewrite(source, {"A": found["A"].written(5)}, {"A": 4}) == source.replace("None", "5", 1)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 10**400, 1e300])
def test_what_a_run_reports_may_be_odd(odd: Scalar) -> None:
    assert find_constants("A = None\n", {"A": odd}) == {}


UGLY = (
    '\ufeff# größe 🙂\r\nLR   =   0.02# range: 1 to 2\r\nK = "é🙂"; N=3 # ü\r\n\tx = 1\r\n'
    "A = (  # first\r\n    3 * # é\r\n    128\r\n)  # last\r\nB = 8 * \\\r\n  2\r\nC = 1e-3\f\r\n"
    'T = """a\r\n# not a comment\r\nD = 4\r\n"""\r\nE = 5'
).replace("\tx", "x")


def test_an_edit_keeps_everything_around_the_literal() -> None:
    new: dict[str, Scalar] = {"LR": 0.031, "N": 5, "A": 512, "B": 64, "C": 0.5, "E": 6}
    expected = UGLY
    for old, text in [
        ("0.02#", "0.031#"),
        ("N=3 ", "N=5 "),
        ("3 * # é", "4 * # é"),
        ("8 * \\", "32 * \\"),
        ("1e-3", "5e-1"),
        ("E = 5", "E = 6"),
    ]:
        expected = expected.replace(old, text)
    assert edited(UGLY, new) == expected
    assert values(expected) == values(UGLY) | new
    assert find_constants(UGLY)["A"].comment == "last"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_count_as_one_line(end: str) -> None:
    source = end.join(["# é", "A = 1  # a", "", "B = 2  # b", ""])
    assert edited(source, {"B": 3}) == source.replace("B = 2", "B = 3")
    assert find_constants(source)["B"].comment == "b"


def test_every_constant_of_the_real_script_can_be_edited_alone() -> None:
    path = Path(__file__).parents[2] / "src/autoresearch/labs/gpt/train.py"
    source = path.read_bytes().decode()
    constants = find_constants(source)
    assert constants
    for name, constant in constants.items():
        same = rewrite(source, {name: constant.written(constant.value)})
        assert values(same) == values(source)
        other = edited(source, {name: 77})
        assert values(other) == values(source) | {name: 77}
        assert len(ast.parse(other).body) == len(ast.parse(source).body)
        lines = zip(source.split("\n"), other.split("\n"), strict=True)
        assert sum(before != after for before, after in lines) == 1
