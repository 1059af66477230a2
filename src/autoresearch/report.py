"""What the morning is for: did it work, by how much, can I believe it, what should I take over.

`report_html` is one file that needs nothing from outside, `report_markdown` is the short form for
a pull request, `results_tsv` the original's log. All read a `StudyView` and decide nothing: every
number is one of the view's, or the difference, sum or ratio of some.

Whatever an experiment could have written (descriptions, reasons, diffs) is hostile text: `_text`
and `_code` are the only ways in, and the page forbids itself scripts and requests.
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from math import isfinite

from autoresearch.chart import (
    StudyView,
    chart_title,
    has_score,
    number,
    plain,
    progress_svg,
    score_of,
    visible,
)
from autoresearch.experiment import Experiment, Verdict

__all__ = [
    "StudyView", "caveat", "headline", "report_html", "report_markdown", "results_tsv",
]  # fmt: skip

FULL_DIFF_LINES = 600  # more of one diff than anybody reads in a report
FULL_DIFF_CHARACTERS = 60_000
NEAR_MISSES = 5
LONGEST = 400  # characters of a description or a reason

def report_html(view: StudyView) -> str:
    """The report as one file, without scripts and without any request to anywhere."""
    style = files("autoresearch").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(part for section in SECTIONS if (part := section(view)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{text(chart_title(view))}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(view: StudyView) -> str:
    period = f" <span>{text(period(view))}</span>" if period(view) else ""
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(view))
    note = f'<p class="caveat">{text(caveat(view))}</p>\n' if caveat(view) else ""
    return (
        f'<header>\n<p class="study"><b>{text(view.tag)}</b>{period}</p>\n'
        f"<h1>{text(headline(view))}</h1>\n{note}"
        f'<dl class="facts">{facts}</dl>\n</header>'
    )


def _facts(view: StudyView) -> Iterator[tuple[str, str]]:
    if view.baseline and view.best:
        yield "Baseline", number(score_of(view.baseline))
        if view.kept:
            yield "Best", number(score_of(view.best))
    yield "Kept", f"{len(view.kept)} <small>of {len(view.tried)}</small>"
    wall = view.wall_seconds
    if wall is not None:
        yield "Time", duration(wall).replace(" ", " <small>", 1) + "</small>"


def _picture(view: StudyView) -> str:
    note = "Every experiment is a dot; the line is the best so far."
    return (
        f'<figure>\n<div class="wide" tabindex="0" role="region" aria-label="Chart">\n'
        f"{progress_svg(view)}</div>\n<figcaption>{note}</figcaption>\n</figure>"
    )


def _kept(view: StudyView) -> str:
    if not view.kept:
        return ""
    most = max(view.as_gain(each.delta or 0.0) for each in view.kept)
    rows = []
    for each in view.kept:
        gain = None if each.delta is None else view.as_gain(each.delta)
        share = max(gain or 0.0, 0.0) / most if most > 0 else 0.0
        bar = f'<i style="width: {share * 100:.1f}%"></i>' if share > 0.03 else ""
        score = number(score_of(each))
        runs = str(len(run_scores(each)))
        words = words(each)
        rows.append((_link(view, each), words, score, signed(gain, each.score) + bar, runs))
    head = ("#", "Change", "Score", "Gain", "Runs")
    intro = "Each gain is over the best of its moment."
    return section("What was kept", f"<p>{intro}</p>\n" + table("nwngn", head, rows))


def _takeover(view: StudyView) -> str:
    if not view.kept or not view.best_diff:
        return ""
    intro = f"<p>The {len(view.kept)} kept changes together.</p>\n" if len(view.kept) > 1 else ""
    return section("The best against the baseline", intro + code(view.best_diff))


def _near(view: StudyView) -> str:
    rows = [
        (_link(view, each), words(each), shown(each), signed(each.delta, each.score))
        for each in view.near_misses
    ]
    if not rows:
        return ""
    intro = "<p>Discarded, but close to the best of their moment: worth another look.</p>\n"
    return section("Near misses", intro + table("nwnn", ("#", "Change", "Score", "Delta"), rows))


def _trouble(view: StudyView) -> str:
    rows = [
        (_link(view, each), verdict(each), words(each), text(clean_line(each.reason, LONGEST)))
        for each in view.failed
    ]
    if not rows:
        return ""
    return section("What failed", table("nvww", ("#", "Verdict", "Change", "Reason"), rows))


def _cost(view: StudyView) -> str:
    return section("What it cost", pairs(costs(view)))


def _again(view: StudyView) -> str:
    program = view.program
    commands = "\n".join(text(line) for line in commands(view))
    best = view.best.commit if view.best else None
    contract = [
        ("Metric", f"{program.metric}, {program.direction} is better"),
        ("Training time", f"{program.budget_seconds:g} seconds a run"),
        ("Editable", ", ".join(program.editable)),
        *([("Best commit", best)] if best else []),
        *view.machine.items(),
    ]
    return section(
        "How to reproduce it",
        f'<pre tabindex="0"><code>{commands}</code></pre>\n{pairs(contract)}',
    )


def _all(view: StudyView) -> str:
    if not view.experiments:
        return ""
    rows = []
    for each in view.experiments:
        reason = text(clean_line(each.reason, LONGEST))
        rows.append((
            _link(view, each),
            "" if each.parent is None else str(each.parent),
            verdict(each),
            shown(each),
            signed(each.delta, each.score),
            known(each.seconds, ".1f"),
            known(memory_gb(each), ".1f"),
            words(each) + (f"<small>{reason}</small>" if reason else ""),
        ))  # fmt: skip
    head = ("#", "Parent", "Verdict", "Score", "Delta", "Seconds", "GB", "Change and reason")
    return section("Every experiment", table("nmvnnmmw", head, rows))


def _changes(view: StudyView) -> str:
    items = []
    for each in view.experiments:
        if not view.diffs.get(each.number):
            continue
        hypothesis = f"<p>{text(each.hypothesis)}</p>\n" if plain(each.hypothesis) else ""
        items.append(
            f"<details>\n<summary>#{each.number} {verdict(each)} {shown(each)} {words(each)}"
            "</summary>\n"
            f'{hypothesis}<div id="change-{each.number}">'
            f"{code(view.diffs[each.number])}</div>\n</details>\n"
        )
    return section("Every change", "".join(items)) if items else ""


# The order of the page: the answers first, then what they rest on.
SECTIONS: tuple[Callable[[StudyView], str], ...] = (
    _opening, _picture, _kept, _takeover, _near, _trouble, _cost, _again, _all, _changes,
)  # fmt: skip


def _link(view: StudyView, experiment: Experiment) -> str:
    shown = str(experiment.number)
    has_diff = view.diffs.get(experiment.number)
    return f'<a href="#change-{shown}">{shown}</a>' if has_diff else shown
