"""What the person wants of a study: orders, each an event in the store, and what follows from them.

    read(events)     events -> Steering: paused, stopping, notes and ideas that wait, ...

Nothing else passes between a person and an engine: an order may come from any terminal or browser,
before the engine starts, while it works or after it died. `orders.py` checks and writes them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from autoresearch.budget import StudyLimits
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.source.constants import assignments
from autoresearch.store import OVER, STARTED, TROUBLE, Event, Store

ORDERS = (
    *("pause", "resume", "stop", "skip", "veto", "restore"),
    *("note", "idea", "withdraw", "extend"),
)
CARRIED, TAKEN, PAUSED = "carried", "taken", "paused"  # what engines say of orders
LIMITED = "limits"  # a study has begun with these
UNAVAILABLE, BACK = "unavailable", "back"  # what a researcher's watch says of it
KINDS = (*ORDERS, CARRIED, TAKEN, LIMITED, STARTED, OVER, TROUBLE, UNAVAILABLE, BACK)
DIMENSIONS = tuple(each.name for each in fields(StudyLimits))


@dataclass(frozen=True, slots=True)
class Words:
    """A note or an idea that waits to be heard."""

    id: int  # of its event
    at: str
    text: str
    files: Mapping[str, str] | None = None  # the idea is exactly this edit ...
    onto: int | None = None  # ... of this experiment's files
    taken: int | None = None  # the experiment that is, or was, made of it

    @property
    def is_exact(self) -> bool:
        """Whether it needs nobody to think: an edit, or values of constants."""
        return self.files is not None or bool(assignments(self.text))


@dataclass(frozen=True, slots=True)
class Steering:
    """Where the orders of a study have led so far."""

    paused: bool = False
    stopping: bool = False
    skips: frozenset[int] = frozenset()
    notes: tuple[Words, ...] = ()  # that no proposal has carried yet
    ideas: tuple[Words, ...] = ()  # whose experiment has not begun, or is not over
    given: StudyLimits | None = None  # the limits that the last engine began with
    written: StudyLimits | None = None  # what program.md said of them then
    extensions: Mapping[int, Mapping[str, float]] | None = None  # of them since, by their ids
    researcher: str = ""  # of the last engine
    troubles: Mapping[str, Words] | None = None  # by what is the matter; see `lasting`
    pid: int | None = None  # of the engine that is at work, unless it was killed
    over: str = ""  # why the last engine ended; "" while it works, or was killed

    @property
    def added(self) -> Mapping[str, float]:
        """To each limit, by all extensions that stand."""
        found: dict[str, float] = {}
        for amounts in (self.extensions or {}).values():
            for name, amount in amounts.items():
                found[name] = found.get(name, 0) + amount
        return found

    def lasting(self, scored_at: str | None) -> tuple[Words, ...]:
        """The troubles that are not over; `scored_at` is when the last score came."""
        found = (self.troubles or {}).items()
        return tuple(
            each
            for what, each in found
            if what == UNAVAILABLE or scored_at is None or each.at > scored_at
        )

    def extended(self, limits: StudyLimits) -> StudyLimits:
        """The limits that the last engine began with, and what the person added to them."""
        added = self.added
        more = {
            name: type(limit)(limit + added.get(name, 0))
            for name in DIMENSIONS
            if (limit := getattr(limits, name)) is not None
        }
        return replace(limits, **more)


def read(events: Iterable[Event], start: Steering | None = None) -> Steering:
    """What follows from the orders and the engines' answers, oldest first."""
    state = start or Steering()
    for each in events:
        if each.key is not None and each.kind in ORDERS:
            state = _ordered(state, each)
        elif each.key is None and each.kind in KINDS:
            state = _answered(state, each)
    return state


def _ordered(state: Steering, event: Event) -> Steering:
    change: dict[str, Any] = {}  # veto and restore stand with the experiments
    data, words = event.data, Words(event.id, event.at, event.data.get("text", ""))
    match event.kind:
        case "pause" | "resume":
            change = {"paused": event.kind == "pause"}
        case "stop":
            change = {"stopping": True}
        case "skip":
            change = {"skips": state.skips | {data["experiment"]}}
        case "note":
            change = {"notes": (*state.notes, words)}
        case "idea":
            words = replace(words, files=data.get("files"), onto=data.get("onto"))
            change = {"ideas": (*state.ideas, words)}
        case "withdraw":
            notes, ideas = (_without(each, data["id"]) for each in (state.notes, state.ideas))
            change = {
                "notes": notes,
                "ideas": ideas,
                "extensions": _but(state.extensions, data["id"]),
            }
        case "extend":
            change = {"extensions": {**(state.extensions or {}), event.id: dict(data)}}
    return replace(state, **change)


