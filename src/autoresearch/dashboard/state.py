"""All that the page shows of a study at one moment. Facts: a later moment is another object."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoresearch.budget import StudyLimits
from autoresearch.dashboard.live import Curve, follow, read_now
from autoresearch.dashboard.reader import Reader, Row
from autoresearch.dashboard.words import harmless
from autoresearch.experiment import Usage
from autoresearch.lab import Lab
from autoresearch.ledger import UNTOLD, used_by
from autoresearch.program import Program
from autoresearch.steering.orders import DEAF
from autoresearch.steering.state import Steering, Words, at_work, read
from autoresearch.store import Event, StudyRow


@dataclass(frozen=True, slots=True)
class State:
    """Parts that have not changed since the state before are the same objects."""

    rows: tuple[Row, ...] = ()
    events: tuple[Event, ...] = ()
    study: Mapping[str, Any] = field(default_factory=dict)  # contract, limits, what is used
    engine: Mapping[str, Any] = field(default_factory=dict)  # running?, now.json
    steering: Steering = field(default_factory=Steering)
    orders: Mapping[str, Any] = field(default_factory=dict)  # the same for the page
    studies: Sequence[Mapping[str, Any]] = ()
    curve: Curve = field(default_factory=Curve)
    device: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> Row | None:
        """The experiment that has no verdict yet."""
        return next((row for row in reversed(self.rows) if row.verdict is None), None)


def stored(reader: Reader, tag: str, before: State) -> dict[str, Any]:
    """The parts of a state that the store tells. Raises StudyError when there is no such study."""
    row = reader.study(tag)
    last = before.events[-1].id if before.events else 0
    more = reader.events(tag, after=last)
    events, orders = (*before.events, *more), read(more, before.steering)
    rows = reader.rows(tag, before.rows)
    found = {
        "rows": rows,
        "events": events,
        "steering": orders,
        "study": study_facts(row, rows, events, orders, reader),
        "orders": order_facts(orders, rows),
        "studies": [{"tag": tag, "experiments": max(0, n - 1)} for tag, n in reader.studies()],
    }
    return {name: same_or(getattr(before, name), value) for name, value in found.items()}


def lived(lab: Lab, tag: str, before: State) -> dict[str, Any]:
    """The parts that the study's folder and the lab's lock tell."""
    folder, current = lab.study_folder(tag), before.open
    engine = engine_facts(lab, before.steering, folder)
    curve = follow(before.curve, folder, current.number if current else None)
    return {"engine": same_or(before.engine, engine), "curve": curve}


def same_or(before: Any, now: Any) -> Any:
    return before if before == now else now


# the parts


def study_facts(
    row: StudyRow, rows: Sequence[Row], events: Sequence[Event], orders: Steering, reader: Reader
) -> dict[str, Any]:
    program = Program.from_contract(row.contract)
    noise = reader.noise(row.tag)
    facts = {
        "tag": row.tag,
        "created_at": row.created_at,
        "researcher": row.researcher,
        "keep_rule": row.keep_rule,
        "seed": row.seed,
        "metric": program.metric,
        "lower": program.is_lower,
        "budget_seconds": program.budget_seconds,
        "editable": program.editable,
        "locked": program.locked,
        "machine": dict(row.machine),
        "noise": noise.sd if noise.degrees else None,
        "limits": limits(program, orders),
        "used": used(rows, events, used_by(reader, row.tag)),
    }
    found: dict[str, Any] = harmless(facts)
    return found


def limits(program: Program, orders: Steering) -> dict[str, float | None]:
    """What the study may use in all: as its engine began, and what the person added since."""
    return asdict(orders.extended(orders.given or StudyLimits.of(program)))


def used(rows: Sequence[Row], events: Sequence[Event], usage: Usage) -> dict[str, Any]:
    closed = [row for row in rows if row.verdict is not None]
    idle = (float(each.data.get("seconds") or 0) for each in events if each.kind == "waited")
    facts = {
        "experiments": max(0, len(closed) - 1),
        "seconds": round(sum(row.seconds or 0.0 for row in closed) + sum(idle), 1),
        "tokens": usage.tokens,
        "cost_usd": usage.cost_usd,
    }
    untold = [UNTOLD[each.kind] for each in events if each.kind in UNTOLD]
    return {**facts, "untold": sorted(set(untold))}


def order_facts(orders: Steering, rows: Sequence[Row] = ()) -> dict[str, Any]:
    """What the person wants and is still to come, and what is the matter."""
    closed = {row.number for row in rows if row.verdict is not None}
    scores = [row.finished for row in rows if row.score is not None and row.finished is not None]
    scored_at = datetime.fromtimestamp(max(scores), UTC).isoformat() if scores else None
    found: dict[str, Any] = harmless(
        {
            "paused": orders.paused,
            "stopping": orders.stopping,
            "skips": sorted(orders.skips),
            "notes": [words_json(each) for each in orders.notes],
            "ideas": [words_json(each) for each in orders.ideas if each.taken not in closed],
            "deaf": orders.researcher if orders.researcher in DEAF else "",
            "extensions": sorted(orders.extensions or ()),
            "troubles": [words_json(each) for each in orders.lasting(scored_at)],
        }
    )
    return found


def words_json(words: Words) -> dict[str, Any]:
    facts = {"id": words.id, "at": words.at, "text": words.text, "taken": words.taken}
    return {**facts, "exact": words.is_exact}


def engine_facts(lab: Lab, orders: Steering, folder: Path) -> dict[str, Any]:
    """Whether an engine is at work in the lab, on this study, and what it says that it does; or
    when one was last seen that was killed."""
    pid, now = lab.engine(), read_now(folder)
    is_here = pid is not None and (at_work(lab, orders) or now.get("pid") == pid)
    return {
        "is_running": is_here,
        "elsewhere": pid is not None and not is_here,
        "now": now if is_here else {},
        "died": pid is None and orders.pid is not None,
        "seen": None if is_here else seen_at(folder),
    }


def seen_at(folder: Path) -> int | None:
    """When an engine last wrote what it does: one that ended takes that away."""
    try:
        return int((folder / "now.json").stat().st_mtime)
    except OSError:
        return None
