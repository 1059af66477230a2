"""A study at a glance: how it stands, what it does now, what waits, and what is left of its budget.

For `status`, its live view and `status --json`, whose keys are stable (docs/cli.md).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autoresearch.activity import HELD, PROPOSING, SCORING, TRAINING, WAITING, seen
from autoresearch.budget import used_of
from autoresearch.experiment import Experiment, Usage, incumbent, weakest_tier
from autoresearch.lab import Lab
from autoresearch.ledger import untold, used_by, waited
from autoresearch.program import Program
from autoresearch.steering.state import DIMENSIONS, Steering, Words, at_work, is_busy, steering_of
from autoresearch.store import Store
from autoresearch.text import clean_line


@dataclass(frozen=True, slots=True)
class Limit:
    """One of the study's limits. `limit` is with what a person has added."""

    name: str  # of StudyLimits's fields
    limit: float
    added: float
    used: float | None  # None: somebody did not tell

    @property
    def left(self) -> float | None:
        return None if self.used is None else max(0.0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Status:
    """Everything of one moment."""

    tag: str
    program: Program
    experiments: tuple[Experiment, ...]
    state: Steering
    used: Usage
    waited_seconds: float
    is_busy: bool  # whether an engine works on it
    now: Mapping[str, Any]  # what that does, as activity.py wrote it; {} where it is not known
    untold: frozenset[str] = frozenset()  # of the limits, those of which nobody knows what is left

    @property
    def is_imported(self) -> bool:
        """Read from a log: it does nothing, and says nothing of times and tokens."""
        return bool(self.experiments) and self.experiments[0].is_imported

    @property
    def done(self) -> tuple[Experiment, ...]:
        return tuple(each for each in self.experiments if not each.is_open)

    @property
    def current(self) -> Experiment | None:
        return next((each for each in self.experiments if each.is_open), None)

    @property
    def baseline(self) -> Experiment | None:
        first = self.done[0] if self.done else None
        return first if first is not None and first.number == 0 else None

    @property
    def best(self) -> Experiment | None:
        return incumbent(self.experiments, lower=self.program.is_lower)

    @property
    def gain(self) -> float | None:
        """By how much the best beats the baseline: more is better, whatever the direction."""
        if not (self.baseline and self.best):
            return None
        first, best = self.baseline.score, self.best.score
        if first is None or best is None:
            return None
        return first - best if self.program.is_lower else best - first

    @property
    def seconds(self) -> float:
        """Of all finished experiments."""
        return sum(each.seconds or 0.0 for each in self.done)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Those that the last engine began with."""
        used = used_of(self.experiments, self.used, self.waited_seconds)
        added, found = self.state.added, []
        for name in DIMENSIONS:
            if (given := getattr(self.state.given, name, None)) is not None:
                more = added.get(name, 0)
                known = None if name in self.untold else used[name]
                found.append(Limit(name, given + more, more, known))
        return tuple(found)

    @property
    def troubles(self) -> tuple[Words, ...]:
        """What is the matter at this moment, while an engine works."""
        scores = [each.finished_at for each in self.done if each.score is not None]
        return self.state.lasting(scores[-1] if scores else None) if self.is_busy else ()

    @property
    def notes(self) -> tuple[Words, ...]:
        return self.state.notes

    @property
    def ideas(self) -> tuple[Words, ...]:
        """Those that wait."""
        return tuple(each for each in self.state.ideas if each.taken is None)

    @property
    def words(self) -> str:
        """What it does, for a person."""
        if not self.is_busy:
            return self._words_at_rest()
        number = self.now.get("experiment")
        what = WORDS.get(str(self.now.get("phase")), "beginning").format(number=number)
        if self.state.stopping:
            return f"{what}; stopping after that"
        if self.state.paused and self.now.get("phase") != HELD:
            return f"{what}; pausing after that"
        return what

    def _words_at_rest(self) -> str:
        if self.is_imported:
            return "imported from a log"
        paused = "; paused, so that a run waits for `autoresearch resume`"
        if self.state.pid is not None:
            words = "not running: its engine was killed; run it again to go on"
        else:
            why = clean_line(self.state.over, 200)
            words = f"not running: {why}" if why else "not running"
        return words + (paused if self.state.paused else "")

    def running_best(self) -> list[float]:
        """The best score after each finished experiment, as a gain over the baseline."""
        sign, best, found = (-1 if self.program.is_lower else 1), -math.inf, []
        first = self.baseline.score if self.baseline else None
        if first is None:
            return []
        for each in self.done:
            if each.is_kept and each.score is not None:
                best = max(best, sign * (each.score - first))
            found.append(best)
        return found


WORDS = {  # of each phase
    PROPOSING: "proposing #{number}",
    TRAINING: "training #{number}",
    SCORING: "scoring #{number}",
    WAITING: "waiting, after failures or for room on the disk",
    HELD: "paused; go on with `autoresearch resume`",
}


def status_of(
    lab: Lab, store: Store, tag: str, program: Program, experiments: tuple[Experiment, ...]
) -> Status:
    state = steering_of(store, tag)
    now = doing(lab, tag, state)
    used, idle = used_by(store, tag), waited(store, tag)
    busy, unknown = is_busy(lab, store, tag), untold(store, tag)
    return Status(tag, program, experiments, state, used, idle, busy, now, unknown)


def doing(lab: Lab, tag: str, state: Steering) -> Mapping[str, Any]:
    """What the engine at work wrote last; {} where none works, or another one wrote it."""
    now = seen(lab.study_folder(tag))
    return now if at_work(lab, state) and now.get("pid") == state.pid else {}


def status_json(it: Status) -> dict[str, Any]:
    """A study at a glance. Every key is always there; what is not known is null."""
    best, first, current = it.best, it.baseline, it.current
    verdicts = [each.verdict.value for each in it.done if each.verdict and each.number > 0]
    return {
        "tag": it.tag,
        "imported": it.is_imported,
        "running": it.is_busy,
        "state": it.words,
        "metric": it.program.metric,
        "direction": it.program.direction,
        "budget_seconds": it.program.budget_seconds or None,
        "experiments": max(0, len(it.done) - 1),
        "verdicts": {name: verdicts.count(name) for name in sorted(set(verdicts))},
        "undone": sum(each.is_taken_back for each in it.done),
        "baseline": first.score if first else None,
        "best": best.score if best else None,
        "best_number": best.number if best else None,
        "best_commit": best.commit if best else None,
        "gain": it.gain,
        "tier": weakest_tier(it.done),
        "seconds": None if it.is_imported else it.seconds,
        "waited_seconds": None if it.is_imported else it.waited_seconds,
        "input_tokens": None if it.is_imported else it.used.input_tokens,
        "output_tokens": None if it.is_imported else it.used.output_tokens,
        "cached_tokens": None if it.is_imported else it.used.cached_tokens,
        "cost_usd": it.used.cost_usd,
        "current": current.number if current else None,
        "current_description": current.description if current else None,
        "now": dict(it.now) or None,
        "troubles": [clean_line(each.text, 400) for each in it.troubles],
        "paused": it.state.paused,
        "stopping": it.state.stopping,
        "notes": [words_json(each) for each in it.notes],
        "ideas": [words_json(each) for each in it.ideas],
        "limits": dict.fromkeys(DIMENSIONS) | {each.name: limit_json(each) for each in it.limits},
    }


def limit_json(limit: Limit) -> dict[str, Any]:
    return {**asdict(limit), "left": limit.left}


def words_json(words: Words) -> dict[str, Any]:
    """A note or an idea that waits."""
    return {"id": words.id, "at": words.at, "text": words.text, "exact": words.is_exact}
