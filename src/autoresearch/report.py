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

# ---------------------------------------------------------------------------------------------
# What the numbers say


def headline(view: StudyView) -> str:
    """Did it work, and by how much, in one sentence."""
    metric, count = plain(view.program.metric), _count(len(view.tried), "experiment")
    if not view.closed:
        return "Nothing has finished yet"
    if not view.baseline or not view.best:
        return "No result: the baseline has no score"
    base, best = score_of(view.baseline), score_of(view.best)
    if not view.tried:
        return f"The baseline stands at {number(base)} {metric}; nothing else has been tried yet"
    gain = _gain(view)
    if gain <= 0:
        return f"Nothing beat the baseline's {number(base)} {metric} in {count}"
    opening = "It worked" if _confirmed(view) else "It seems to have worked"
    moved = "fell" if view.lower else "rose"
    relative = f", {abs(gain / base) * 100:.3g}% better than the baseline" if base else ""
    return f"{opening}: {metric} {moved} from {number(base)} to {number(best)}{relative}"


def caveat(view: StudyView) -> str:
    """How far the headline can be believed: how many runs each number rests on, and their spread.

    The spread is the baseline's largest run minus its smallest. It is not a confidence interval,
    and does not claim to be one.
    """
    if not view.baseline or not view.best:
        failed = next((each.reason for each in view.closed if each.number == 0), "")
        return plain(failed, LONGEST)
    runs, spread = len(_scores(view.baseline)), _spread(view.baseline)
    differ = f", which differ by {number(spread, like=score_of(view.baseline))}" if runs > 1 else ""
    if _gain(view) <= 0:
        return f"The baseline rests on {_count(runs, 'run')}{differ}."
    many = len(view.tried) > 1
    luck = f" With {len(view.tried)} attempts, part of the gain may be luck." if many else ""
    best_runs = len(_scores(view.best))
    if runs == best_runs == 1:
        return f"One run each: not yet confirmed.{luck}"
    basis = f"The baseline rests on {_count(runs, 'run')}{differ}; the best on {best_runs}."
    if _confirmed(view):
        return f"{basis} The gain is larger than that spread.{luck}"
    within = " The gain is within that spread:" if runs > 1 and _gain(view) <= spread else " It is"
    return f"{basis}{within} not yet confirmed.{luck}"


def _confirmed(view: StudyView) -> bool:
    """More than one run on either side, and a gain beyond the baseline's own spread."""
    if not view.baseline or not view.best:
        return False
    fewest = min(len(_scores(view.baseline)), len(_scores(view.best)))
    return fewest > 1 and _gain(view) > _spread(view.baseline)


def _gain(view: StudyView) -> float:
    """By how much the best is better than the baseline; 0 while there is nothing to compare."""
    if not view.baseline or not view.best:
        return 0.0
    return _better(view, score_of(view.best) - score_of(view.baseline))


def _better(view: StudyView, difference: float) -> float:
    """A difference of scores as a gain: positive is better, whatever the direction."""
    return -difference if view.lower else difference


def _scores(experiment: Experiment) -> list[float]:
    """One score per run; an imported experiment that tells nothing of its runs had one."""
    scores = [run.score for run in experiment.runs if run.score is not None and isfinite(run.score)]
    return scores or [score_of(experiment)]


def _spread(experiment: Experiment) -> float:
    scores = _scores(experiment)
    return max(scores) - min(scores)


def _near_misses(view: StudyView) -> list[Experiment]:
    """The discarded experiments that were not much behind the best of their moment.

    Not much: the baseline's spread or what a kept change gained on average, if that is more;
    where neither is known, half a percent of the baseline.
    """
    if not view.baseline:
        return []
    usual = max(_spread(view.baseline), _gain(view) / max(1, len(view.kept)))
    bound = usual or abs(score_of(view.baseline)) * 0.005
    discarded = [each for each in view.tried if each.verdict is Verdict.DISCARD]
    behind = [(-_better(view, each.delta), each) for each in discarded if each.delta is not None]
    close = sorted((loss, each.number, each) for loss, each in behind if loss <= bound)
    return [each for *_, each in close[:NEAR_MISSES]]


def _failures(view: StudyView) -> list[Experiment]:
    fine = (Verdict.KEEP, Verdict.DISCARD)
    return [each for each in view.closed if each.verdict not in fine]


