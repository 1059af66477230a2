"""The small pieces of an HTML page.

What an experiment could have written is hostile text: `escaped`, `described` and `code` are
the only ways in. Everything else takes and gives markup.
"""

from collections.abc import Iterable
from html import escape

from autoresearch.experiment import Experiment
from autoresearch.findings import LONGEST, diff_lines
from autoresearch.text import clean_line, plain

CLASSES = {"n": "number", "w": "words", "v": "verdict", "g": "number gain", "m": "number minor"}


def table(kinds: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells hold markup already; `kinds` has a letter of CLASSES for each column."""
    names = [CLASSES[kind] for kind in kinds]
    top = "".join(
        f'<th scope="col" class="{name}">{title}</th>'
        for name, title in zip(names, head, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{name}">{cell}</td>' for name, cell in zip(names, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Table">\n'
        f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def pairs(items: Iterable[tuple[str, str]]) -> str:
    """Names and values, which may be hostile."""
    rows = (f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>\n" for name, value in items)
    return f'<dl class="pairs">\n{"".join(rows)}</dl>'


def section(title: str, content: str) -> str:
    """A part of the page under its heading; both are markup."""
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>"


def badge(experiment: Experiment) -> str:
    """Its verdict, in its colour."""
    verdict = experiment.verdict or "open"
    return f'<span class="is-{verdict}">{verdict}</span>'


def described(experiment: Experiment) -> str:
    """What the researcher says that it did."""
    return escaped(clean_line(experiment.description, LONGEST) or "(no description)")


def escaped(text: str) -> str:
    """Words of unknown origin, on one line and as words."""
    return escape(plain(text))


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
