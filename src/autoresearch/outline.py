"""A page of Markdown that stays within a budget of tokens, whatever is to stand on it.

Every tokenizer counts differently; `tokens_of` counts more than the common ones do: measured
with o200k_base and cl100k_base, these pages take about 80% of what it says, a flood of punctuation
66%, Chinese 60%. Only random letters and rare scripts take more than it says.

Nothing is cut in the middle: a page is made of whole lines, the most telling of each section, and
every section says how many it left out. A line holds words of others only as spans, which are
capped in tokens, too: no flood in rare characters pushes a section off the page.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from autoresearch.text import clean_line

_PIECES = re.compile(r"([A-Za-z]+)|([0-9]+)|[^A-Za-z0-9 ]")
_MORE_TOKENS = 12  # of the line that says how many rows were left out, without their names
_NAMES_TOKENS = 50


def tokens_of(text: str) -> int:
    """One for up to 4 letters, up to 2 digits, each mark and line end; more for other scripts."""
    return sum(map(_cost, _PIECES.finditer(text)))


def _cost(piece: re.Match[str]) -> int:
    if piece[1]:
        return (len(piece[1]) + 3) // 4
    if piece[2]:
        return (len(piece[2]) + 1) // 2
    return max(1, len(piece[0].encode("utf-8", "replace")) - 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One line, its place in its section, and the name that it has where it is left out."""

    place: float
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its rows, the most telling first. `share` of the page is its own."""

    title: str
    share: float
    rows: Sequence[Row]
    noun: str  # of what a row is, in the plural

    def text(self, count: int) -> str:
        """The section with its first `count` rows, in their places; "" without any."""
        rows = sorted(self.rows[:count], key=lambda row: row.place)
        lines = (f"## {self.title}", *(f"- {row.text}" for row in rows), *self._more(count))
        return "\n".join(lines) if count else ""

    def _more(self, count: int) -> list[str]:
        """The line that says what was left out, by name as far as there is room."""
        left = self.rows[count:]
        if not left:
            return []
        names = [row.name for row in left if row.name]
        shown = fitting(names, _NAMES_TOKENS)
        named = f": {', '.join(shown)}" if shown else ""
        noun = f" {self.noun}" if len(left) > 1 else ""
        return [f"- and {len(left)} more{noun}{named}{', ...' if len(shown) < len(names) else ''}"]

    def costs(self) -> list[int]:
        """Tokens of the section with its first row, and of each further row."""
        spare = _MORE_TOKENS + (_NAMES_TOKENS if any(row.name for row in self.rows) else 0)
        first = tokens_of(f"\n\n## {self.title}") + spare
        rows = [tokens_of(f"\n- {row.text}") for row in self.rows]
        return [first + rows[0], *rows[1:]] if rows else []


def page(head: str, sections: Sequence[Section], tokens: int) -> str:
    """As many rows of each section as fit: what one leaves of its share, the others grow into.

    The head is always there, whole.
    """
    costs = [section.costs() for section in sections]
    counts, taken = [0] * len(sections), [0] * len(sections)
    room = tokens - tokens_of(head) - 1
    for growth in (1.0, 1.25, 1.5, 2.0, 3.0, inf):
        for index, section in enumerate(sections):
            for cost in costs[index][counts[index] :]:
                if taken[index] + cost > growth * section.share * room or sum(taken) + cost > room:
                    break
                taken[index] += cost
                counts[index] += 1
    shown = [section.text(count) for section, count in zip(sections, counts, strict=True)]
    return "\n\n".join((head, *filter(None, shown))) + "\n"


def fitting(names: Iterable[str], tokens: int) -> list[str]:
    """The first of them that fit, with a comma each."""
    found = list[str]()
    for name in names:
        tokens -= tokens_of(f", {name}")
        if tokens < 0:
            break
        found.append(name)
    return found


def span(text: str, limit: int) -> str:
    """Words of somebody else on one line, as a code span that they cannot close; "" for none.

    At most `limit` characters, and two tokens for every three of them: prose takes one.
    """
    words = _capped(clean_line(text, limit).replace("`", "'"), limit * 2 // 3)
    return f"`{words}`" if words else ""


def _capped(words: str, tokens: int) -> str:
    for piece in _PIECES.finditer(words):
        tokens -= _cost(piece)
        if tokens < 0:
            return words[: piece.start()].rstrip(" ,;:([-\u200d") + "…"
    return words
