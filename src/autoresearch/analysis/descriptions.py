"""What a description says of the place and the values of a change: `softcap 15 to 20`.

For studies whose changes in the code are not known, such as an imported log. Only plain forms are
understood, and everything else is left alone: a wrong group would be worse than none.
"""

import re

from autoresearch.source.change import Theme
from autoresearch.source.literals import evaluate
from autoresearch.text import plain

_VALUE = r"[-+]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?[KMGkx%]?"
_ANY = rf"""(?:{_VALUE}|"[^"]*"|'[^']*'|True|False|None)"""
_MOVE = re.compile(
    rf"(?P<name>[^,\"'→>]+?)[ :=]+(?P<before>{_ANY}) *(?:to|->|→) *(?P<after>{_ANY})(?!\w)"
)
_SET = re.compile(rf"(?P<name>[^\d,\"'→>]+?)[ =]+(?P<after>{_VALUE})(?= \(| with |$)")
_REMARK = re.compile(r"\s\(([^()]{3,60})\)\s*$")
_VERB = re.compile(
    r"(?:add|halve|double|increase|decrease|reduce|raise|lower|set|tiny|small)\s+", re.I
)
_SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "x": 1.0, "%": 0.01}
LONGEST_DESCRIPTION = 500
LONGEST = 40  # characters of a name; what is longer is a sentence


def spoken(description: str) -> tuple[Theme, ...]:
    """The places that a description names with a value; none where it is not that plain.

    Several stand behind each other: `DEPTH 2 -> 1, WIDTH 128 -> 256`.
    """
    words = plain(description[:LONGEST_DESCRIPTION])
    parts = words.split(", ")
    moves = [theme for part in parts if (theme := _theme(_MOVE.fullmatch(part)))]
    if len(moves) == len(parts) > 1:
        return tuple(moves)
    theme = _theme(_MOVE.match(words) or _SET.match(words))
    return (theme,) if theme else ()


def _theme(found: re.Match[str] | None) -> Theme | None:
    if not found or len(found["name"]) > LONGEST or found["name"].endswith((" by", " to")):
        return None
    facts = found.groupdict()
    name = _VERB.sub("", facts["name"].strip(), count=1).removesuffix(" at")
    return Theme(name, facts.get("before") or "", facts["after"]) if name else None


def remark(description: str) -> str:
    """What stands in brackets at its end, such as "too few steps"; not how a value was written."""
    found = _REMARK.search(plain(description))
    return found[1].strip() if found else ""


def size(text: str) -> float | None:
    """The number that a value is, `262K` and `0.5x` included; None where it is none."""
    words = text.strip().replace(",", "")
    scale = _SUFFIXES.get(words[-1:].lower()) if words[:-1].strip("+-") else None
    try:
        value = evaluate(words[:-1] if scale else words)
    except ValueError:
        return None
    return None if isinstance(value, str | bool) else float(value) * (scale or 1.0)
