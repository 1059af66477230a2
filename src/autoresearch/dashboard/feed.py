"""What has changed, as server-sent events. A client that comes back says how far it got.

The id of a message is a cursor: "events seen.experiments closed". A closed experiment never
changes but for the marks of a veto, which are sent whole. So a client that was cut off, or whose
server was started anew, gets exactly what it misses.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from autoresearch.dashboard.hub import Hub
from autoresearch.dashboard.reader import Row
from autoresearch.dashboard.state import State
from autoresearch.dashboard.words import harmless
from autoresearch.store import Event

FIRST_EVENTS = 200  # of the latest, that a page begins with
_CURSOR = re.compile(r"(\d{1,15})\.(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a client got."""

    event: int = 0  # id of the last one
    closed: int = 0  # all experiments below have their verdict, and were sent

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Anything else than a cursor is the beginning."""
        match = _CURSOR.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else cls()

    @classmethod
    def of(cls, state: State) -> "Cursor":
        open_ = (row.number for row in state.rows if row.verdict is None)
        last = state.events[-1].id if state.events else 0
        return cls(last, next(open_, len(state.rows)))

    def __str__(self) -> str:
        return f"{self.event}.{self.closed}"


def whole(state: State) -> dict[str, Any]:
    """Everything, for a page that begins."""
    latest = state.events[-FIRST_EVENTS:]
    begin = Cursor(latest[0].id - 1 if latest else 0)
    return {
        "events": [],
        **changes(state, None, begin),
        "columns": Row._fields[:-2],
        "earlier": len(state.events) - len(latest),
        "cursor": str(Cursor.of(state)),
    }


def changes(state: State, before: State | None, cursor: Cursor) -> dict[str, Any]:
    """What a client must hear that has seen `before`, or got as far as the cursor."""
    found: dict[str, Any] = {}
    if is_anew(state, cursor):
        found["anew"], before, cursor = True, None, Cursor()
    start = 0 if before else cursor.closed
    rows = [row[:-2] for row in state.rows[start:] if is_news(row, before)]
    events = [each for each in state.events if each.id > cursor.event]
    if rows:
        found["rows"] = rows
    if events:
        found["events"] = [event_json(each) for each in events]
    if marks(state) != (before and marks(before)):
        found["vetoed"], found["undone"] = marks(state)
    for name in ("study", "engine", "orders", "studies", "device"):
        part = getattr(state, name)
        if before is None or part is not getattr(before, name):
            found[name] = part
    if curve := curve_json(state, before):
        found["curve"] = curve
    return found


def is_anew(state: State, cursor: Cursor) -> bool:
    """Whether the client knows another study: one that was begun anew since under the same name.
    A closed experiment is never open again, and no event is taken back."""
    heard = state.rows[: cursor.closed]
    last = state.events[-1].id if state.events else 0
    is_other = cursor.closed > len(heard) or cursor.event > last
    return is_other or any(row.verdict is None for row in heard)


def is_news(row: Row, before: State | None) -> bool:
    rows = before.rows if before else ()
    if row.number >= len(rows):
        return True
    known = rows[row.number]
    return known is not row and known[:-2] != row[:-2]


def marks(state: State) -> tuple[list[int], list[int]]:
    """The numbers of the vetoed experiments, and of all that count as undone by that."""
    return (
        [row.number for row in state.rows if row.vetoed],
        [row.number for row in state.rows if row.undone],
    )


def curve_json(state: State, before: State | None) -> dict[str, Any] | None:
    """The curve's new points, and from which place on they stand."""
    now, then = state.curve, before.curve if before else None
    if then is now:
        return None
    is_same = then is not None and (then.experiment, then.life) == (now.experiment, now.life)
    start = len(then.points) if then is not None and is_same else 0
    if is_same and start == len(now.points):
        return None
    return {"experiment": now.experiment, "from": start, "points": now.points[start:]}


def event_json(event: Event) -> dict[str, Any]:
    data = {name: value for name, value in event.data.items() if name != "files"}
    return {"id": event.id, "at": event.at, "kind": event.kind, "data": harmless(data)}


async def stream(hub: Hub, tag: str, cursor: Cursor) -> AsyncIterator[str]:
    """The feed of one browser."""
    yield "retry: 1000\n\n"
    before: State | None = None
    async for state in hub.follow(tag):
        if state is None:
            yield "event: beat\ndata: 1\n\n"
            continue
        news = changes(state, before, cursor)
        before, cursor = state, Cursor.of(state)
        if news:
            text = json.dumps(news, separators=(",", ":"), allow_nan=False)
            yield f"id: {cursor}\ndata: {text}\n\n"
