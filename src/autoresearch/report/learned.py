"""What a study taught: what each kept change is worth, which places did not pay and why.

All of it is counted from the experiments. In sentences, what an experiment or its researcher wrote
stands in backticks, which it cannot close; single words of theirs come out on one line. Nothing is
escaped yet.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import floor, log10

from autoresearch.analysis import throughput
from autoresearch.analysis.descriptions import remark, size, spoken
from autoresearch.analysis.failures import PAST, shared_reason, troubles
from autoresearch.analysis.noise import is_confirmed
from autoresearch.analysis.tally import (
    LONGEST_NAME,
    REWRITE,
    Tally,
    Themes,
    Try,
    best_by_value,
    gain_of,
    lineage,
    places,
    tallies,
)
from autoresearch.analysis.view import StudyView, run_scores, score_of
from autoresearch.experiment import Experiment
from autoresearch.outline import span
from autoresearch.text import clean_line

OFTEN = 2  # tries of a place that say something together
LONGEST_REASON = 200
MOST_VALUES = 10
MOST_REMARKS = 2


@dataclass(frozen=True, slots=True)
class Worth:
    """One kept change."""

    experiment: Experiment
    gain: float | None  # over the best of its moment
    share: float | None  # of the whole gain, over its parent; None: the best has it not
    runs: int
    confirmed: bool
    pace: str  # such as "12% more tokens" than what it was built on had, in the same time

    @property
    def rests_on(self) -> str:
        """Such as "2, confirmed; 12% more tokens"."""
        sure = "confirmed" if self.confirmed else "not confirmed"
        return f"{self.runs}, {sure}{'; ' * bool(self.pace)}{self.pace}"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in the code that was tried and never kept."""

    name: str
    tries: Sequence[Try]
    values: Sequence[str]  # such as "0.3 (-0.0012)", in order; empty where it is no constant
    gains: str
    why: str  # a sentence or three

    @property
    def came_to(self) -> str:
        """Its gains, or the verdict where none was scored."""
        return self.gains or str(self.tries[-1].experiment.verdict)


@dataclass(frozen=True, slots=True)
class Cause:
    """Experiments that ended without a score for one reason."""

    experiments: Sequence[Experiment]
    happened: str  # such as "crashed"
    reason: str
    where: str  # the places that they touched


def themes_of(view: StudyView) -> Themes:
    """Where each change was made: from its code, or where no code is known from its words."""
    if view.themes:
        return view.themes
    return {each.number: found for each in view.tried if (found := spoken(each.description))}


def worths(view: StudyView) -> list[Worth]:
    """The kept changes in their order. The shares of those in the best add up to the whole."""
    inside = {each.number for each in lineage(view)} if view.gain > 0 else set[int]()
    by_number = {each.number: each for each in view.closed}
    found = []
    for each in view.kept:
        parent = by_number.get(each.parent or 0)
        step = view.as_gain(score_of(each) - score_of(parent)) if parent else 0.0
        share = step / view.gain if each.number in inside else None
        told = throughput.words(throughput.more_tokens(each, parent))
        runs, sure = len(run_scores(each)), is_confirmed(each)
        found.append(Worth(each, gain_of(view, each), share, runs, sure, told))
    return found


def veto_words(each: Experiment) -> str:
    return "vetoed" if each.vetoed else "undone with a vetoed change that it was built on"


def failed_places(view: StudyView) -> list[Place]:
    """Never kept, the most tried first."""
    tried = [each for each in tallies(view, themes_of(view)) if not each.kept]
    return [_place(each) for each in tried if each.name != REWRITE]


def causes(view: StudyView) -> list[Cause]:
    """Of crashes and the like; first what cost a run, the most frequent first."""
    themes = themes_of(view)
    return [_cause(group, themes) for group in troubles(view)]


def _place(tally: Tally) -> Place:
    name = clean_line(tally.name, LONGEST_NAME)
    return Place(name, tally.tries, values(tally.tries), gains(tally.tries), why(tally.tries))


def _cause(group: Sequence[Experiment], themes: Themes) -> Cause:
    names = Counter(name for each in group for name in places(themes, each))
    often = sorted(names, key=lambda name: (-names[name], name))[:3]
    last = group[-1]
    said = "" if last.is_imported else clean_line(shared_reason(group), LONGEST_REASON)
    reason = said or remark(last.description)  # an imported log tells nothing else
    where = ", ".join(clean_line(name, LONGEST_NAME) for name in often)
    return Cause(group, PAST[last.verdict] if last.verdict else "", reason, where)


