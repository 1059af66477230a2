"""Whether two studies can be compared: what was not the same, or is not known to be.

What is not known of one, as in an imported log, never counts as equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from autoresearch.analysis.view import StudyView
from autoresearch.report.costs import GRAPHICS
from autoresearch.text import plain


class Weight(StrEnum):
    """What a difference does to a comparison."""

    BREAKS = "breaks"  # the scores are of different things
    CAREFUL = "careful"  # the same thing under other circumstances


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same in both, or may not be: a value is None where not known."""

    what: str
    weight: Weight
    values: tuple[str | None, str | None]

    @property
    def is_known(self) -> bool:
        return None not in self.values


@dataclass(frozen=True, slots=True)
class Side:
    """A study to compare. `view` has the themes of the kept changes, and what it was run on."""

    view: StudyView
    locked: Mapping[str, bytes] | None  # the judge's files as it began with them


def differences(first: Side, second: Side) -> list[Difference]:
    """The weightiest first."""
    one, other = first.view, second.view
    found = [
        differ("metric", Weight.BREAKS, one.program.metric, other.program.metric),
        differ("direction", Weight.BREAKS, one.program.direction, other.program.direction),
        differ("training time", Weight.BREAKS, budget(one), budget(other)),
        differ("score command", Weight.BREAKS, command(first), command(second)),
        locked_files(first, second),
        data_files(first, second),
        differ("machine", Weight.CAREFUL, hardware(one), hardware(other)),
        differ("software", Weight.CAREFUL, software(one), software(other)),
        differ("keep rule", Weight.CAREFUL, one.keep_rule, other.keep_rule),
        differ("box", Weight.CAREFUL, tier(one), tier(other)),
    ]
    order = list(Weight)
    return sorted(filter(None, found), key=lambda one: (not one.is_known, order.index(one.weight)))


def differ(what: str, weight: Weight, one: str | None, other: str | None) -> Difference | None:
    """None where they are known to be the same."""
    values = (one or None, other or None)
    return None if one and one == other else Difference(what, weight, values)


def budget(view: StudyView) -> str:
    return f"{view.program.budget_seconds:g} s a run" if view.program.budget_seconds else ""


def command(side: Side) -> str:
    """Of an imported log it is the lab's, and not the one that scored."""
    return "" if side.view.is_imported else " ".join(side.view.program.commands.score)


def locked_files(first: Side, second: Side) -> Difference | None:
    if first.locked is None or second.locked is None:
        one, two = (None if side.locked is None else "known" for side in (first, second))
        return Difference("locked files", Weight.BREAKS, (one, two))
    names_of = sorted(first.locked.keys() | second.locked.keys())
    other = [name for name in names_of if first.locked.get(name) != second.locked.get(name)]
    if not other:
        return None
    words = f"{', '.join(other)} of its own"
    return Difference("locked files", Weight.BREAKS, (words, words))


def data_files(first: Side, second: Side) -> Difference | None:
    """What was trained on. A lab need not tell; then the same locked files make the same data."""
    one, other = (", ".join(side.view.data.values()) for side in (first, second))
    if not one and not other and first.locked is not None and first.locked == second.locked:
        return None
    return differ("data", Weight.BREAKS, one, other)


def hardware(view: StudyView) -> str:
    names = [name for name in GRAPHICS if name in view.machine] or ["processor"]
    return ", ".join(plain(view.machine.get(name, "")) for name in names)


def software(view: StudyView) -> str:
    names = ("python", "torch", "autoresearch")
    return ", ".join(
        f"{name} {plain(view.machine[name])}" for name in names if name in view.machine
    )


def tier(view: StudyView) -> str:
    return f"tier {view.tier}" if view.tier else ""