def _costs(view: StudyView) -> list[tuple[str, str]]:
    """What it took, as far as it is known."""
    costs = [("Experiments", f"{len(view.tried)}, {len(view.kept)} kept")]
    wall = _wall_seconds(view)
    if wall is not None:
        costs.append(("From start to end", _duration(wall)))
    busy = sum(each.seconds or 0.0 for each in view.closed)
    training, tokens = _total(view, "training_seconds"), _total(view, "tokens")
    if busy:
        costs.append(("In experiments", _duration(busy)))
        if view.kept:
            costs.append(("Per kept change", _duration(busy / len(view.kept))))
    if training:
        costs.append(("Training", _duration(training)))
    if tokens:
        costs.append(("Training tokens", f"{tokens:,.0f}"))
    return costs


def _total(view: StudyView, figure: str) -> float:
    return sum(run.figures.get(figure, 0.0) for each in view.closed for run in each.runs)


def _wall_seconds(view: StudyView) -> float | None:
    started, ended = _moment(view.started_at), _moment(_end(view))
    return (ended - started).total_seconds() if started and ended else None


def _end(view: StudyView) -> str:
    return view.ended_at or max((each.finished_at or "" for each in view.closed), default="")


def _memory_gb(experiment: Experiment) -> float:
    """The hungriest run's peak; 0 where it is not known."""
    return (
        max((run.figures.get("peak_memory_mb", 0.0) for run in experiment.runs), default=0) / 1024
    )


def _commands(view: StudyView) -> list[str]:
    """From a clone of the lab to the best score."""
    tag, program = plain(view.tag), view.program
    return [
        f"git switch --detach {shlex.quote(f'autoresearch/{tag}')}",
        plain(shlex.join(program.commands.prepare)),
        plain(shlex.join(program.commands.train)),
    ]


# ---------------------------------------------------------------------------------------------
# Numbers and moments as text


def _shown(experiment: Experiment) -> str:
    return number(score_of(experiment)) if has_score(experiment) else ""


def _signed(value: float | None, like: float | None) -> str:
    if value is None:
        return ""
    return f"{'+' if value > 0 else ''}{number(value, like=like)}"


def _known(value: float | None, form: str) -> str:
    return "" if not value else format(value, form)


def _count(count: int, noun: str) -> str:
    return f"{'one' if count == 1 else count} {noun}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _period(view: StudyView) -> str:
    """Such as "8 March 2026, 22:00 to 9 March 2026, 06:10 UTC"; empty where it is not known."""
    started, ended = _moment(view.started_at), _moment(view.ended_at or "")
    if not started:
        return ""
    first = f"{started:%-d %B %Y, %H:%M}"
    if not ended:
        return f"since {first} UTC, not over yet"
    last = f"{ended:%H:%M}" if started.date() == ended.date() else f"{ended:%-d %B %Y, %H:%M}"
    return f"{first} to {last} UTC"


def _diff_lines(diff: str) -> list[str]:
    """The diff's lines, without anything hidden, and no more of them than anybody reads."""
    text = visible(diff[:FULL_DIFF_CHARACTERS]).rstrip("\n")
    lines = text.split("\n") if text else []
    if len(lines) > FULL_DIFF_LINES or len(diff) > FULL_DIFF_CHARACTERS:
        return [*lines[:FULL_DIFF_LINES], "[cut here: autoresearch show --diff has all of it]"]
    return lines


# ---------------------------------------------------------------------------------------------
# results.tsv


def results_tsv(experiments: Iterable[Experiment]) -> str:
    """The original's log, one line per closed experiment, baseline first.

    Five columns: commit, val_bpb, memory_gb, status (keep, discard, crash), description. Any
    reader of tab-separated values reads it back: no field holds a tab, newline or double quote.
    """
    lines = ["commit\tval_bpb\tmemory_gb\tstatus\tdescription"]
    for each in experiments:
        if each.is_open:
            continue
        score = score_of(each) if has_score(each) else 0.0
        status = each.verdict if each.verdict in (Verdict.KEEP, Verdict.DISCARD) else "crash"
        commit = plain(each.commit or "")[:7] or "-"
        words = plain(each.description).replace('"', "'")
        lines.append(f"{commit}\t{score:.6f}\t{_memory_gb(each):.1f}\t{status}\t{words}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------
# HTML


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
        f"<title>{_text(chart_title(view))}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(view: StudyView) -> str:
    period = f" <span>{_text(_period(view))}</span>" if _period(view) else ""
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(view))
    note = f'<p class="caveat">{_text(caveat(view))}</p>\n' if caveat(view) else ""
    return (
        f'<header>\n<p class="study"><b>{_text(view.tag)}</b>{period}</p>\n'
        f"<h1>{_text(headline(view))}</h1>\n{note}"
        f'<dl class="facts">{facts}</dl>\n</header>'
    )


