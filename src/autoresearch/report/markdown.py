"""The report's short form, for a pull request: the same answers and the same numbers."""

import re
from collections.abc import Callable, Iterable

from autoresearch.analysis.view import StudyView, score_of
from autoresearch.report import costs, recipe
from autoresearch.report.answers import answers, command, percent
from autoresearch.report.belief import belief
from autoresearch.report.findings import LONGEST, diff_lines, headline, score_text, signed
from autoresearch.report.learned import OFTEN, causes, failed_places, veto_words, worths
from autoresearch.report.suggestions import suggestions
from autoresearch.text import clean_line, fenced, number, plain

MOST_PLACES = 15


def report_markdown(view: StudyView) -> str:
    """A headline, the five answers, and below them what they rest on."""
    parts = [f"## {_prose(plain(view.tag))}: {_prose(headline(view))}", _answers(view)]
    for title, content in CHAPTERS:
        if text := content(view):
            parts.append(f"### {title}\n\n{text}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _answers(view: StudyView) -> str:
    return "\n".join(
        f"{place}. **{_prose(each.question)}** {_ticked(each.text)}"
        for place, each in enumerate(answers(view), 1)
    )


def _belief(view: StudyView) -> str:
    return "\n".join(f"- {_prose(name)}: {_ticked(words)}" for name, words in belief(view))


def _kept(view: StudyView) -> str:
    rows = [
        (
            str(each.experiment.number),
            _span(each.experiment.description),
            number(score_of(each.experiment)),
            signed(each.gain, each.experiment.score),
            "" if each.share is None else percent(each.share),
            each.rests_on,
        )
        for each in worths(view)
    ]
    return _table("rlrrrl", ("#", "Change", "Score", "Gain", "Share", "Runs"), rows)


def _vetoed(view: StudyView) -> str:
    rows = [
        (str(each.number), _span(each.description), score_text(each), veto_words(each))
        for each in view.vetoed
    ]
    return _table("rlrl", ("#", "Change", "Score", "Why"), rows)


def _failed(view: StudyView) -> str:
    often = [each for each in failed_places(view) if len(each.tries) >= OFTEN]
    rows = [
        (_span(each.name), str(len(each.tries)), each.gains, _ticked(each.why))
        for each in often[:MOST_PLACES]
    ]
    left = len(often) - len(rows)
    more = f"\n\nAnd {left} more places." if left else ""
    return _table("lrrl", ("Place", "Tried", "Gains", "Why it did not pay"), rows) + more


def _causes(view: StudyView) -> str:
    rows = [
        (
            str(len(each.experiments)),
            each.happened,
            _span(each.reason) if each.reason else "for no reason that is known",
            ", ".join(str(one.number) for one in each.experiments[-12:]),
        )
        for each in causes(view)
    ]
    return _table("rlll", ("Count", "What happened", "Cause", "Experiments"), rows)


def _take(view: StudyView) -> str:
    parts = []
    if lines := recipe.adopt(view):
        parts.append(fenced("\n".join(lines), "sh"))
    if view.kept and view.best_diff:
        block = fenced("\n".join(diff_lines(view.best_diff)), "diff")
        title = "The best against the baseline"
        parts.append(f"<details><summary>{title}</summary>\n\n{block}\n\n</details>")
    return "\n\n".join(parts)


def _again(view: StudyView) -> str:
    if not view.baseline:
        return ""
    lines = [*recipe.reproduce(view), *recipe.once_more(view)]
    facts = [*recipe.facts(view), *recipe.machine(view)]
    listed = "\n".join(f"- {_prose(name)}: {_span(value)}" for name, value in facts)
    typed = fenced("\n".join(lines), "sh")
    return f"{typed}\n\n{listed}" if lines else listed


def _next(view: StudyView) -> str:
    return "\n".join(f"- {_span(command(each))}: {_ticked(each.why)}" for each in suggestions(view))


def _cost(view: StudyView) -> str:
    head, rows = costs.table(view)
    sides = "l" + "r" * (len(head) - 1)
    parts = (costs.counts(view), _table(sides, head, rows), *map(_prose, costs.notes(view)))
    return "\n\n".join(filter(None, parts)) if view.closed else ""


CHAPTERS: tuple[tuple[str, Callable[[StudyView], str]], ...] = (
    ("Can I believe it?", _belief),
    ("What each kept change is worth", _kept),
    ("What was vetoed", _vetoed),
    ("Places that did not pay, and why", _failed),
    ("What crashed, by its cause", _causes),
    ("What to take over", _take),
    ("How to reproduce it", _again),
    ("What to try next", _next),
    ("What it cost", _cost),
)


def _table(sides: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells hold markup already; `sides` has `l` or `r` for each column. Empty without a row."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    rule = "|".join("--:" if side == "r" else "---" for side in sides)
    return "\n".join((f"| {' | '.join(head)} |", f"|{rule}|", *lines))


def _prose(text: str) -> str:
    """A person's or our own words, that Markdown must leave alone; `#7` and `@` call nobody."""
    return _quiet(plain(text))


def _quiet(line: str) -> str:
    harmless = re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", line)
    return re.sub(r"(#\d+|@)", r"`\1`", harmless)


def _ticked(text: str) -> str:
    """Words of ours, between which those of others stand in backticks."""
    parts = plain(text).split("`")
    if len(parts) % 2 == 0:
        return _prose(text)
    return "".join(_span(each) if n % 2 else _quiet(each) for n, each in enumerate(parts))


def _span(text: str) -> str:
    """Hostile words: in a code span they cannot be markup, a link or somebody's name."""
    words = clean_line(text, LONGEST).replace("`", "'").replace("|", "\\|")
    return f"`{words or '(no description)'}`"
