"""What the morning is for: did it work, by how much, can I believe it, what should I take over.

`report_html` is one file that needs nothing from outside. It reads a `StudyView` and decides
nothing: every number is one of the view's, or the difference, sum or ratio of some. The page
forbids itself scripts and requests, whatever the experiments may have written.
"""

from collections.abc import Callable, Iterator
from importlib.resources import files

from autoresearch.chart import progress_svg
from autoresearch.experiment import Experiment
from autoresearch.findings import (
    LONGEST,
    caveat,
    chart_title,
    commands,
    costs,
    duration,
    headline,
    known,
    number,
    period,
    score_text,
    signed,
)
from autoresearch.page import badge, code, described, escaped, pairs, section, table
from autoresearch.text import clean_line, plain
from autoresearch.view import StudyView, memory_gb, run_scores, score_of


def report_html(view: StudyView) -> str:
    """The report as one file, without scripts and without any request to anywhere."""
    style = files("autoresearch").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(part for part_of in SECTIONS if (part := part_of(view)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(chart_title(view))}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(view: StudyView) -> str:
    when = f" <span>{escaped(period(view))}</span>" if period(view) else ""
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(view))
    note = f'<p class="caveat">{escaped(caveat(view))}</p>\n' if caveat(view) else ""
    return (
        f'<header>\n<p class="study"><b>{escaped(view.tag)}</b>{when}</p>\n'
        f"<h1>{escaped(headline(view))}</h1>\n{note}"
        f'<dl class="facts">{facts}</dl>\n</header>'
    )


def _facts(view: StudyView) -> Iterator[tuple[str, str]]:
    if view.baseline and view.best:
        yield "Baseline", number(score_of(view.baseline))
        if view.kept:
            yield "Best", number(score_of(view.best))
    yield "Kept", f"{len(view.kept)} <small>of {len(view.tried)}</small>"
    if view.wall_seconds is not None:
        yield "Time", duration(view.wall_seconds).replace(" ", " <small>", 1) + "</small>"


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
        gained = signed(gain, each.score) + bar
        rows.append((_link(view, each), described(each), score, gained, runs))
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
        (_link(view, each), described(each), score_text(each), signed(each.delta, each.score))
        for each in view.near_misses
    ]
    if not rows:
        return ""
    intro = "<p>Discarded, but close to the best of their moment: worth another look.</p>\n"
    return section("Near misses", intro + table("nwnn", ("#", "Change", "Score", "Delta"), rows))


def _trouble(view: StudyView) -> str:
    rows = [
        (_link(view, each), badge(each), described(each), escaped(clean_line(each.reason, LONGEST)))
        for each in view.failed
    ]
    if not rows:
        return ""
    return section("What failed", table("nvww", ("#", "Verdict", "Change", "Reason"), rows))


def _cost(view: StudyView) -> str:
    return section("What it cost", pairs(costs(view)))


def _again(view: StudyView) -> str:
    program = view.program
    typed = "\n".join(escaped(line) for line in commands(view))
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
        f'<pre tabindex="0"><code>{typed}</code></pre>\n{pairs(contract)}',
    )


def _all(view: StudyView) -> str:
    if not view.experiments:
        return ""
    rows = []
    for each in view.experiments:
        reason = escaped(clean_line(each.reason, LONGEST))
        rows.append((
            _link(view, each),
            "" if each.parent is None else str(each.parent),
            badge(each),
            score_text(each),
            signed(each.delta, each.score),
            known(each.seconds, ".1f"),
            known(memory_gb(each), ".1f"),
            described(each) + (f"<small>{reason}</small>" if reason else ""),
        ))  # fmt: skip
    head = ("#", "Parent", "Verdict", "Score", "Delta", "Seconds", "GB", "Change and reason")
    return section("Every experiment", table("nmvnnmmw", head, rows))


def _changes(view: StudyView) -> str:
    items = []
    for each in view.experiments:
        if not view.diffs.get(each.number):
            continue
        hypothesis = f"<p>{escaped(each.hypothesis)}</p>\n" if plain(each.hypothesis) else ""
        items.append(
            f"<details>\n<summary>#{each.number} {badge(each)} {score_text(each)} {described(each)}"
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
