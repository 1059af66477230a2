"""YAML front matter, read strictly: every complaint knows its line.

PyYAML's `load` forgets where a value stood, takes the last of two equal keys without a word, and
turns `no` into False. So the text is only composed into nodes here, and each value is read from
what the person actually typed. Anchors, aliases and tags are refused.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

Value = TypeVar("Value")
Reader = Callable[[yaml.Node, str], Any]  # (node, dotted name of its key) -> value, or a Problem

_KEY_LINE = re.compile(r"\s*[a-z][a-z0-9_-]*\s*:(?!//)")


class Problem(Exception):
    """Something wrong on one line of the whole file, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def split(text: str) -> tuple[str | None, str]:
    """(front matter or None, body), both with plain line ends.

    Front matter lies between a first line `---` and the next such line, and its first line that
    says anything starts with a lower-case `key:`. All else is prose, rules and all.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    rules = [number for number, line in enumerate(lines) if line.rstrip() == "---"]
    if len(rules) < 2 or rules[0] != 0 or not _starts_with_key(lines[1 : rules[1]]):
        return None, text
    return "\n".join(lines[1 : rules[1]]), "\n".join(lines[rules[1] + 1 :]).lstrip("\n")


def _starts_with_key(lines: Iterable[str]) -> bool:
    said = (line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return bool(_KEY_LINE.match(next(said, "")))


def compose(front: str) -> yaml.Node:
    """The YAML as nodes that know where they stand. Raises `Problem`."""
    try:
        for token in yaml.scan(front, Loader=yaml.SafeLoader):
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