def _answered(state: Steering, event: Event) -> Steering:
    data = event.data
    if event.kind == STARTED:
        state = replace(state, stopping=False, pid=data.get("pid"), over="", troubles=None)
        if DIMENSIONS[0] in data:  # no `try`
            state = replace(state, researcher=str(data.get("researcher", "")))
    if event.kind in (STARTED, LIMITED):
        return _limited(state, data) if DIMENSIONS[0] in data else state
    if event.kind == OVER:
        why = str(data.get("why", ""))
        return replace(state, pid=None, stopping=False, over=why, troubles=None)
    if event.kind in (TROUBLE, UNAVAILABLE, BACK):
        return replace(state, troubles=_troubled(state.troubles or {}, event))
    if event.kind == CARRIED:
        return replace(state, notes=_without(state.notes, data["note"]))
    if event.kind == TAKEN:
        ideas = tuple(
            replace(each, taken=data["experiment"]) if each.id == data["idea"] else each
            for each in state.ideas
            if each.taken is None or each.id == data["idea"]  # an earlier one is over
        )
        return replace(state, ideas=ideas)
    return state


def _troubled(troubles: Mapping[str, Words], event: Event) -> Mapping[str, Words] | None:
    """With this one, since it began; without the outage that is over."""
    if event.kind == BACK:
        return _but(troubles, UNAVAILABLE)
    what = str(event.data.get("what") or event.kind)
    words = Words(event.id, event.at, str(event.data.get("text", "")))
    if what == UNAVAILABLE and what in troubles:
        words = replace(words, at=troubles[what].at)
    return {**troubles, what: words}


def _but(known: Mapping[Any, Any] | None, key: object) -> dict[Any, Any] | None:
    return {name: value for name, value in (known or {}).items() if name != key} or None


def _limited(state: Steering, data: Mapping[str, Any]) -> Steering:
    """A new limit stands for itself: what was added to another one is past."""
    limits = StudyLimits(*(data.get(name) for name in DIMENSIONS))
    before = state.given or limits
    same = {name for name in DIMENSIONS if getattr(before, name) == getattr(limits, name)}
    stand = {
        number: left
        for number, amounts in (state.extensions or {}).items()
        if (left := {name: amount for name, amount in amounts.items() if name in same})
    }
    written = StudyLimits(**data["written"]) if "written" in data else None
    return replace(state, given=limits, written=written, extensions=stand or None)


def _without(words: tuple[Words, ...], number: int) -> tuple[Words, ...]:
    return tuple(each for each in words if each.id != number)


def steering_of(store: Store, tag: str) -> Steering:
    """How the orders of a study stand now."""
    return read(store.events(tag, kinds=KINDS))


def limits_event(limits: StudyLimits, program: Program) -> dict[str, Any]:
    """What an event says of the limits from now on."""
    return {**asdict(limits), "written": asdict(StudyLimits.of(program))}


def resumed(state: Steering, program: Program, wishes: Mapping[str, float | None]) -> StudyLimits:
    """The limits of an engine that would begin now, each as the person wishes it, or else as
    program.md has it where that has changed, or else as it was for the last engine."""
    now = StudyLimits.of(program)
    given, written = state.given or now, state.written or now
    changed = {
        name: limit for name, limit in asdict(now).items() if getattr(written, name) != limit
    }
    return replace(given, **{**changed, **wishes})


def in_force(state: Steering, limits: StudyLimits) -> StudyLimits:
    """The limits of an engine that would begin with these now: what was added still counts
    where the limit is the same as before."""
    return _limited(state, asdict(limits)).extended(limits)


def at_work(lab: Lab, state: Steering) -> bool:
    """Whether an engine works on this study, and not on another one of the lab."""
    return state.pid is not None and lab.engine() == state.pid


def is_busy(lab: Lab, store: Store, tag: str) -> bool:
    """Whether an engine works on this study, or prepares to: on the last one, if on no other."""
    pid, tags = lab.engine(), store.tags()
    if pid is None:
        return False
    working = [each for each in tags if steering_of(store, each).pid == pid]
    return tag in (working or tags[-1:])