def _facts(view: StudyView) -> Iterator[tuple[str, str]]:
    if view.baseline and view.best:
        yield "Baseline", number(score_of(view.baseline))
        if view.kept:
            yield "Best", number(score_of(view.best))
    yield "Kept", f"{len(view.kept)} <small>of {len(view.tried)}</small>"
    wall = _wall_seconds(view)
    if wall is not None:
        yield "Time", _duration(wall).replace(" ", " <small>", 1) + "</small>"


def _picture(view: StudyView) -> str:
    note = "Every experiment is a dot; the line is the best so far."
    return (
        f'<figure>\n<div class="wide" tabindex="0" role="region" aria-label="Chart">\n'
        f"{progress_svg(view)}</div>\n<figcaption>{note}</figcaption>\n</figure>"
    )


def _kept(view: StudyView) -> str:
    if not view.kept:
        return ""
    most = max(_better(view, each.delta or 0.0) for each in view.kept)
    rows = []
    for each in view.kept:
        gain = None if each.delta is None else _better(view, each.delta)
        share = max(gain or 0.0, 0.0) / most if most > 0 else 0.0
        bar = f'<i style="width: {share * 100:.1f}%"></i>' if share > 0.03 else ""
        score = number(score_of(each))
        runs = str(len(_scores(each)))
        words = _words(each)
        rows.append((_link(view, each), words, score, _signed(gain, each.score) + bar, runs))
    head = ("#", "Change", "Score", "Gain", "Runs")
    intro = "Each gain is over the best of its moment."
    return _section("What was kept", f"<p>{intro}</p>\n" + _table("nwngn", head, rows))


def _takeover(view: StudyView) -> str:
    if not view.kept or not view.best_diff:
        return ""
    intro = f"<p>The {len(view.kept)} kept changes together.</p>\n" if len(view.kept) > 1 else ""
    return _section("The best against the baseline", intro + _code(view.best_diff))


def _near(view: StudyView) -> str:
    rows = [
        (_link(view, each), _words(each), _shown(each), _signed(each.delta, each.score))
        for each in _near_misses(view)
    ]
    if not rows:
        return ""
    intro = "<p>Discarded, but close to the best of their moment: worth another look.</p>\n"
    return _section("Near misses", intro + _table("nwnn", ("#", "Change", "Score", "Delta"), rows))


def _trouble(view: StudyView) -> str:
    rows = [
        (_link(view, each), _verdict(each), _words(each), _text(plain(each.reason, LONGEST)))
        for each in _failures(view)
    ]
    if not rows:
        return ""
    return _section("What failed", _table("nvww", ("#", "Verdict", "Change", "Reason"), rows))


def _cost(view: StudyView) -> str:
    return _section("What it cost", _pairs(_costs(view)))


def _again(view: StudyView) -> str:
    program = view.program
    commands = "\n".join(_text(line) for line in _commands(view))
    best = view.best.commit if view.best else None
    contract = [
        ("Metric", f"{program.metric}, {program.direction} is better"),
        ("Training time", f"{program.budget_seconds:g} seconds a run"),
        ("Editable", ", ".join(program.editable)),
        *([("Best commit", best)] if best else []),
        *view.machine.items(),
    ]
    return _section(
        "How to reproduce it",
        f'<pre tabindex="0"><code>{commands}</code></pre>\n{_pairs(contract)}',
    )


def _all(view: StudyView) -> str:
    if not view.experiments:
        return ""
    rows = []
    for each in view.experiments:
        reason = _text(plain(each.reason, LONGEST))
        rows.append((
            _link(view, each),
            "" if each.parent is None else str(each.parent),
            _verdict(each),
            _shown(each),
            _signed(each.delta, each.score),
            _known(each.seconds, ".1f"),
            _known(_memory_gb(each), ".1f"),
            _words(each) + (f"<small>{reason}</small>" if reason else ""),
        ))  # fmt: skip
    head = ("#", "Parent", "Verdict", "Score", "Delta", "Seconds", "GB", "Change and reason")
    return _section("Every experiment", _table("nmvnnmmw", head, rows))


