"""What to try next, as lines that one can hand to `autoresearch idea`.

Every line follows from an experiment: a near miss on top of today's best, a step further where a
step paid, the other side of a value that did not, two near misses together, and constants that
nobody touched. Each says what it rests on. None of it is a promise.
"""

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from math import floor, isfinite, log10

from autoresearch.analysis.descriptions import remark, size
from autoresearch.analysis.near_misses import near_misses
from autoresearch.analysis.tally import REWRITE, Tally, Themes, lineage, places, tallies, values_now
from autoresearch.analysis.view import StudyView, run_scores
from autoresearch.experiment import Experiment
from autoresearch.outline import span
from autoresearch.report.findings import counted
from autoresearch.report.learned import directions, moved, size_of, themes_of
from autoresearch.researchers.hints import admits, is_idle
from autoresearch.source.change import Theme, fingerprint
from autoresearch.source.constants import assigned, assignments, settable
from autoresearch.source.literals import evaluate
from autoresearch.text import clean_line

MOST = 10
AGAIN, FURTHER, OTHER, TOGETHER = 4, 3, 2, 1  # at most, of each kind
NAMED = 3  # constants that nobody touched
FARTHEST = 2.0  # times the last value
LONGEST = 160  # characters of a line
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line for `autoresearch idea`, and why it may be worth a run."""

    text: str
    why: str  # words of others stand in backticks
    after: tuple[int, ...] = ()  # the experiments that it follows from


def suggestions(view: StudyView) -> list[Suggestion]:
    """The most promising first; none while there is nothing to build on."""
    if not view.baseline:
        return []
    themes = themes_of(view)
    tried = tallies(view, themes)
    kinds = (
        (_again(view, themes), AGAIN),
        (_further(view, themes, tried), FURTHER),
        (_together(view, themes), TOGETHER),
        (_other_side(view, themes, tried), OTHER),
        (_untouched(view, themes), 1),
    )
    fits = partial(_fits, view)
    found = chain.from_iterable(islice(filter(fits, kind), most) for kind, most in kinds)
    return list({idea.text: idea for idea in found}.values())[:MOST]


def _fits(view: StudyView, idea: Suggestion) -> bool:
    """Whether the best's files have the constants of a line of values, their hints leave room for
    these, and nobody has run that."""
    values = assignments(idea.text)
    if not values or not view.files or not view.best:
        return True
    known = view.best.resolved
    found = settable(view.files, known)
    if not values.keys() <= found.keys():
        return False
    now = {name: constant.value for name, (_, constant) in found.items()}
    now |= {name: evaluate(value) for name, value in values.items()}
    touched = {name: found[name][1] for name in values}
    if any(not admits(each, now[name]) or is_idle(each, now) for name, each in touched.items()):
        return False
    after = assigned(view.files, values, known)
    return fingerprint({name: text.encode() for name, text in after.items()}) not in view.ran


def _again(view: StudyView, themes: Themes) -> Iterator[Suggestion]:
    """Near misses, on top of a best that has changed since."""
    inside = lineage(view)
    for gain, each in _close(view, themes):
        since = sum(kept.number > each.number for kept in inside)
        if since:
            verb = "missed" if gain < 0 else "was better"
            how = f"{verb} by {size_of(gain)}" if gain else "made no difference"
            runs = len(run_scores(each))
            proof = "in one run" if runs == 1 else f"in the mean of {runs} runs"
            built = f"the best has {counted(since, 'change')} since"
            why = f"#{each.number} {how} {proof}; {built}"
            yield Suggestion(wording(each, themes.get(each.number, ())), why, (each.number,))


def _close(view: StudyView, themes: Themes) -> Iterator[tuple[float, Experiment]]:
    """Near misses that nobody has tried again in the same words or with the same values."""
    last = {_what(each, themes): each.number for each in view.tried}
    for gain, each in near_misses(view, themes):
        if last[_what(each, themes)] == each.number:
            yield gain, each


def _what(each: Experiment, themes: Themes) -> Hashable:
    moves = frozenset(
        (theme.name, theme.after) for theme in themes.get(each.number, ()) if theme.after
    )
    return moves or clean_line(each.description, LONGEST)


def _further(view: StudyView, themes: Themes, tried: Sequence[Tally]) -> Iterator[Suggestion]:
    """One more step where the last kept step of a number paid and nobody has gone on."""
    seen, by_name = set[str](), {each.name: each for each in tried}
    for each in reversed(lineage(view)):
        for theme in themes.get(each.number, ()):
            if theme.name in seen:
                continue
            seen.add(theme.name)
            value = beyond(theme.before, theme.after)
            if value and not _is_beyond(by_name.get(theme.name), theme):
                step = f"from {span(theme.before, 24)} to {span(theme.after, 24)}"
                why = f"#{each.number} went {step} and paid"
                why += "; nothing beyond was tried"
                yield Suggestion(f"{_short(theme.name)} = {value}", why, (each.number,))


def _is_beyond(tally: Tally | None, theme: Theme) -> bool:
    """Whether a value further on in the theme's direction was tried."""
    before, after = size(theme.before), size(theme.after)
    if tally is None or before is None or after is None:
        return False
    values = [size(each.value) for each in tally.tries]
    return any(
        value is not None and (value > after if after > before else value < after)
        for value in values
    )


