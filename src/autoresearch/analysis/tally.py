"""What came of touching each place in the code: how often, with which values, for what gain."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment
from autoresearch.keep import amount
from autoresearch.outline import span
from autoresearch.source.change import Theme
from autoresearch.source.literals import evaluate

MOST_THEMES = 6  # of one change; what touches more places is a rewrite
REWRITE = "(many places at once)"
MOST_VALUES = 8  # of one constant
LONGEST_NAME = 60

Themes = Mapping[int, tuple[Theme, ...]]  # of each experiment's change, by its number


@dataclass(frozen=True, slots=True)
class Try:
    """One experiment that touched a place."""

    experiment: Experiment
    gain: float | None
    value: str  # what it set a constant to; "" for any other place
    before: str = ""  # what that was
    others: tuple[str, ...] = ()  # places that it changed as well: the gain is of all together

    @property
    def worth(self) -> float:
        """Its gain; below all others where there is none."""
        return -inf if self.gain is None else self.gain

    @property
    def evidence(self) -> tuple[bool, float]:
        """What orders the tries of one value: its own score goes before one with others."""
        return (self.gain is not None and not self.others, self.worth)

    @property
    def company(self) -> str:
        """Such as " with `DEPTH` and 1 more"; "" for a change of this place alone."""
        if not self.others:
            return ""
        more = f" and {len(self.others) - 1} more" if len(self.others) > 1 else ""
        return f" with {span(self.others[0], LONGEST_NAME)}{more}"


@dataclass(frozen=True, slots=True)
class Tally:
    """Everything that was tried at one place."""

    name: str
    now: str  # the value in the best where it is a constant, as text; "" where it is not known
    tries: Sequence[Try]

    @property
    def kept(self) -> int:
        return sum(each.experiment.is_kept for each in self.tries)

    @property
    def title(self) -> str:
        return span(self.name, LONGEST_NAME)

    @property
    def gains(self) -> str:
        """Such as "gains -0.02 to +0.01 alone": of changes of nothing else, where there are any."""
        scored = [each for each in self.tries if each.gain is not None]
        if not scored:
            return "none scored"
        alone = [each for each in scored if not each.others]
        gains = [each.worth for each in alone or scored]
        low, high = signed(min(gains)), signed(max(gains))
        how = "" if len(alone) == len(scored) else " alone" if alone else " with other places"
        return (f"gain {low}" if low == high else f"gains {low} to {high}") + how

    @property
    def text(self) -> str:
        """Such as "`X`, now 3.0: 8 tried, 1 kept, gains -0.02 to +0.01; values ..."."""
        now = f", now {self.now}" if self.now else ""
        if len(self.tries) == 1:
            once = self.tries[0]
            what = value_text(once.value) if once.value else described(once.experiment, 80)
            return (
                f"{self.title}{now}: tried once, #{once.experiment.number} {what} {_outcome(once)}"
            )
        kept = f", {self.kept} kept" if self.kept else ""
        return f"{self.title}{now}: {len(self.tries)} tried{kept}, {self.gains}{self._what}"

    @property
    def _what(self) -> str:
        """The values that were tried; where it is no constant, what went best."""
        if values := values_text(self.tries):
            return f"; values {values}"
        scored = [each for each in self.tries if each.gain is not None]
        if not scored:
            return ""
        best = max(scored, key=lambda each: (each.evidence, -each.experiment.number)).experiment
        return f"; best #{best.number} {described(best, 80)}"


def tallies(view: StudyView, themes: Themes) -> list[Tally]:
    """One for each place that was touched, the most tried first."""
    tried: dict[str, list[Try]] = defaultdict(list)
    for each in view.tried:
        moves = {theme.name: (theme.after, theme.before) for theme in themes.get(each.number, ())}
        names = places(themes, each)
        for name in names:
            others = tuple(other for other in names if other != name)
            move = moves.get(name, ("", ""))
            tried[name].append(Try(each, gain_of(view, each), *move, others))
    values = values_now(view, themes)
    now = {name: resolved_text(value, name, view.best) for name, value in values.items() if value}
    found = [Tally(name, now.get(name, ""), tries) for name, tries in tried.items()]
    return sorted(found, key=lambda tally: (-len(tally.tries), tally.name))


def lineage(view: StudyView) -> list[Experiment]:
    """The kept changes that the best consists of, the first one first."""
    by_number = {each.number: each for each in view.closed}
    found, each = list[Experiment](), view.best
    while each is not None and each.parent is not None and each.parent < each.number:
        found.append(each)
        each = by_number.get(each.parent)
    return found[::-1]


def values_now(view: StudyView, themes: Themes) -> dict[str, str]:
    """The best's value of each constant that was ever touched."""
    now: dict[str, str] = {}
    for each in view.tried:  # until it was first changed, it was what it is in the baseline
        for theme in themes.get(each.number, ()):
            now.setdefault(theme.name, theme.before)
    for each in lineage(view):
        now |= {theme.name: theme.after for theme in themes.get(each.number, ())}
    return now


def best_by_value(tries: Iterable[Try]) -> dict[str, Try]:
    """Of each value that a constant was set to, the try that gave most; the first of equals.

    One that changed nothing else goes before: what a joint change gave is not the constant's own.
    """
    best: dict[str, Try] = {}
    for each in tries:
        if each.value and (each.value not in best or each.evidence > best[each.value].evidence):
            best[each.value] = each
    return best


def values_text(tries: Iterable[Try]) -> str:
    """Each value with the best that it gave; of many the best ones and both ends, in order."""
    best = best_by_value(tries)
    ordered = sorted(best, key=_order)
    ends = (ordered[:1], ordered[-1:])
    chosen = sorted(best, key=lambda value: ([value] not in ends, -best[value].worth, value))
    shown = sorted(chosen[:MOST_VALUES], key=_order)
    left = f" and {len(best) - len(shown)} more" if len(best) > len(shown) else ""
    return ", ".join(f"{value_text(value)} {_outcome(best[value])}" for value in shown) + left


def value_text(value: str) -> str:
    """A constant's value; a number needs no quotation."""
    return value if isfinite(_order(value)[0]) else span(value, 24)


def resolved_text(value: str, name: str, each: Experiment | None) -> str:
    """A constant's value in an experiment; of `None` what that came to in its run, too."""
    found = each.resolved.get(name) if each and value == "None" else None
    return value_text(value) if found is None else f"None ({value_text(repr(found))})"


def places(themes: Themes, each: Experiment) -> tuple[str, ...]:
    """Where an experiment's change was made."""
    names = tuple(theme.name for theme in themes.get(each.number, ()))
    return names if len(names) <= MOST_THEMES else (REWRITE,)


def gain_of(view: StudyView, each: Experiment) -> float | None:
    """By how much it was better than the best of its moment, whatever the direction."""
    return view.as_gain(each.delta) if each.delta is not None and isfinite(each.delta) else None


def signed(gain: float) -> str:
    return f"{'-' if gain < 0 else '+'}{amount(abs(gain))}"


def described(each: Experiment, limit: int) -> str:
    return span(each.description, limit) or "(no description)"


def _outcome(each: Try) -> str:
    if each.gain is None:
        return f"{each.experiment.verdict}{each.company}"
    if each.experiment.undone:
        return f"{signed(each.gain)} {each.experiment.standing}{each.company}"
    return f"{signed(each.gain)}{' kept' if each.experiment.is_kept else ''}{each.company}"


def _order(value: str) -> tuple[float, str]:
    """Numbers by size, then everything else."""
    try:
        number = evaluate(value)
    except ValueError:
        return inf, value
    return (inf if isinstance(number, str | bool) else float(number)), value
