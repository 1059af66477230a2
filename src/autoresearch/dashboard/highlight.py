"""A unified diff as lines of coloured words: [class, text] pairs, for the page to show as text."""

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pygments import lex
from pygments.lexers import get_lexer_for_filename
from pygments.token import STANDARD_TYPES, Token
from pygments.util import ClassNotFound

from autoresearch.report.findings import diff_lines
from autoresearch.text import visible

MOST_BYTES = 200_000  # of a file, that is read for its colours
LONGEST_LINE = 1000  # characters: lexers have patterns that take the square of a line's length
MOST_SECONDS = 1.0  # what follows is left plain
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")

Words = list[list[str]]  # [class, text]; the class is "" or one of Pygments' short names


def diff_words(
    diff: str, old: Mapping[str, bytes], new: Mapping[str, bytes]
) -> list[dict[str, Any]]:
    """Each line as {"kind": file | hunk | + | - | " ", "words"}; `old` and `new` are the files."""
    lines: list[dict[str, Any]] = []
    sides: dict[str, list[Words]] = {"-": [], "+": []}
    before = after = 0
    is_header = True
    for line in diff_lines(diff):
        if line.startswith("diff --git "):
            is_header, name = True, line.rpartition(" b/")[2]
            sides = {
                "-": coloured(name, old.get(name, b"")),
                "+": coloured(name, new.get(name, b"")),
            }
            lines.append({"kind": "file", "words": [["", name]]})
        elif match := _HUNK.match(line):
            is_header, before, after = False, int(match[1]), int(match[2])
            lines.append({"kind": "hunk", "words": [["", line]]})
        elif not is_header:
            kind, text = (line[0], line[1:]) if line[:1] in ("+", "-", " ") else (" ", line)
            place = (before if kind == "-" else after) - 1
            lines.append(
                {"kind": kind, "words": words_of(sides["-" if kind == "-" else "+"], place, text)}
            )
            before, after = before + (kind != "+"), after + (kind != "-")
    return lines


def words_of(side: list[Words], place: int, text: str) -> Words:
    """A line's coloured words, where they are that line's; else the plain text."""
    found = side[place] if 0 <= place < len(side) else []
    return found if "".join(word for _, word in found) == text else [["", text]]


@lru_cache(maxsize=16)
def coloured(name: str, content: bytes) -> list[Words]:
    """Each line of a file as coloured words; fewer or no lines where that is not possible."""
    if len(content) > MOST_BYTES or max(map(len, content.split(b"\n"))) > LONGEST_LINE:
        return []
    try:
        lexer = get_lexer_for_filename(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return []
    lines: list[Words] = [[]]
    end = time.monotonic() + MOST_SECONDS
    for kind, text in lex(visible(content.decode(errors="replace")), lexer):
        first, *rest = text.split("\n")
        for number, part in enumerate((first, *rest)):
            if number:
                lines.append([])
            if part:
                lines[-1].append([class_of(kind), part])
        if time.monotonic() > end:
            break
    return lines


def class_of(kind: Any) -> str:
    """Pygments' short name, of the kind or of what it is a kind of."""
    while kind is not Token and kind not in STANDARD_TYPES:
        kind = kind.parent
    return STANDARD_TYPES.get(kind, "")