def values(tries: Sequence[Try]) -> list[str]:
    """Each value that a constant was set to, with the best that came of it, in order."""
    best = best_by_value(tries)
    ordered = sorted(best, key=lambda value: (size(value) is None, size(value) or 0.0, value))
    shown = [f"{clean_line(each, 24)} ({outcome(best[each])})" for each in ordered[:MOST_VALUES]]
    left = len(ordered) - len(shown)
    return [*shown, f"and {left} more"] if left else shown


def outcome(each: Try) -> str:
    """What came of it, and of which other place it may have come."""
    first = f", with {clean_line(each.others[0], LONGEST_NAME)}" if each.others else ""
    more = f" and {len(each.others) - 1} more" if len(each.others) > 1 else ""
    return (str(each.experiment.verdict) if each.gain is None else moved(each.gain)) + first + more


def gains(tries: Sequence[Try]) -> str:
    """Such as "-0.0200 to +0.0010"; empty where none was scored."""
    found = sorted(each.gain for each in tries if each.gain is not None)
    if not found:
        return ""
    low, high = moved(found[0]), moved(found[-1])
    return low if low == high else f"{low} to {high}"


def moved(gain: float) -> str:
    return f"{'-' if gain < 0 else '+'}{size_of(gain)}"


def fared(gain: float) -> str:
    """Such as "was better by 0.0123", "lost 0.00048"."""
    if not gain:
        return "made no difference"
    return f"{'was better by' if gain > 0 else 'lost'} {size_of(gain)}"


def size_of(gain: float) -> str:
    """Two digits of it at least, and four decimals: 0.0123, 0.00048, 0.000028."""
    value = abs(gain)
    decimals = max(4, 1 - floor(log10(value))) if value else 4
    return f"{value:.2g}" if decimals > 8 or value >= 1e6 else f"{value:.{decimals}f}"


# why a place did not pay


def why(tries: Sequence[Try]) -> str:
    """In a sentence or three."""
    stood = [each for each in tries if not each.experiment.is_taken_back]
    parts = (_undone(tries), _broken(stood), _scored(stood), _one_sided(tries), _remarks(tries))
    return " ".join(chain.from_iterable(parts))


def _undone(tries: Sequence[Try]) -> Iterator[str]:
    for each in (one.experiment for one in tries):
        if each.is_taken_back:
            yield f"#{each.number} was kept, then {veto_words(each)}."


def _broken(tries: Sequence[Try]) -> Iterator[str]:
    lost = [each.experiment for each in tries if each.gain is None]
    if not lost:
        return
    often = Counter(str(each.verdict) for each in lost).most_common(1)[0][0]
    alike = [each for each in lost if str(each.verdict) == often]
    last = alike[-1]
    how = PAST[last.verdict] if last.verdict else ""
    reason = "" if last.is_imported else span(last.reason, 100)
    colon = ": " if len({each.reason for each in alike}) == 1 else ", the last: "
    count = "It" if len(tries) == len(lost) == 1 else f"{len(alike)} of {len(tries)}"
    yield f"{count} {how}{f'{colon}{reason}' if reason else ''}."


def _scored(tries: Sequence[Try]) -> Iterator[str]:
    """How the best of them did."""
    scored = [(each.gain, each.experiment) for each in tries if each.gain is not None]
    if not scored:
        return
    gain, best = max(scored, key=lambda pair: (pair[0], -pair[1].number))
    sides = directions([each for each in tries if each.gain is not None])
    if gain > 0:
        yield f"#{best.number} {fared(gain)}, {_objection(best)}."
    elif len(scored) == 1:
        yield f"{'It' if len(tries) == 1 else f'#{best.number}'} {fared(gain)}."
    else:
        none = "Neither larger nor smaller values were" if len(sides) == 2 else "None was"
        yield f"{none} better; the closest, #{best.number}, {fared(gain)}."


def _objection(better: Experiment) -> str:
    """Why the keep rule did not keep it."""
    if "on other text" in better.reason:
        return "but not on other text"
    return "but not on a second seed" if len(run_scores(better)) > 1 else "too little to tell"


def _one_sided(tries: Sequence[Try]) -> Iterator[str]:
    sides = directions(tries)
    if len(sides) == 1 and sum(each.gain is not None for each in tries) >= OFTEN:
        yield f"Only {'larger' if 1 in sides else 'smaller'} values were tried."


def directions(tries: Sequence[Try]) -> set[int]:
    """1 where one made the number larger, -1 where smaller; whatever came of it."""
    found = set()
    for each in tries:
        before, after = size(each.before), size(each.value)
        if before is not None and after is not None and before != after:
            found.add(1 if after > before else -1)
    return found


def _remarks(tries: Sequence[Try]) -> Iterator[str]:
    """What the descriptions themselves say in brackets."""
    found = dict.fromkeys(remark(each.experiment.description) for each in tries)
    words = [span(each, 60) for each in found if each][:MOST_REMARKS]
    if words:
        yield f"Noted: {', '.join(words)}."
