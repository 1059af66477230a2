"""A long Python file -> what another one may use of it: signatures and docstrings, no bodies.

    outline(prepare_source, uses_of({"train.py": train_source}, "prepare.py"), 12_000)

First comes what the other files name (`prepare.start`), then methods that are called somewhere in
them, then everything else, as far as there is room; all in the file's order.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

LONGEST_VALUE = 80  # characters of a constant's; a longer one is left out
INDENT = "    "

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Uses:
    """What some files name of a module, and every attribute that they ask anything for."""

    names: frozenset[str]
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One definition at the top of a file. `rank`: what has a low one is shown first."""

    rank: int
    text: str


def uses_of(files: Mapping[str, str], module: str) -> Uses:
    """What these files use of the module in the file of this name."""
    stem, names, attributes = PurePosixPath(module).stem, set[str](), set[str]()
    for text in files.values():
        for node in ast.walk(_parsed(text) or ast.Module([], [])):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == stem:
                    names.add(attr)
                case ast.Attribute(attr=attr):
                    attributes.add(attr)
                case ast.ImportFrom(module=name, names=found) if name == stem:
                    names.update(each.name for each in found)
    return Uses(frozenset(names), frozenset(attributes))


def outline(source: str, uses: Uses, room: int) -> str:
    """At most `room` characters; "" for what is no Python."""
    tree = _parsed(source)
    if tree is None:
        return ""
    parts = [Part(0, f'"""{words}"""')] if (words := ast.get_docstring(tree)) else []
    parts += [part for node in tree.body if (part := _part(node, uses))]
    shown = set[int]()
    for place in sorted(range(len(parts)), key=lambda place: (parts[place].rank, place)):
        if len(parts[place].text) + 2 <= room:
            room -= len(parts[place].text) + 2
            shown.add(place)
    return "\n\n".join(part.text for place, part in enumerate(parts) if place in shown)


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _part(node: ast.stmt, uses: Uses) -> Part | None:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            is_named = name in uses.names
            return Part(0 if is_named else 2, _function(node, "", is_short=not is_named))
        case ast.ClassDef(name=name):
            asked = {*(each.name for each in _methods(node)), *map(ast.unparse, _fields(node))}
            is_used = not asked.isdisjoint(uses.attributes)
            rank = 0 if name in uses.names else 1 if is_used else 2
            return Part(rank, "\n".join(_class(node, uses, is_short=rank == 2)))
        case ast.Assign(targets=[ast.Name(id=name)]) if name.isupper() or name in uses.names:
            text = ast.unparse(node)
            return Part(0 if name in uses.names else 2, text) if len(text) < LONGEST_VALUE else None
    return None


def _function(node: Function, indent: str, is_short: bool) -> str:
    """Its signature and its docstring, or the first sentence of that."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    decorators = [f"{indent}@{ast.unparse(each)}" for each in node.decorator_list]
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    head = f"{indent}{kind} {node.name}({ast.unparse(node.args)}){returns}:"
    body = _docstring(node, indent + INDENT, is_short) or [f"{indent}{INDENT}..."]
    return "\n".join((*decorators, head, *body))


def _class(node: ast.ClassDef, uses: Uses, is_short: bool) -> Iterator[str]:
    bases = ", ".join(map(ast.unparse, node.bases))
    yield f"class {node.name}{f'({bases})' if bases else ''}:"
    yield from _docstring(node, INDENT, is_short)
    if is_short:
        return
    for each in node.body:
        if isinstance(each, ast.AnnAssign):
            yield f"{INDENT}{ast.unparse(each)}"
    for method in _methods(node):
        is_used = method.name in uses.attributes or method.name == "__init__"
        yield _function(method, INDENT, is_short=not is_used)


def _methods(node: ast.ClassDef) -> list[Function]:
    """Those that others may call."""
    found = [each for each in node.body if isinstance(each, Function)]
    return [each for each in found if each.name == "__init__" or each.name[0] != "_"]


def _fields(node: ast.ClassDef) -> list[ast.expr]:
    return [each.target for each in node.body if isinstance(each, ast.AnnAssign)]


def _docstring(node: Function | ast.ClassDef, indent: str, is_short: bool) -> list[str]:
    words = ast.get_docstring(node) or ""
    if is_short:
        words = re.split(r"(?<=\.)\s|\n\n", words, maxsplit=1)[0]
    lines = f'"""{words}"""'.split("\n") if words else []
    return [f"{indent}{line}".rstrip() for line in lines]
