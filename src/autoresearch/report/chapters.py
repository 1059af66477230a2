"""The parts of the report below its opening, in the order of the questions that they answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.analysis.view import StudyView, memory_gb, score_of
from autoresearch.experiment import Experiment
from autoresearch.report import costs, recipe
from autoresearch.report.answers import BELIEVE, LEARNED, NEXT, TAKE, command, percent
from autoresearch.report.belief import belief
from autoresearch.report.elements import (
    badge,
    code,
    described,
    escaped,
    pairs,
    section,
    table,
    ticked,
    typed,
)
from autoresearch.report.findings import LONGEST, known, score_text, signed
from autoresearch.report.learned import (
    OFTEN,
    Place,
    Worth,
    causes,
    failed_places,
    themes_of,
    veto_words,
    worths,
)
from autoresearch.report.suggestions import suggestions
from autoresearch.text import clean_line, number, plain

MOST_PLACES = 40
MOST_ONCE = 60  # names of places that were tried once
MOST_NUMBERS = 12  # of the experiments that ended for one reason


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part under its heading; left out where there is nothing to say."""

    title: str
    content: Callable[[StudyView], str]
    key: str = ""  # what an answer at the top links to

    def __call__(self, view: StudyView) -> str:
        content = self.content(view)
        return section(self.title, content, self.key) if content else ""


# Can I believe it?


def _belief(view: StudyView) -> str:
    points = belief(view)
    return pairs(points, lambda words: linked(view, ticked(words))) if points else ""


# What did it learn?


def _learned(view: StudyView) -> str:
    parts = (
        part(heading, content(view))
        for heading, content in (
            ("What each kept change is worth", _kept),
            ("What was vetoed", _vetoed),
            ("Places that did not pay, and why", _failed),
            ("What crashed, by its cause", _causes),
        )
    )
    return "\n".join(filter(None, parts))


def part(heading: str, content: str) -> str:
    return f"<h3>{heading}</h3>\n{content}" if content else ""


def _kept(view: StudyView) -> str:
    found = worths(view)
    if not found:
        return ""
    most = max(each.gain or 0.0 for each in found)
    head = ("#", "Change", "Score", "Gain", "Share", "Runs")
    intro = "A gain is over the best of its moment; the shares add up to the whole gain."
    rows = [_worth(view, each, most) for each in found]
    return f"<p>{intro}</p>\n" + table("Kept changes", "nwmgnw", head, rows)


def _worth(view: StudyView, each: Worth, most: float) -> tuple[str, ...]:
    width = max(each.gain or 0.0, 0.0) / most if most > 0 else 0.0
    bar = f'<i style="width: {width * 100:.1f}%"></i>' if width > 0.03 else ""
    share = "" if each.share is None else percent(each.share)
    one = each.experiment
    return (
        link(view, one),
        described(one) + _hypothesis(one),
        number(score_of(one)),
        signed(each.gain, one.score) + bar,
        share or "<small>not in the best</small>",
        each.rests_on,
    )


def _hypothesis(each: Experiment) -> str:
    words = clean_line(each.hypothesis, 240)
    return f"<small>Hypothesis, {each.answer}: {escaped(words)}</small>" if words else ""


def _vetoed(view: StudyView) -> str:
    rows = [
        (link(view, each), described(each), score_text(each), veto_words(each))
        for each in view.vetoed
    ]
    intro = "<p>Kept by the rule, and taken back by a person: they do not count as kept.</p>\n"
    return (
        intro + table("Vetoed changes", "nwnw", ("#", "Change", "Score", "Why"), rows)
        if rows
        else ""
    )


def _failed(view: StudyView) -> str:
    places = failed_places(view)
    often = [each for each in places if len(each.tries) >= OFTEN]
    once = [each for each in places if len(each.tries) < OFTEN]
    parts = [_source(view)] if places else []
    if often:
        head = ("Place", "Tried", "Gains", "Why it did not pay")
        parts.append(
            table(
                "Places that did not pay",
                "cnmw",
                head,
                [_place(view, each) for each in often[:MOST_PLACES]],
            )
        )
        if len(often) > MOST_PLACES:
            parts.append(f"<p>And {len(often) - MOST_PLACES} more places.</p>")
    if once:
        left = f" and {len(once) - MOST_ONCE} more" if len(once) > MOST_ONCE else ""
        names = escaped(", ".join(f"{each.name} ({each.came_to})" for each in once[:MOST_ONCE]))
        parts.append(f"<p>Tried once and not kept: {names}{left}.</p>")
    return "\n".join(parts)


def _source(view: StudyView) -> str:
    """Where the places come from, if not from the code."""
    if view.themes or not themes_of(view):
        return ""
    return "<p>Grouped by what the descriptions say: the changes themselves are not known.</p>"


def _place(view: StudyView, each: Place) -> tuple[str, ...]:
    tried = f"<small>{escaped(', '.join(each.values))}</small>" if each.values else ""
    return (
        escaped(each.name).replace("_", "_<wbr>"),  # a narrow column breaks names where they join
        str(len(each.tries)),
        each.gains,
        linked(view, ticked(each.why)) + tried,
    )


