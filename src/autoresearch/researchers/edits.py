"""Search-and-replace edits, applied to texts. Pure.

    Edit("train.py", search="LR = 0.02", replace="LR = 0.04")

The search text must be in the file once, exactly. Where it is not, it is looked for line by line,
with white space at the ends of lines, blank lines around it and its indentation as a whole left out
of account; a replacement is then indented as the place is. Where that leaves two places, or none,
the edit does not apply, and the reason is written for whoever made it. Line ends stay the file's.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from autoresearch.text import clean, clean_line

MOST_PLACES = 6  # that are looked at: two are one too many
MOST_LINES_SHOWN = 30  # of a file, in the reason for a search text that is not there
MOST_LINES_COMPARED = 40  # of a search text, when the nearest place is looked for
LONGEST_LINE_COMPARED = 400
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")  # unlike splitlines(), no form feeds
_LINE_END = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the one place of `file` that reads `search`."""

    file: str
    search: str
    replace: str


class Unfit(ValueError):
    """Edits that do not apply. The message says of each why, in some lines, for their author."""


def apply(
    edits: Sequence[Edit], files: Mapping[str, bytes], editable: Collection[str]
) -> dict[str, bytes]:
    """The files that the edits change, as they read afterwards; the edits apply one by one.

    `files` holds at least the editable ones. Raises `Unfit`, with every reason there is.
    """
    if not edits:
        raise Unfit("There is no edit in it.")
    after, reasons = dict(files), []
    for number, edit in enumerate(edits, 1):
        try:
            name = _editable_name(edit.file, editable)
            after[name] = _replaced(after[name], name, edit)
        except Unfit as reason:
            count = f" {number} of {len(edits)}" if len(edits) > 1 else ""
            reasons.append(f"Edit{count} does not apply: {reason}")
    if reasons:
        raise Unfit("\n".join(reasons))
    changed = {name: data for name, data in after.items() if data != files[name]}
    if not changed:
        raise Unfit("It changes nothing: what is put in reads as what was there before.")
    return changed


def plain_name(name: str) -> str:
    """Without the `./` that some write."""
    return str(PurePosixPath(name.strip()))


def _editable_name(name: str, editable: Collection[str]) -> str:
    plain = plain_name(name)
    if plain not in editable:
        shown = clean_line(name, 80) or "a file without a name"
        raise Unfit(f"{shown} may not be edited, only {', '.join(editable)}.")
    return plain


def _replaced(data: bytes, name: str, edit: Edit) -> bytes:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unfit(f"{name} is not UTF-8 text (byte {error.start}).") from None
    end = _line_end(text)
    search, replace = (_LINE_END.sub(end, each) for each in (edit.search, edit.replace))
    if not search.strip():
        if text.strip():
            raise Unfit("its search text is empty; copy the lines that are to be replaced.")
        search = text  # an empty file
    places = list(islice(_occurrences(text, search), MOST_PLACES))
    if len(places) > 1:
        raise Unfit(_found_often(text, name, places))
    if places:
        start = places[0]
        return (text[:start] + replace + text[start + len(search) :]).encode(errors="replace")
    return _replaced_by_lines(text, name, edit, end).encode(errors="replace")


def _line_end(text: str) -> str:
    """The line end that most lines of a text have."""
    found = _LINE_END.findall(text)
    return max(("\n", "\r\n", "\r"), key=found.count)


def _occurrences(text: str, search: str) -> Iterator[int]:
    """Where it begins, overlapping places included."""
    start = text.find(search)
    while start >= 0:
        yield start
        start = text.find(search, start + 1)


def _found_often(text: str, name: str, places: Sequence[int]) -> str:
    numbers = [len(_LINE_END.findall(text[:place])) for place in places]
    return (
        f"its search text is in {name} {_times(numbers)}; add lines before or after it, so that it "
        "names one place."
    )


def _times(numbers: Sequence[int]) -> str:
    """`numbers` counts lines from 0."""
    lines = ", ".join(str(number + 1) for number in numbers[: MOST_PLACES - 1])
    if len(numbers) < MOST_PLACES:
        return f"{len(numbers)} times (lines {lines})"
    return f"many times (lines {lines}, ...)"


# --- Line by line -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Lines of a file that a search text means, but for white space."""

    start: int  # the first line's index
    indent: str  # what the file's lines have more at their left,
    outdent: str  # or less, than the search text's

    @property
    def is_shifted(self) -> bool:
        return bool(self.indent or self.outdent)

    def moved(self, line: str) -> str | None:
        """A line of the search or the replacement as this place has it; None: it cannot."""
        if not line.strip():
            return ""
        if not line.startswith(self.outdent):
            return None
        return self.indent + line[len(self.outdent) :]


