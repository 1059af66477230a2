"""What a change is: whether there is one behind all formatting, and where in the code it was made.

Python is compared by its syntax tree. Positions, comments, docstrings and other statements without
effect are not in the comparison, nor is the way in which a number or a string was written. All
other files, and Python that does not parse, are compared by their lines: blank ones and the white
space within and behind a line do not count, the indentation does.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from autoresearch.source.literals import fold, parse
from autoresearch.text import clean_line

TOP_LEVEL = "(top level)"
LONGEST_VALUE = 60  # characters of a constant's value
_CAPITAL = re.compile(r"[A-Z][A-Z0-9_]*")
_WITHOUT_EFFECT = {"ctx", "kind", "type_comment", "type_ignores"}  # fields of syntax trees
_PARTS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Theme:
    """A place in the code that a change touched, and both values where that is a constant."""

    name: str  # `MATRIX_LR`, `Model.forward`, `(top level)`; `model.py:Model` if there are files
    before: str = ""  # "" where it was not there, or is no single number, string or None
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a module: its place, what it says whatever its form, and a constant's value."""

    name: str
    code: str
    value: str = ""


def fingerprint(files: Mapping[str, bytes]) -> str:
    """Equal for files that differ in their formatting, comments and docstrings only."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        parts = _parts(name, content)
        lines = [f"{part.name}\n{part.code}" for part in parts] if parts is not None else []
        text = "\n\n".join(lines).encode("utf-8", "surrogatepass")
        said = text if parts is not None else b"\n".join(_lines(content))
        digest.update(f"{name}\n{len(said)} {parts is not None}\n".encode("utf-8", "replace"))
        digest.update(said)
    return digest.hexdigest()


def touched(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[Theme, ...]:
    """The themes of a change, in the order of the code; a file that is no Python is one theme."""
    names = sorted(before.keys() | after.keys())
    prefixes = {name: f"{name}:" if len(names) > 1 else "" for name in names}
    return tuple(
        theme
        for name in names
        for theme in _between(name, prefixes[name], before.get(name, b""), after.get(name, b""))
    )


def _between(name: str, prefix: str, before: bytes, after: bytes) -> Iterator[Theme]:
    old, new = _parts(name, before), _parts(name, after)
    if old is None or new is None:
        if _lines(before) != _lines(after):
            yield Theme(name)
        return
    was, now = _by_name(old), _by_name(new)
    for place in dict.fromkeys((*now, *was)):
        one, other = was.get(place, _Part(place, "")), now.get(place, _Part(place, ""))
        if one.code != other.code:
            yield Theme(prefix + place, one.value, other.value)


def _by_name(parts: tuple[_Part, ...]) -> dict[str, _Part]:
    """The parts by their place; several at one place, such as two definitions, are one."""
    found: dict[str, _Part] = {}
    for part in parts:
        code = found[part.name].code + part.code if part.name in found else part.code
        found[part.name] = _Part(part.name, code, part.value)
    return found


@lru_cache(maxsize=8)  # a parent is compared with one child after another
def _parts(name: str, content: bytes) -> tuple[_Part, ...] | None:
    """The parts of a Python file, in order; None for anything else."""
    if not name.endswith(".py"):
        return None
    try:
        tree = parse(content.decode("utf-8-sig"))
    except (SyntaxError, UnicodeDecodeError):
        return None
    return tuple(part for statement in tree.body for part in _split(statement, ""))


def _split(statement: ast.stmt, outer: str) -> Iterator[_Part]:
    """A statement of a module or a class: methods are parts of their own."""
    match statement:
        case ast.ClassDef(name=name):
            rest = [each.name if isinstance(each, _PARTS) else each for each in statement.body]
            fields = [getattr(statement, field) for field in statement._fields if field != "body"]
            yield _Part(outer + name, _canonical([*fields, rest]))
            for each in statement.body:
                if isinstance(each, _PARTS):
                    yield from _split(each, f"{outer}{name}.")
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield _Part(outer + name, _canonical(statement))
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _CAPITAL.fullmatch(name):
            yield _Part(name, _canonical(statement), _value(value))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if (
            _CAPITAL.fullmatch(name)
        ):
            yield _Part(name, _canonical(statement), _value(value))
        case _ if not _does_nothing(statement):
            yield _Part(TOP_LEVEL, _canonical(statement))


def _value(node: ast.expr) -> str:
    """A constant's value in its plainest form: the same for `2**4` and `16`."""
    if isinstance(node, ast.Constant) and node.value is None:
        return "None"
    try:
        return clean_line(repr(fold(node)), LONGEST_VALUE)
    except ValueError:
        return ""


def _canonical(root: object) -> str:
    """A syntax tree as text, whatever its formatting; without recursion, so at any depth."""
    words, stack = list[str](), [root]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.AST):
            words.append(type(item).__name__)
            fields = [each for each in item._fields if each not in _WITHOUT_EFFECT]
            stack.extend(getattr(item, each, None) for each in reversed(fields))
        elif isinstance(item, list):
            kept = [each for each in item if not _does_nothing(each)]
            words.append(f"[{len(kept)}]")
            stack.extend(reversed(kept))
        else:  # repr() refuses integers of thousands of digits
            words.append(hex(item) if type(item) is int else repr(item))
    return "\n".join(words)


def _does_nothing(node: object) -> bool:
    """`pass`, a docstring, or any other constant that stands alone."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass)


def _lines(content: bytes) -> list[bytes]:
    """Lines without the white space that does not count."""
    lines = (line.rstrip() for line in content.splitlines())
    indents = ((line[: len(line) - len(line.lstrip())], line) for line in lines if line)
    return [indent + b" ".join(line.split()) for indent, line in indents]
