"""The report's short form, for a pull request."""

import re
from collections import Counter

from autoresearch.findings import (
    LONGEST,
    caveat,
    commands,
    costs,
    diff_lines,
    headline,
    number,
    signed,
)
from autoresearch.text import clean_line, fenced, plain
from autoresearch.view import StudyView, run_scores, score_of


def report_markdown(view: StudyView) -> str:
    """The short form, for a pull request: what was kept, what it is worth, how to get it."""
    parts = [
        f"## {_prose(plain(view.tag))}: {_prose(headline(view))}",
        _prose(caveat(view)),
        _kept(view),
        _takeover(view),
        _trouble(view),
        "\n".join(f"- {name}: {value}" for name, value in costs(view)),
        "To reproduce:\n\n" + fenced("\n".join(commands(view)), "sh"),
        "\n".join(f"- {_prose(name)}: {_span(value)}" for name, value in view.machine.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kept(view: StudyView) -> str:
    if not view.kept:
        return ""
    lines = ["| # | Change | Score | Gain | Runs |", "|--:|---|--:|--:|--:|"]
    for each in view.kept:
        gain = signed(None if each.delta is None else view.as_gain(each.delta), each.score)
        cells = (str(each.number), _span(each.description), number(score_of(each)), gain)
        lines.append(f"| {' | '.join(cells)} | {len(run_scores(each))} |")
    return "\n".join(lines)


def _takeover(view: StudyView) -> str:
    if not view.kept or not view.best_diff:
        return ""
    block = fenced("\n".join(diff_lines(view.best_diff)), "diff")
    title = "The best against the baseline"
    return f"<details><summary>{title}</summary>\n\n{block}\n\n</details>"


def _trouble(view: StudyView) -> str:
    counts = Counter(str(each.verdict) for each in view.failed)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"Without a usable result: {kinds}." if kinds else ""


def _prose(text: str) -> str:
    """A person's or our own words, that Markdown must leave alone."""
    return re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", plain(text))


def _span(text: str) -> str:
    """Hostile words: in a code span they cannot be markup, a link or somebody's name."""
    words = clean_line(text, LONGEST).replace("`", "'").replace("|", "\\|")
    return f"`{words or '(no description)'}`"
