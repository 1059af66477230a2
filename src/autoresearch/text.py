"""Text from experiments is hostile: whatever is shown of it passes through here.

Nothing that is left can steer a terminal, turn the reading direction round or hide. Accents and
emoji are text and stay, and so does what holds an emoji together (U+200D between two, one U+FE0E
or U+FE0F behind one), but only there: elsewhere it is a place to hide a message.
"""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autoresearch.errors import UserError

# A terminal command string (OSC) must end on its own line, or it would swallow all that follows.
_ESCAPES = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\][^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links, clipboard
    r"|[()][0-9AB]"  # character sets
    r"|[@-Z\\^_])"
)
_EMOJI = "[\u2190-\u21ff\u231a-\u23ff\u25aa-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_HIDDEN = re.compile(
    f"({_EMOJI}[\ufe0e\ufe0f]?(?:\u200d{_EMOJI}[\ufe0e\ufe0f]?)*"  # group 1: kept
    "|[#*0-9\u00a9\u00ae\u203c\u2049\u2122\u2139\u3030\u303d\u3297\u3299][\ufe0e\ufe0f])"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters; tab and newline are none
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # format characters
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e0fff"  # draw nothing
    "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"  # surrogates, private, no characters
    "\U000f0000-\U0010ffff]"
)

SMALL = 1e-3  # a score below it is written by its digits


def clean(text: str) -> str:
    """Without escape sequences and anything hidden; lines stay lines."""
    return _without_hidden(_ESCAPES.sub("", text))


def clean_line(text: str, limit: int = 300) -> str:
    """One line of at most `limit` characters, cut between words where there is a place."""
    line = plain(text)
    if len(line) <= limit:
        return line
    cut = line.rfind(" ", limit // 2, limit)
    return line[: cut if cut > 0 else limit - 1].rstrip(" ,;:([-\u200d") + "…"


def plain(text: str) -> str:
    """One line, all of it."""
    line = " ".join(_ESCAPES.sub("", text).split())
    return " ".join(_without_hidden(line).split())


def split_words(line: str, where: str) -> tuple[str, ...]:
    """The words of a command, as a shell takes them. Raises UserError, which names `where`."""
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        raise UserError(
            f"{where}: {clean_line(line, 80)!r} cannot be split into words ({error}): "
            "close the quotes"
        ) from error


def json_value(
    value: Any, word: Callable[[str], str] = plain, name: Callable[[str], str] = plain
) -> Any:
    """As JSON can hold it: what is no finite number is null; words and names as they are given."""
    if isinstance(value, str):
        return word(value)
    if isinstance(value, Mapping):
        return {name(str(key)): json_value(each, word, name) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each, word, name) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def fenced(text: str, language: str = "text") -> str:
    """A code block in Markdown, behind a fence that nothing in it can close."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def numbered(count: int, noun: str) -> str:
    """Such as "1 experiment", "100 experiments"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def number(value: float, digits: int = 7, like: float | None = None) -> str:
    """A score for reading: as many decimals as give about `digits` digits in all.

    A difference of scores is written with the decimals of a score: that which it is `like`.
    """
    size = abs(like or value)
    if (0 < size < SMALL) or size >= 1e15:
        return f"{value:.{digits - 2}g}"
    return f"{value:.{max(0, digits - len(str(int(size))))}f}"


def short(value: float, decimals: int = 4, like: float | None = None, sign: str = "") -> str:
    """The same for a line: so many decimals, and as many digits of what is too small for them."""
    return f"{value:{sign}.{decimals}{'g' if 0 < abs(like or value) < SMALL else 'f'}}"


def part_of(value: float, whole: float) -> str:
    """Such as "4.36%", "12.8 times"; "" where the whole is nothing, or as good as that."""
    part = abs(value / whole) if whole else math.inf
    if part < 9.995:
        return f"{part * 100:.3g}%"
    return f"{part:.3g} times" if part < 999.5 else ""


def digits_for(one: float, other: float, digits: int) -> int:
    """So many, or as many more as tell two scores apart."""
    while digits < 17 and one != other and number(one, digits) == number(other, digits):
        digits += 1
    return digits


def duration(seconds: float, units: tuple[str, str, str] = ("s", "min", "h")) -> str:
    """Such as "12 days", "8 h", "45 min", "30 s"."""
    second, minute, hour = units
    if seconds >= 96 * 3600:
        return f"{round(seconds / 86400):,} days"
    if seconds < 120:
        return f"{seconds:.3g} {second}"
    return f"{seconds / 60:.3g} {minute}" if seconds < 7200 else f"{seconds / 3600:.3g} {hour}"


def size_words(count: float) -> str:
    """Of so many bytes, such as "1.5 GB", "300 MB"."""
    return f"{count / 2**30:.3g} GB" if count >= 2**30 else f"{count / 2**20:.3g} MB"


def visible(text: str) -> str:
    """Lines with a mark in place of whatever hides: nothing vanishes unseen."""
    return _without_hidden(text.replace("\r\n", "\n"), mark="\ufffd")


def _without_hidden(text: str, mark: str = "") -> str:
    return _HIDDEN.sub(lambda found: found[1] or mark, text)


def write_whole(path: Path, text: str) -> None:
    """Replace a file's text at once: a reader sees the old one or the new one."""
    aside = path.with_name(f"{path.name}.partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
