"""What the morning is for, as one HTML file that needs nothing from outside.

The five answers stand at the top, in the order in which a person asks: did it work, by how much
and can I believe it, what did it learn, what should I take over, what should I try next. Then
comes what they rest on. It reads a `StudyView` and decides nothing: every number is one of the
view's, or the difference, sum or ratio of some. The page forbids itself scripts and requests,
whatever the experiments may have written.
"""

from collections.abc import Collection, Iterator
from importlib.resources import files

from autoresearch.analysis.view import StudyView, score_of
from autoresearch.report.answers import WORKED, answers
from autoresearch.report.chapters import CHAPTERS, linked
from autoresearch.report.chart import progress_svg
from autoresearch.report.elements import escaped, ticked
from autoresearch.report.findings import chart_title, duration, headline, period
from autoresearch.text import digits_for, number


def report_html(view: StudyView) -> str:
    """The report as one file, without scripts and without any request to anywhere."""
    style = files("autoresearch.report").joinpath("report.css").read_text(encoding="utf-8")
    chapters = {chapter.key or chapter.title: chapter(view) for chapter in CHAPTERS}
    there = {WORKED, *(key for key, content in chapters.items() if content)}
    parts = (_opening(view, there), _picture(view), *chapters.values())
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(chart_title(view))}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(view: StudyView, there: Collection[str]) -> str:
    when = f" <span>{escaped(period(view))}</span>" if period(view) else ""
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(view))
    return (
        f'<header>\n<p class="study"><b>{escaped(view.tag)}</b>{when}</p>\n'
        f'<h1>{escaped(headline(view))}</h1>\n<dl class="facts">{facts}</dl>\n'
        f"{_answers(view, there)}\n</header>"
    )


def _facts(view: StudyView) -> Iterator[tuple[str, str]]:
    if view.baseline and view.best:
        base, best = score_of(view.baseline), score_of(view.best)
        digits = digits_for(base, best, 7)
        yield "Baseline", number(base, digits)
        if view.best.number:
            yield "Best", number(best, digits)
    yield "Kept", f"{len(view.kept)} <small>of {len(view.tried)}</small>"
    if view.vetoed:
        yield "Vetoed", str(len(view.vetoed))
    if view.wall_seconds is not None:
        yield "Time", duration(view.wall_seconds).replace(" ", " <small>", 1) + "</small>"


def _answers(view: StudyView, there: Collection[str]) -> str:
    """A list of question and answer; each question leads to the part that says more."""
    rows = []
    for each in answers(view):
        name = escaped(each.question)
        asked = f'<a href="#{each.key}">{name}</a>' if each.key in there else name
        rows.append(f"<div><dt>{asked}</dt><dd>{linked(view, ticked(each.text))}</dd></div>")
    listed = "\n".join(rows)
    return f'<dl class="answers">\n{listed}\n</dl>'


def _picture(view: StudyView) -> str:
    band = " The band is the noise: one run strays so far by luck alone." if view.noise.sd else ""
    note = f"Every experiment is a dot; the line is the best so far.{band}"
    return (
        f'<figure id="{WORKED}">\n'
        '<div class="wide broad" tabindex="0" role="region" aria-label="Chart">\n'
        f"{progress_svg(view)}</div>\n"
        f'<div class="narrow">\n{progress_svg(view, narrow=True)}</div>\n'
        f"<figcaption>{note}</figcaption>\n</figure>"
    )