def _replaced_by_lines(text: str, name: str, edit: Edit, end: str) -> str:
    lines = _LINE.findall(text)
    search, replace = _without_blank_ends(edit.search, edit.replace)
    place = _only_place(lines, name, search)
    moved = [place.moved(line) for line in replace]
    if None in moved:
        raise Unfit(
            f"its search text is indented otherwise than {name} is, and its replacement cannot be "
            "moved as far; copy the indentation of the file."
        )
    last = place.start + len(search)
    is_cut = bool(lines[last - 1]) and lines[last - 1][-1] not in "\r\n"  # the file's last line
    block = end.join(line for line in moved if line is not None) + ("" if is_cut else end)
    return "".join(lines[: place.start]) + (block if replace else "") + "".join(lines[last:])


def _without_blank_ends(search: str, replace: str) -> tuple[list[str], list[str]]:
    """Lines of both, without the blank ones before and after the search; the replacement loses as
    many, where it has them."""
    before, after = _lines(search), _lines(replace)
    for end in (0, -1):
        while before and not before[end].strip():
            del before[end]
            if after and not after[end].strip():
                del after[end]
    return before, after


def _lines(text: str) -> list[str]:
    return [line.rstrip("\r\n") for line in _LINE.findall(text)]


def _only_place(lines: Sequence[str], name: str, search: Sequence[str]) -> _Place:
    found = list(islice(_places(lines, search), MOST_PLACES))
    fits = [place for place in found if not place.is_shifted] or found
    if not fits:
        raise Unfit(_not_found(lines, name, search))
    if len(fits) > 1:
        times = _times([place.start for place in fits])
        raise Unfit(
            f"its search text is not in {name} exactly, and but for white space it is there "
            f"{times}; copy it exactly, with more lines around it."
        )
    return fits[0]


def _places(lines: Sequence[str], search: Sequence[str]) -> Iterator[_Place]:
    """Found by the lines without their indentation first, which is quick in any text."""
    there, wanted = [line.rstrip() for line in lines], [line.rstrip() for line in search]
    flat, flat_wanted = (
        "\n".join(["", *(line.lstrip() for line in each), ""]) for each in (there, wanted)
    )
    for position in islice(_occurrences(flat, flat_wanted), MOST_PLACES):
        start = flat.count("\n", 0, position)
        place = _shift(start, _indentation(there[start]), _indentation(wanted[0]))
        window = there[start : start + len(wanted)]
        if place and [place.moved(line) for line in wanted] == window:
            yield place


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _shift(start: int, there: str, wanted: str) -> _Place | None:
    """How far the indentation that is there is from the wanted one; tabs are not spaces."""
    if there.endswith(wanted):
        return _Place(start, there.removesuffix(wanted), "")
    if wanted.endswith(there):
        return _Place(start, "", wanted.removesuffix(there))
    return None


# --- The nearest lines ------------------------------------------------------------------------


def _not_found(lines: Sequence[str], name: str, search: Sequence[str]) -> str:
    start = _nearest(lines, search)
    if start is None:
        return f"its search text is not in {name}, and nothing there is like it."
    window = lines[start : start + min(len(search), MOST_LINES_SHOWN)]
    shown = clean("".join(window)).rstrip("\n")
    span = f"lines {start + 1} to {start + len(window)}" if len(window) > 1 else f"line {start + 1}"
    return f"its search text is not in {name}. Nearest is {span}, which reads:\n{shown}"


def _nearest(lines: Sequence[str], search: Sequence[str]) -> int | None:
    """The line from where on the most words are as in the search text; None: there are none."""
    there = [_words(line) for line in lines]
    wanted = [_words(line) for line in search[: min(MOST_LINES_COMPARED, len(lines))]]
    scores = {
        start: sum(_likeness(words, there[start + i]) for i, words in enumerate(wanted))
        for start in range(len(there) - len(wanted) + 1)
    }
    best = max(scores, key=lambda start: scores[start], default=None)
    return best if best is not None and scores[best] > 0 else None


def _words(line: str) -> frozenset[str]:
    return frozenset(_WORD.findall(line[:LONGEST_LINE_COMPARED]))


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of words that both have, of all that one has; 0 for blank lines."""
    return len(one & other) / len(one | other) if one and other else 0.0