def _changes(view: StudyView) -> str:
    items = []
    for each in view.experiments:
        if not view.diffs.get(each.number):
            continue
        hypothesis = f"<p>{_text(each.hypothesis)}</p>\n" if plain(each.hypothesis) else ""
        items.append(
            f"<details>\n<summary>#{each.number} {_verdict(each)} {_shown(each)} {_words(each)}"
            "</summary>\n"
            f'{hypothesis}<div id="change-{each.number}">'
            f"{_code(view.diffs[each.number])}</div>\n</details>\n"
        )
    return _section("Every change", "".join(items)) if items else ""


# The order of the page: the answers first, then what they rest on.
SECTIONS: tuple[Callable[[StudyView], str], ...] = (
    _opening, _picture, _kept, _takeover, _near, _trouble, _cost, _again, _all, _changes,
)  # fmt: skip


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>"


CLASSES = {"n": "number", "w": "words", "v": "verdict", "g": "number gain", "m": "number minor"}


def _table(kinds: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
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


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>\n" for name, value in pairs)
    return f'<dl class="pairs">\n{items}</dl>'


def _link(view: StudyView, experiment: Experiment) -> str:
    shown = str(experiment.number)
    has_diff = view.diffs.get(experiment.number)
    return f'<a href="#change-{shown}">{shown}</a>' if has_diff else shown


def _verdict(experiment: Experiment) -> str:
    verdict = experiment.verdict or "open"
    return f'<span class="is-{verdict}">{verdict}</span>'


def _words(experiment: Experiment) -> str:
    return _text(plain(experiment.description, LONGEST) or "(no description)")


def _text(text: str) -> str:
    return escape(plain(text))


def _code(diff: str) -> str:
    """A unified diff with its added and removed lines marked, for eyes and screen readers."""
    lines, in_header = [], True
    for line in _diff_lines(diff):
        if line.startswith(("diff --git ", "@@")):
            in_header = line.startswith("diff")
        name = "" if in_header else {"+": "ins", "-": "del"}.get(line[:1], "")
        name = "b" if in_header or line.startswith("@@") else name
        lines.append(f"<{name}>{escape(line)}</{name}>" if name else escape(line))
    return '<pre tabindex="0"><code>' + "\n".join(lines) + "</code></pre>"


# ---------------------------------------------------------------------------------------------
# Markdown


def report_markdown(view: StudyView) -> str:
    """The short form, for a pull request: what was kept, what it is worth, how to get it."""
    parts = [
        f"## {_prose(plain(view.tag))}: {_prose(headline(view))}",
        _prose(caveat(view)),
        _kept_markdown(view),
        _best_markdown(view),
        _trouble_markdown(view),
        "\n".join(f"- {name}: {value}" for name, value in _costs(view)),
        "To reproduce:\n\n" + _fenced(_commands(view), "sh"),
        "\n".join(f"- {_prose(name)}: {_span(value)}" for name, value in view.machine.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kept_markdown(view: StudyView) -> str:
    if not view.kept:
        return ""
    lines = ["| # | Change | Score | Gain | Runs |", "|--:|---|--:|--:|--:|"]
    for each in view.kept:
        gain = _signed(None if each.delta is None else _better(view, each.delta), each.score)
        cells = (str(each.number), _span(each.description), number(score_of(each)), gain)
        lines.append(f"| {' | '.join(cells)} | {len(_scores(each))} |")
    return "\n".join(lines)


def _best_markdown(view: StudyView) -> str:
    if not view.kept or not view.best_diff:
        return ""
    block = _fenced(_diff_lines(view.best_diff), "diff")
    title = "The best against the baseline"
    return f"<details><summary>{title}</summary>\n\n{block}\n\n</details>"


def _trouble_markdown(view: StudyView) -> str:
    counts = Counter(str(each.verdict) for each in _failures(view))
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"Without a usable result: {kinds}." if kinds else ""


def _prose(text: str) -> str:
    """A person's or our own words, that Markdown must leave alone."""
    return re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", plain(text))


def _span(text: str) -> str:
    """Hostile words: in a code span they cannot be markup, a link or somebody's name."""
    words = plain(text, LONGEST).replace("`", "'").replace("|", "\\|")
    return f"`{words or '(no description)'}`"


def _fenced(lines: Iterable[str], language: str) -> str:
    """A code block behind a fence that nothing in it can close."""
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
