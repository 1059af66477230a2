"""A comparison in words: a table that fits 80 columns, and the same for programs."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from rich.cells import cell_len, set_cell_size

from autoresearch.analysis.tally import value_text
from autoresearch.analysis.view import StudyView
from autoresearch.compare.ahead import headline
from autoresearch.compare.comparison import Comparison, Found, found, lead
from autoresearch.compare.differences import Difference
from autoresearch.report.costs import dollars
from autoresearch.report.findings import signed
from autoresearch.text import clean_line, number, part_of

WIDTH, LABEL = 80, 24
COLUMN = (WIDTH - LABEL) // 2
MOST_KEPT, MOST_COMMON = 12, 12
UNKNOWN = "not known"


def comparison_lines(both: Comparison) -> list[str]:
    """For the terminal."""
    one, other = (found(this, that) for this, that in pairs(both))
    lines = [*wrapped(headline(both)), "", *comparable_lines(both), ""]
    lines.append(row("", clean_line(one.tag, COLUMN - 2), clean_line(other.tag, COLUMN - 2)))
    rows = ROWS if both.is_comparable is False else {**ROWS, REACHED: reached_text}
    for label, text in rows.items():
        cells = [text(each) for each in (one, other)]
        if any(cells):
            lines.append(row(label, *(cell or "-" for cell in cells)))
    for view in both.views:
        lines += ["", *kept_lines(view)]
    return [*lines, "", *common_lines(both)]


def pairs(both: Comparison) -> Iterator[tuple[StudyView, StudyView]]:
    one, other = both.views
    yield from ((one, other), (other, one))


# the parts of the page


def comparable_lines(both: Comparison) -> list[str]:
    """Whether they can be compared, and what differs."""
    if not both.differences:
        return ["Comparable: the same metric, training time, judge, data and machine."]
    known = [each for each in both.differences if each.is_known]
    words = {
        True: "Comparable with care:" if known else "Comparable:",
        False: "Not comparable:",
        None: "Whether they are comparable is not known:",
    }
    lines = [
        words[both.is_comparable],
        *(line for each in known for line in difference_lines(each)),
    ]
    if both.unknown:
        names = ", ".join(each.what for each in both.unknown)
        lines += wrapped(f"not known of both: {names}", "  ")
    return lines


def difference_lines(each: Difference) -> list[str]:
    values = [clean_line(value or UNKNOWN, COLUMN - 2) for value in each.values]
    return [row(f"  another {each.what}", *values)]


def kept_lines(view: StudyView) -> list[str]:
    """The kept changes with what each gained."""
    title = f"Kept in {clean_line(view.tag, 40)}: {len(view.kept) or 'nothing'}"
    lines = []
    for each in view.kept[:MOST_KEPT]:
        gain = signed(None if each.delta is None else view.as_gain(each.delta), each.score)
        start = f"  #{each.number:<4} {gain:>10}  "
        words = clean_line(each.description, WIDTH) or "(no description)"
        lines.append(start + cut(words, WIDTH - len(start)))
    if (left := len(view.kept) - MOST_KEPT) > 0:
        lines.append(f"  and {left} more: autoresearch log --tag {clean_line(view.tag, 40)}")
    return [title, *lines]


def common_lines(both: Comparison) -> list[str]:
    """The places that both changed and kept."""
    if both.common is None:
        return ["What both kept is not known: the files of one are not here."]
    if not both.common:
        return ["Places in the code that kept changes of both touched: none."]
    lines = [f"Places in the code that kept changes of both touched: {len(both.common)}"]
    for each in both.common[:MOST_COMMON]:
        values = [value_text(value) if value else "changed" for value in each.values]
        same = values[0] if each.is_same else f"{values[0]} and {values[1]}"
        numbers = f"#{each.numbers[0]} and #{each.numbers[1]}"
        lines.append(cut(f"  {each.name}: {same} ({numbers})", WIDTH))
    if (left := len(both.common) - MOST_COMMON) > 0:
        lines.append(f"  and {left} more")
    return lines


# the table


def score_text(value: float | None) -> str:
    return "" if value is None else number(value)


def best_text(each: Found) -> str:
    at = "" if not each.best_number else f" (#{each.best_number})"
    return f"{score_text(each.best)}{at}"


def gain_text(each: Found) -> str:
    if each.best is None or each.gain <= 0:
        return "none"
    half = f" ± {number(each.gain_interval, like=each.best)}" if each.gain_interval else ""
    part = "" if each.relative_gain is None else part_of(each.relative_gain, 1.0)
    share = f" ({part})" if part else ""
    return f"{number(each.gain, like=each.best)}{half}{share}"


def rate_text(each: Found) -> str:
    rate = each.gain_per_device_hour
    if rate is None:
        return ""
    amount = f"{rate:.3g}" if rate < 1000 else f"{rate:,.0f}"
    return f"{amount} per {'GPU' if each.has_gpu else 'machine'} hour"


def sealed_text(each: Found) -> str:
    if each.sealed_gain is None:
        return ""
    half = f" ± {number(each.sealed_interval, like=each.best)}" if each.sealed_interval else ""
    return f"{signed(each.sealed_gain, each.best)}{half}"


def reached_text(each: Found) -> str:
    if each.best is None:
        return ""
    if each.reached_other_after is None:
        return "never"
    return f"after {each.reached_other_after}" if each.reached_other_after else "from the start"


def hours(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} h" if value >= 1 else f"{value * 60:.1f} min"


ROWS: dict[str, Callable[[Found], str]] = {
    "baseline": lambda each: score_text(each.baseline),
    "best": best_text,
    "gain": gain_text,
    "on the sealed text": sealed_text,
    "kept / tried": lambda each: f"{each.kept} / {each.tried}",
    "from start to end": lambda each: hours(each.wall_hours),
    "in experiments": lambda each: hours(each.experiment_hours),
    "on the device": lambda each: hours(each.device_hours),
    "gain per hour there": rate_text,
    "tokens of proposals": lambda each: f"{each.proposal_tokens:,}" if each.proposal_tokens else "",
    "money": lambda each: "" if each.cost_usd is None else dollars(each.cost_usd),
}
REACHED = "reached the other's best"  # where the scores can be compared


def row(label: str, one: str, other: str) -> str:
    cells = (set_cell_size(label, LABEL), set_cell_size(f" {one}", COLUMN), f" {other}")
    return cut("".join(cells), WIDTH).rstrip()


def cut(text: str, width: int) -> str:
    """No wider than so many cells of a terminal."""
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1).rstrip()}…"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines between words, none wider than the page."""
    lines = [indent]
    for word in text.split():
        if lines[-1].strip() and cell_len(lines[-1]) + 1 + cell_len(word) > WIDTH:
            lines.append(indent)
        lines[-1] += f" {word}" if lines[-1].strip() else word
    return [cut(line, WIDTH) for line in lines]


# for programs


def comparison_json(both: Comparison) -> dict[str, Any]:
    """The keys are stable; what is not known is null."""
    ahead = lead(*both.views)
    return {
        "headline": headline(both),
        "comparable": both.is_comparable,
        "differences": [
            {
                "what": each.what,
                "weight": each.weight.value,
                "known": each.is_known,
                "values": each.values,
            }
            for each in both.differences
        ],
        "lead": None if ahead is None or both.is_comparable is False else asdict(ahead),
        "studies": [
            {**asdict(found(this, that)), "kept_changes": kept_json(this)}
            for this, that in pairs(both)
        ],
        "common": None
        if both.common is None
        else [{**asdict(each), "same": each.is_same} for each in both.common],
    }


def kept_json(view: StudyView) -> list[dict[str, Any]]:
    return [
        {
            "number": each.number,
            "score": each.score,
            "gain": None if each.delta is None else view.as_gain(each.delta),
            "description": clean_line(each.description),
            "places": [theme.name for theme in view.themes.get(each.number, ())],
        }
        for each in view.kept
    ]
