"""What a researcher says of its change: three lines at the end of its last message.

    Description: one line, what was changed
    Hypothesis: why it should help
    Expected: the effect on the metric, e.g. -0.01

Models write these in bold, in lists, in other cases, over several lines; all of that is read. A
field that still holds a template's <words in angle brackets> was not filled in.
"""

import re
from dataclasses import dataclass

from autoresearch.experiment import Proposal
from autoresearch.program import Program
from autoresearch.text import clean, clean_line

_LONGEST = {"description": 200, "hypothesis": 600, "expected": 120}  # characters
_BEGINNING = re.compile(
    r"[\s>#*_`-]*(?:\d+[.)][\s*_`]*)?(description|hypothesis|expected)"
    r"(?:\s+(?:effect|change|impact)(?:\s+(?:on|in|of)(?:\s+the)?\s+\S+?)?)?"
    r"[*_`]*\s*[:：][*_`]*\s*(.*)",  # noqa: RUF001 (the full-width colon of Chinese)
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s")
_READ_CHARACTERS = 100_000  # of the end of a text
_LONGEST_LINE = 2000
NO_DESCRIPTION = "no description"


@dataclass(frozen=True, slots=True)
class Statement:
    """One line each, harmless; "" for what was not said."""

    description: str = ""
    hypothesis: str = ""
    expected: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether it says what was changed and why; the expected effect may be missing."""
        return bool(self.description and self.hypothesis)


def read_statement(text: str) -> Statement:
    """The last of each field that a text states; a field goes on until a blank line or another."""
    said: dict[str, list[str]] = {}
    field = ""
    for whole in clean(text[-_READ_CHARACTERS:]).splitlines():
        line = whole[:_LONGEST_LINE]
        if beginning := _BEGINNING.fullmatch(line):
            field = beginning[1].lower()
            said[field] = [beginning[2]]
        elif not line.strip() or line.lstrip().startswith("```"):
            field = ""
        elif field:
            said[field].append(line)
    lines = {name: _one_line(said.get(name, []), limit) for name, limit in _LONGEST.items()}
    return Statement(**lines)


def to_proposal(statement: Statement, program: Program, fallback: str = "") -> Proposal:
    """The proposal that a statement makes; `fallback` describes it where the statement does not."""
    limit = _LONGEST["description"]
    description = statement.description or clean_line(fallback, limit) or NO_DESCRIPTION
    expected = statement.expected
    if expected and program.metric.casefold() not in expected.casefold():
        expected = f"{expected} ({program.metric})"
    parts = (statement.hypothesis, f"Expected: {expected}" if expected else "")
    return Proposal(description, " ".join(filter(None, parts)), heard=True)


def first_sentence(text: str) -> str:
    """The first sentence of a message, as a description for want of a better one."""
    prose = clean(text[:_LONGEST_LINE]).lstrip("#>*- \t\n")
    return clean_line(_SENTENCE.split(prose, maxsplit=1)[0], _LONGEST["description"])


def _one_line(lines: list[str], limit: int) -> str:
    """Without the emphasis around it; "" for a template that was not filled in."""
    line = clean_line(" ".join(lines), limit).strip("*_` ")
    return "" if line.startswith("<") and line.endswith(">") else line
