"""YAML front matter, read strictly: every complaint knows its line.

PyYAML's `load` forgets where a value stood, takes the last of two equal keys without a word, and
turns `no` into False. So the text is only composed into nodes here, and each value is read from
what the person actually typed. Anchors, aliases and tags are refused.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

import yaml

Value = TypeVar("Value")
Reader = Callable[[yaml.Node, str], Any]  # (node, dotted name of its key) -> value, or a Problem

_KEY_LINE = re.compile(r"\s*[a-z][a-z0-9_-]*\s*:(?!//)")
_END = r"-{2,}|[\u2013\u2014]+|\.{3}"  # `---`, and what may be meant as that
_RULE = re.compile(rf"\s*({_END}|[*_=+~]{{3,}}|`{{3,}}\s*\w*)\s*")

_OPENING = (
    *(yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken),
    *(yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken),
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
DEEPEST = 10  # lists and mappings in each other


class Problem(Exception):
    """Something wrong on one line of the whole file, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def split(text: str, keys: Iterable[str]) -> tuple[str | None, str]:
    """(front matter or None, body), both with plain line ends.

    Front matter lies between a first line `---` and the next such line, and what it says first is
    a lower-case `key:`, or one of `keys`. Above it nothing but empty lines may stand; they are
    part of it, so that its lines keep their numbers. All else is prose, rules and all, but for
    what was plainly meant as front matter: that raises `Problem`.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    top = next((number for number, line in enumerate(lines) if line.strip()), 0)
    rules = [number for number, line in enumerate(lines) if line.rstrip() == "---"]
    is_meant = _is_meant(lines[top:], keys)
    if is_meant and rules[:1] != [top]:
        raise Problem(top + 1, "a contract begins with a line `---`, above all else: write one")
    if is_meant and len(rules) < 2:
        for number, line in enumerate(lines[top + 1 :], top + 2):
            if re.fullmatch(rf"\s*({_END})\s*", line):
                raise Problem(number, "the contract ends with a line `---`: write just that here")
        message = "the contract that begins here never ends: write a line `---` below its last key"
        raise Problem(top + 1, message)
    if len(rules) < 2 or rules[0] != top:
        return None, text
    front = lines[top + 1 : rules[1]]
    if not is_meant and not _KEY_LINE.match(next(_said(front), "")):
        return None, text
    body = "\n".join(lines[rules[1] + 1 :]).lstrip("\n")
    return "\n" * top + "\n".join(front), body


def _is_meant(lines: Sequence[str], keys: Iterable[str]) -> bool:
    """Whether a text begins with one of the keys, and a rule stands above that, or anywhere where
    the key is on the first line."""
    names = "|".join(map(re.escape, keys))
    known = re.compile(rf"[-\s{{\"']*({names})[\"']?\s*:(?!//)", re.IGNORECASE)
    if _KEY_LINE.match(lines[0]) and known.match(lines[0]):
        return any(map(_RULE.fullmatch, lines))
    above = list(takewhile(lambda line: not line.strip() or _is_above(line), lines))
    first = takewhile(str.strip, lines[len(above) :])
    return any(map(_RULE.fullmatch, above)) and any(map(known.match, first))


def _is_above(line: str) -> bool:
    return line.lstrip().startswith("#") or bool(_RULE.fullmatch(line))


def _said(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def compose(front: str) -> yaml.Node:
    """The YAML as nodes that know where they stand. Raises `Problem`."""
    try:
        depth = 0
        for token in yaml.scan(front, Loader=yaml.SafeLoader):
            depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
            if depth > DEEPEST:
                raise Problem(_line(token), "a list or a mapping lies too deep in others")
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
                message = "a value that starts with `&`, `*` or `!` must stand in quotes"
                raise Problem(_line(token), message)
        node = yaml.compose(front, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 2 if mark else 1
        what = error.problem or error.context
        raise Problem(line, f"not valid YAML ({what}); quotes help around odd text") from error
    except yaml.reader.ReaderError as error:
        line = front.count("\n", 0, error.position) + 2
        raise Problem(line, f"the character {chr(error.character)!r} is not allowed") from error
    assert node is not None  # `split` saw a key
    return node


def _line(part: yaml.Node | yaml.Token) -> int:
    return int(part.start_mark.line) + 2  # marks count from 0, and the first line is the `---`


def wrong(node: yaml.Node, path: str, message: str) -> Problem:
    """The problem to raise about a node."""
    return Problem(_line(node), f"{path}: {message}" if path else message)


@dataclass(frozen=True, slots=True)
class Section:
    """Reads a mapping whose keys are all known: key -> (the field it sets, how to read it).

    Calling it gives `build(**fields)` with the fields that were set, and raises `Problem`.
    """

    keys: Mapping[str, tuple[str, Reader]]
    build: Callable[..., Any] = dict

    def __call__(self, node: yaml.Node, path: str = "") -> Any:
        fields, lines = {}, dict[str, int]()
        for key, key_node, value_node in self._pairs(node, path):
            full = f"{path}.{key}" if path else key
            if key in lines:
                raise wrong(key_node, full, f"already set on line {lines[key]}; keep one of them")
            field, read = self.keys[key]
            lines[key], fields[field] = _line(key_node), read(value_node, full)
        return self.build(**fields)

    def _pairs(self, node: yaml.Node, path: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise wrong(node, path, "expected `key: value`, with a space after the colon")
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "[...]"
            if key not in self.keys:
                raise wrong(key_node, path, self._unknown(key))
            yield key, key_node, value_node

    def _unknown(self, key: str) -> str:
        places = self._places()
        near = difflib.get_close_matches(key, places, n=1)
        known = f"known are {', '.join(self.keys)} (prose goes below the second ---)"
        return f"unknown key {key!r}; " + (f"did you mean {places[near[0]]!r}?" if near else known)

    def _places(self) -> dict[str, str]:
        """Every key from here down, by its last word: `memory` is found at `limits.memory`."""
        inner = {
            word: f"{key}.{place}"
            for key, (_, read) in self.keys.items()
            if isinstance(read, Section)
            for word, place in read._places().items()
        }
        return inner | {key: key for key in self.keys}


def value(convert: Callable[[str], Value]) -> Callable[[yaml.Node, str], Value]:
    """Reads a single value by `convert`, whose ValueError says what is wrong with the text."""

    def read(node: yaml.Node, path: str) -> Value:
        if not isinstance(node, yaml.ScalarNode):
            raise wrong(node, path, "expected a single value, not a list or a mapping")
        if node.tag == "tag:yaml.org,2002:null":
            raise wrong(node, path, "has no value; write one, or remove the line")
        try:
            return convert(str(node.value))
        except ValueError as error:
            raise wrong(node, path, str(error)) from error

    return read


def values(node: yaml.Node, path: str, read: Callable[[yaml.Node, str], Value]) -> list[Value]:
    """A list, or a single value as a list of one."""
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [read(item, path) for item in items]
