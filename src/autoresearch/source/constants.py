"""The CAPITAL constants of a script: found by parsing, never by running, and edited in place.

A constant is `NAME = value` at the left margin of a module, where the value is a number, a bool, a
string, or arithmetic on numbers such as `2**14` and `3 * 128`. A name that the module binds more
than once is none: an edit of one of its places could be without effect.

An edit replaces the literal and nothing else: comments, spacing, line ends and the way in which
the number was written (`2**14` -> `2**15`, `1e-3` -> `2.1e-3`, `3 * 128` -> `4 * 128`) stay.
"""

import ast
import contextlib
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoresearch.source.literals import (
    Scalar,
    admitted,
    evaluate,
    fold,
    is_power_of_two,
    literal,
    parse,
)

_CAPITAL = re.compile(r"[A-Z][A-Z0-9_]*")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Constant:
    """One `NAME = value  # comment`, and where its value stands."""

    name: str
    value: Scalar
    text: str  # the value as it is written
    comment: str  # the one behind it on its last line, without the `#`
    span: tuple[int, int]  # of `text` in the source, in UTF-8 bytes
    slot: tuple[int, int]  # of the literal in `text` that an edit changes, in characters
    is_power: bool = False  # written as a power of two: the slot holds the exponent
    unit: int = 1  # written as a product: the slot holds value / unit

    def written(self, value: Scalar) -> str:
        """Another value in this constant's own form, or plainly where the form cannot hold it."""
        start, end = self.slot
        if self.is_power and is_power_of_two(value):
            new = str(int(value).bit_length() - 1)
        elif self.unit > 1 and type(value) is int and value % self.unit == 0:
            new = literal(value // self.unit, self.text[start:end])
        else:
            return literal(value, self.text)
        return self.text[:start] + new + self.text[end:]


def find_constants(
    source: str, resolved: Mapping[str, Scalar] | None = None
) -> dict[str, Constant]:
    """The constants of a module's text, by name, in their order. SyntaxError if it is no Python.

    One that is written `None` leaves its value to the script: it counts with the value that
    `resolved`, what a run of the script reported, gives for its name, or else not at all.
    """
    text = _Text(source)
    tree = parse(text.plain)
    comments, bound = _comments(text.plain), _bindings(tree)
    found = {}
    for name, node, last_line in _assignments(tree):
        with contextlib.suppress(ValueError):  # not a constant
            if bound[name] == 1:
                comment = comments.get(last_line, "")
                found[name] = _constant(name, node, comment, text, resolved or {})
    return found


def left_open(source: str) -> list[str]:
    """The constants that are written `None`. SyntaxError if it is no Python."""
    nodes = _assignments(parse(source.removeprefix(_BOM)))
    return [
        name for name, node, _ in nodes if isinstance(node, ast.Constant) and node.value is None
    ]


def rewrite(
    source: str, texts: Mapping[str, str], resolved: Mapping[str, Scalar] | None = None
) -> str:
    """The source with other values, as written, for some of its constants."""
    constants = find_constants(source, resolved)
    encoded = source.encode()
    for name in sorted(texts, key=lambda name: constants[name].span, reverse=True):
        start, end = constants[name].span
        encoded = encoded[:start] + texts[name].encode() + encoded[end:]
    return encoded.decode()


def assignments(text: str) -> dict[str, str]:
    """`LR = 0.02, DEPTH = 6` as names and values as written; {} for any other text."""
    found = {}
    for part in re.split(r"[,;\n]|\band\b", text.strip()):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not (equals and _CAPITAL.fullmatch(name)) or name in found:
            return {}
        try:
            evaluate(value)
        except ValueError:
            return {}
        found[name] = value
    return found


def texts(files: Mapping[str, bytes]) -> dict[str, str]:
    """The files that are UTF-8."""
    found = {}
    for name, content in files.items():
        with contextlib.suppress(UnicodeDecodeError):
            found[name] = content.decode()
    return found


def settable(
    sources: Mapping[str, str], resolved: Mapping[str, Scalar] | None = None
) -> dict[str, tuple[str, Constant]]:
    """Each constant of some files, with the first that has it; what is no Python has none."""
    found: dict[str, tuple[str, Constant]] = {}
    for file, source in sources.items():
        with contextlib.suppress(SyntaxError):
            here = find_constants(source, resolved)
            found = {name: (file, each) for name, each in here.items()} | found
    return found


def assigned(
    sources: Mapping[str, str],
    values: Mapping[str, str],
    resolved: Mapping[str, Scalar] | None = None,
) -> dict[str, str]:
    """The files with other values, as written, for some constants. KeyError for one that none of
    them has."""
    known = settable(sources, resolved)
    after = dict(sources)
    for name, value in values.items():
        file = known[name][0]
        after[file] = rewrite(after[file], {name: value}, resolved)
    return after


# --- Finding ----------------------------------------------------------------------------------


class _Text:
    """A module's text, where a node's position becomes one in the UTF-8 of the whole."""

    def __init__(self, source: str) -> None:
        self.plain = source.removeprefix(_BOM)  # what the parser takes, and counts from
        self.encoded = source.encode()
        first = len(self.encoded) - len(self.plain.encode())
        self.starts = [first, *(end.end() for end in _LINE_END.finditer(self.encoded))]

    def span(self, node: ast.expr) -> tuple[int, int]:
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        return start, end

    def between(self, start: int, end: int) -> str:
        return self.encoded[start:end].decode()


def _constant(
    name: str, node: ast.expr, comment: str, text: _Text, resolved: Mapping[str, Scalar]
) -> Constant:
    left_open = isinstance(node, ast.Constant) and node.value is None and name in resolved
    value = admitted(resolved[name]) if left_open else fold(node)
    start, end = text.span(node)
    edited, is_power, unit = _form(node, value)
    first, last = (len(text.between(start, each)) for each in text.span(edited))
    written = text.between(start, end)
    return Constant(name, value, written, comment, (start, end), (first, last), is_power, unit)


def _form(node: ast.expr, value: Scalar) -> tuple[ast.expr, bool, int]:
    """(the literal to edit, whether it is an exponent of two, what it counts units of)."""
    match node:
        case ast.BinOp(left=ast.Constant(value=2), op=ast.Pow(), right=ast.Constant() as exponent):
            return exponent, is_power_of_two(value), 1
        case ast.BinOp(left=ast.Constant(value=1), op=ast.LShift(), right=ast.Constant() as bits):
            return bits, True, 1
        case ast.BinOp(op=ast.Mult()) if type(value) is int and value > 0:
            count = _first_factor(node)
            number = fold(count)
            if isinstance(count, ast.Constant) and type(number) is int:
                return count, False, value // number
    return node, False, 1


def _first_factor(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        node = node.left
    return node


def _comments(text: str) -> dict[int, str]:
    """The comment of each line that has one, by line number."""
    comments = {}
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
    with contextlib.suppress(tokenize.TokenError):
        for token in tokenize.generate_tokens(lines.readline):
            if token.type == tokenize.COMMENT:
                comments[token.start[0]] = token.string.lstrip("# ").rstrip()
    return comments


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr, int]]:
    """(name, value, last line) of each plain assignment to one CAPITAL name."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if _CAPITAL.fullmatch(name):
            yield name, value, node.end_lineno or node.lineno


def _bindings(tree: ast.Module) -> Counter[str]:
    """How often each name is bound in the module's own scope, or declared global in another."""
    counts = Counter(
        name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names
    )
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            counts[node.id] += 1
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            nodes.extend(ast.iter_child_nodes(node))
    return counts
