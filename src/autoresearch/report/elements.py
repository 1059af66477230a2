"""The small pieces of an HTML page.

What an experiment could have written is hostile text: `escaped`, `described` and `code` are
the only ways in. Everything else takes and gives markup.
"""

from collections.abc import Callable, Iterable
from html import escape

from autoresearch.experiment import Experiment
from autoresearch.report.findings import LONGEST, diff_lines
from autoresearch.text import clean_line, plain

CLASSES = {
    "n": "number",
    "w": "words",
    "v": "verdict",
    "g": "number gain",
    "m": "number minor",
    "c": "name",
}


def escaped(text: str) -> str:
    """Words of unknown origin, on one line and as words."""
    return escape(plain(text))


def table(name: str, kinds: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells hold markup already; `kinds` has a letter of CLASSES for each column, and `name` is
    what a screen reader calls it."""
    classes = [CLASSES[kind] for kind in kinds]
    top = "".join(
        f'<th scope="col" class="{look}">{title}</th>'
        for look, title in zip(classes, head, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="{look}">{cell}</td>' for look, cell in zip(classes, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escaped(name)}">\n'
        f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def pairs(items: Iterable[tuple[str, str]], shown: Callable[[str], str] = escaped) -> str:
    """Names and values, which may be hostile, as `shown` makes markup of them."""
    rows = (f"<dt>{escaped(name)}</dt><dd>{shown(value)}</dd>\n" for name, value in items)
    return f'<dl class="pairs">\n{"".join(rows)}</dl>'


def section(title: str, content: str, key: str = "") -> str:
    """A part of the page under its heading; both are markup. `key` is what links lead to."""
    name = f' id="{key}"' if key else ""
    return f"<section{name}>\n<h2>{title}</h2>\n{content}\n</section>"


def badge(experiment: Experiment) -> str:
    """Its verdict, in its colour; of a change that a person took back also that."""
    verdict = experiment.verdict or "open"
    name, words = f"is-{verdict}", str(verdict)
    if experiment.is_taken_back:
        name, words = "is-vetoed", f"{verdict}, {'vetoed' if experiment.vetoed else 'undone'}"
    return f'<span class="{name}">{words}</span>'


def described(experiment: Experiment) -> str:
    """What the researcher says that it did."""
    return escaped(clean_line(experiment.description, LONGEST) or "(no description)")


def ticked(text: str) -> str:
    """Words of ours in which `commands` stand in backticks, as markup; they may hold others'."""
    parts = escaped(text).split("`")
    if len(parts) % 2 == 0:  # a backtick that closes nothing
        return escaped(text)
    return "".join(f"<code>{each}</code>" if n % 2 else each for n, each in enumerate(parts))


def typed(lines: Iterable[str]) -> str:
    """Commands to copy."""
    words = "\n".join(escaped(line) for line in lines)
    return f'<pre tabindex="0"><code>{words}</code></pre>'


def code(diff: str) -> str:
    """A unified diff with its added and removed lines marked, for eyes and screen readers."""
    lines, in_header = [], True
    for line in diff_lines(diff):
        if line.startswith(("diff --git ", "@@")):
            in_header = line.startswith("diff")
        name = "" if in_header else {"+": "ins", "-": "del"}.get(line[:1], "")
        name = "b" if in_header or line.startswith("@@") else name
        lines.append(f"<{name}>{escape(line)}</{name}>" if name else escape(line))
    return '<pre tabindex="0"><code>' + "\n".join(lines) + "</code></pre>"