def _causes(view: StudyView) -> str:
    rows = []
    for each in causes(view):
        last = each.experiments[-MOST_NUMBERS:]
        numbers = ", ".join(link(view, one) for one in last)
        more = "..., " if len(each.experiments) > len(last) else ""
        where = f"<small>at {escaped(each.where)}</small>" if each.where else ""
        reason = escaped(each.reason) or "for no reason that is known"
        rows.append((str(len(each.experiments)), each.happened, reason + where, f"{more}{numbers}"))
    head = ("Count", "What happened", "Cause", "Experiments")
    return table("Crashes", "nvwc", head, rows) if rows else ""


# What should I take over?


def _take(view: StudyView) -> str:
    parts = (
        part("Adopt it", _adopt(view)),
        part("The best against the baseline", _best(view)),
        part("Reproduce it", _again(view)),
        part("The machine", pairs(recipe.machine(view)) if view.machine else ""),
    )
    return "\n".join(filter(None, parts))


def _adopt(view: StudyView) -> str:
    lines = recipe.adopt(view)
    intro = "<p>In the lab: a branch with one commit for each kept change and its numbers.</p>\n"
    return intro + typed(lines) if lines else ""


def _best(view: StudyView) -> str:
    if not view.kept or not view.best_diff:
        return ""
    intro = f"<p>The {len(view.kept)} kept changes together.</p>\n" if len(view.kept) > 1 else ""
    return intro + code(view.best_diff)


def _again(view: StudyView) -> str:
    if not view.baseline:
        return ""
    best, study = recipe.reproduce(view), recipe.once_more(view)
    parts = (
        f"<p>The best by hand, from a clone of the lab:</p>\n{typed(best)}" if best else "",
        f"<p>The whole study again:</p>\n{typed(study)}" if study else "",
        pairs(recipe.facts(view)),
    )
    return "\n".join(filter(None, parts))


# What should I try next?


def _next(view: StudyView) -> str:
    items = []
    for each in suggestions(view):
        why = linked(view, ticked(each.why))
        items.append(f"<li>{typed([command(each)])}<small>{why}</small></li>")
    intro = "<p>Each line can be typed while a study runs, or before it goes on.</p>\n"
    listed = "\n".join(items)
    return f"{intro}<ol>\n{listed}\n</ol>" if items else ""


# What it cost, and everything


def _cost(view: StudyView) -> str:
    head, rows = costs.table(view)
    counts = f"<p>{costs.counts(view)}</p>"
    notes = [f"<p>{escaped(words)}</p>" for words in costs.notes(view)]
    found = table("Costs", "c" + "n" * (len(head) - 1), head, rows) if rows else ""
    return "\n".join(filter(None, (counts, found, *notes))) if view.closed else ""


def _all(view: StudyView) -> str:
    if not view.experiments:
        return ""
    head = ("#", "Parent", "Verdict", "Score", "Delta", "Seconds", "GB", "Change and reason")
    return table(
        "All experiments", "nmvnnmmw", head, (_row(view, each) for each in view.experiments)
    )


def _row(view: StudyView, each: Experiment) -> tuple[str, ...]:
    reason = escaped(clean_line(each.reason, LONGEST))
    return (
        link(view, each),
        "" if each.parent is None else str(each.parent),
        badge(each),
        score_text(each),
        signed(each.delta, each.score),
        known(each.seconds, ".1f"),
        known(memory_gb(each), ".1f"),
        described(each) + (f"<small>{reason}</small>" if reason else ""),
    )


def _changes(view: StudyView) -> str:
    return "".join(_change(view, each) for each in view.experiments if view.diffs.get(each.number))


def _change(view: StudyView, each: Experiment) -> str:
    hypothesis = f"<p>{escaped(each.hypothesis)}</p>\n" if plain(each.hypothesis) else ""
    return (
        f"<details>\n<summary>#{each.number} {badge(each)} {score_text(each)} {described(each)}"
        f'</summary>\n{hypothesis}<div id="change-{each.number}">'
        f"{code(view.diffs[each.number])}</div>\n</details>\n"
    )


def linked(view: StudyView, markup: str) -> str:
    """`#7` in our own words, not in code, leads to its change."""
    parts = re.split(r"(<code>.*?</code>)", markup)
    return "".join(
        part if n % 2 else re.sub(r"#(\d+)", lambda found: _reference(view, found[1]), part)
        for n, part in enumerate(parts)
    )


def _reference(view: StudyView, digits: str) -> str:
    shown = f"#{digits}"
    there = len(digits) < 10 and view.diffs.get(int(digits))
    return f'<a href="#change-{int(digits)}">{shown}</a>' if there else shown


def link(view: StudyView, experiment: Experiment) -> str:
    number = experiment.number
    return f'<a href="#change-{number}">{number}</a>' if view.diffs.get(number) else str(number)


CHAPTERS = (
    Chapter("Can I believe it?", _belief, BELIEVE),
    Chapter("What did it learn?", _learned, LEARNED),
    Chapter("What should I take over?", _take, TAKE),
    Chapter("What should I try next?", _next, NEXT),
    Chapter("What it cost", _cost),
    Chapter("Every experiment", _all),
    Chapter("Every change", _changes),
)