def _other_side(view: StudyView, themes: Themes, tried: Sequence[Tally]) -> Iterator[Suggestion]:
    """The opposite of what lost, where only one side of a number was tried."""
    now = values_now(view, themes)
    for tally in sorted(tried, key=lambda each: len(each.tries)):
        sides = directions(tally.tries)
        scored = [each for each in tally.tries if each.gain is not None]
        is_settled = tally.kept or any(each.experiment.is_taken_back for each in tally.tries)
        if is_settled or not scored or len(sides) != 1:
            continue
        near = max(scored, key=lambda each: each.worth)
        here = now.get(tally.name) or near.before
        value = beyond(near.value, here)
        if value and size(value) not in {size(each.value) for each in tally.tries}:
            side = "larger" if 1 in sides else "smaller"
            numbers = tuple(each.experiment.number for each in scored[-3:])
            which = ", ".join(f"#{each}" for each in numbers)
            tries = (
                f"{side} values than {span(here, 24)} were"
                if len(tally.tries) > 1
                else (f"a {side} value than {span(here, 24)} was")
            )
            why = f"only {tries} tried ({which}), and not kept"
            yield Suggestion(f"{_short(tally.name)} = {value}", why, numbers)


def _together(view: StudyView, themes: Themes) -> Iterator[Suggestion]:
    """The two closest near misses at different places, in one change."""
    close = [(gain, each) for gain, each in _close(view, themes) if themes.get(each.number)]
    for place, (gain, each) in enumerate(close):
        for other_gain, other in close[place + 1 :]:
            if set(places(themes, each)).isdisjoint(places(themes, other)):
                lines = [wording(one, themes.get(one.number, ())) for one in (each, other)]
                lost = " and ".join(moved(one) for one in (gain, other_gain))
                why = f"#{each.number} and #{other.number} were close alone ({lost})"
                yield Suggestion(_line(" and ".join(lines)), f"{why}", (each.number, other.number))


def _untouched(view: StudyView, themes: Themes) -> Iterator[Suggestion]:
    """Constants of the best's code that no change has touched."""
    touched = {_short(theme.name) for found in themes.values() for theme in found}
    left = [name for name in view.constants if name not in touched]
    if left:
        shown = [f"{name} ({clean_line(view.constants[name], 24)})" for name in left[:NAMED]]
        why = f"nobody has touched {counted(len(left), 'constant')} of its code yet"
        yield Suggestion(_line(f"try another value of {' or '.join(shown)}"), why)


def wording(each: Experiment, themes: Sequence[Theme]) -> str:
    """A change as a line: `NAME = value` where it is that, else what its researcher wrote."""
    sets = [theme for theme in themes if theme.after and _CONSTANT.fullmatch(_short(theme.name))]
    if themes and len(sets) == len(themes) and REWRITE not in places({0: tuple(themes)}, each):
        return _line(" and ".join(f"{_short(one.name)} = {one.after}" for one in sets))
    words = clean_line(each.description, LONGEST)
    note = remark(words)
    return _line(words.removesuffix(f"({note})").strip() if note else words)


def _short(name: str) -> str:
    """A constant's name without its file's."""
    return clean_line(name.rpartition(":")[2])


def beyond(before: str, after: str) -> str:
    """The next value in a direction, by the same factor where there is one; "" where none is."""
    first, second = size(before), size(after)
    if first is None or second is None or first == second:
        return ""
    if 0.5 <= min(first, second) <= max(first, second) < 1:  # shares: 0.9, 0.95, 0.975, never 1
        value = 1 - _step(1 - first, 1 - second)
    else:
        value = _step(first, second)
    if min(first, second) >= 0 > value:
        return ""
    suffix = after[-1:] if after[-1:] in "KMGkx%" else ""
    unit = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "%": 0.01}.get(suffix, 1.0)
    text = _written(value / unit, second, first, suffix, after)
    is_float = "." in after and text.lstrip("-").isdigit()
    return f"{text}.0" if is_float else text


def _step(first: float, second: float) -> float:
    factor = second / first if first * second > 0 else 0.0
    return second * min(max(factor, 1 / FARTHEST), FARTHEST) if factor else 2 * second - first


def _written(value: float, second: float, first: float, suffix: str, like: str) -> str:
    if not isfinite(value) or abs(value) > 1e12:
        return ""
    if not suffix and "." not in like and second.is_integer() and first.is_integer() and second:
        whole = round(value)
        return str(whole) if whole not in (first, second, 0) else ""
    if value == 0:
        return ""
    apart = min(abs(value), abs(1 - value) or abs(value)) if 0.5 <= second < 1 else abs(value)
    digits = 1 - floor(log10(apart))
    return f"{round(value, max(digits, 0)):g}{suffix}"


def _line(words: str) -> str:
    return clean_line(words, LONGEST) or "(no description)"
