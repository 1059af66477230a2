"""Constant expressions: text and syntax trees to values, and values back to text in a like form.

Nothing is ever run: only numbers, bools, strings and arithmetic on numbers are understood.
"""

import ast
import json
import operator
import re
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Scalar = bool | int | float | str

_LARGEST = 2**53  # integers up to here are exact as floats, too
_SCIENTIFIC = re.compile(r"-?[\d_.]+[eE][-+]?\d+")
_HEXADECIMAL = re.compile(r"-?0[xX]")
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}


def parse(text: str) -> ast.Module:
    """The tree of some Python. Anything that the parser cannot take is a SyntaxError."""
    try:
        with warnings.catch_warnings():  # of odd escapes in strings: not ours to complain about
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "too deeply nested") from error


def evaluate(text: str) -> Scalar:
    """The value of a constant expression. ValueError if it is none."""
    try:
        statements = parse(text.strip()).body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no constant") from error
    match statements:
        case [ast.Expr(value=node)]:
            return fold(node)
    raise ValueError(f"{text!r} is no constant")


def fold(node: ast.expr) -> Scalar:
    """The value of a constant expression's tree. ValueError if it is none."""
    try:
        return _fold(node)
    except (ArithmeticError, TypeError, RecursionError) as error:
        raise ValueError(f"no constant: {error}") from error


def _fold(node: ast.expr) -> Scalar:
    match node:
        case ast.Constant(value=str() | bool() | int() | float() as value):
            return admitted(value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            return -_operand(operand) if isinstance(sign, ast.USub) else _operand(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            base, other = _operand(left), _operand(right)
            if isinstance(op, ast.Pow | ast.LShift) and abs(other) > 64:  # `9**9**9`
                raise ValueError("too large")
            return _bounded(_OPERATORS[type(op)](base, other))
    raise ValueError("no constant")


def _operand(node: ast.expr) -> int | float:
    value = _fold(node)
    if isinstance(value, bool | str):
        raise ValueError("no number")
    return value


def admitted(value: Scalar) -> Scalar:
    """The value itself. ValueError if it is no finite number, or one larger than a knob may be."""
    return value if isinstance(value, str) else _bounded(value)


def _bounded(value: object) -> bool | int | float:
    """Only real and finite numbers, none larger than any knob could want."""
    if not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ValueError("no number, or too large")
    return value


def is_power_of_two(value: Scalar) -> bool:
    return type(value) is int and value > 0 and value.bit_count() == 1


def literal(value: Scalar, like: str) -> str:
    """A value as a literal that resembles another one."""
    match value:
        case bool():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False) if like.endswith('"') else repr(value)
        case int() if _HEXADECIMAL.match(like):
            return f"{value:#x}"
        case int():
            return f"{value:_}" if "_" in like else str(value)
    return _scientific(value, like) if _SCIENTIFIC.fullmatch(like) else _plain(value, like)


def _plain(value: float, like: str) -> str:
    text = f"{Decimal(repr(value)):,f}".replace(",", "_" if "_" in like else "")
    return text if "." in text else text + ".0"


def _scientific(value: float, like: str) -> str:
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    first, *rest = map(str, digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    power = int(exponent) + len(rest)
    return f"{'-' * sign}{mantissa}{'E' if 'E' in like else 'e'}{power}"
