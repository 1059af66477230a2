"""The engine's end of steering: the person's orders as the loop asks for them.

A person stops a study by a signal (Stop) or by an order in the store (see state.py). The store
is asked a few times a second whether anybody has written to it, which costs next to nothing.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoresearch.errors import Skipped, Stopped
from autoresearch.steering.state import CARRIED, KINDS, TAKEN, Steering, Words, read
from autoresearch.store import OVER, STARTED, Store

POLL_SECONDS = 0.2


@dataclass(slots=True)
class Stop:
    """The person's wish by signal: after this experiment, or now."""

    after_this: bool = False
    now: bool = False

    def tick(self) -> None:
        if self.now:
            raise Stopped


@dataclass(slots=True)
class Inbox:
    """How one study is steered."""

    store: Store
    tag: str
    stop: Stop
    _state: Steering = field(default_factory=Steering)
    _last: int = 0  # event that was read
    _version: tuple[int, int] = (-1, -1)
    _polled: float = 0.0
    _heard: list[tuple[str, dict[str, int]]] = field(default_factory=list)

    @property
    def state(self) -> Steering:
        """As of now."""
        version = self.store.version
        if version != self._version:
            events = self.store.events(self.tag, after=self._last, kinds=KINDS)
            self._state = read(events, self._state)
            self._last = events[-1].id if events else self._last
            self._version = version
        return self._state

    @property
    def is_stopping(self) -> bool:
        return self.stop.after_this or self.state.stopping

    def tick(self, number: int | None = None, idea: Words | None = None) -> None:
        """Raises Stopped, and Skipped where the person wants experiment `number` no more."""
        self.stop.tick()
        if time.monotonic() - self._polled < POLL_SECONDS:
            return
        if number is not None and (why := self.unwanted(number, idea)):
            raise Skipped(why)
        self._polled = time.monotonic()

    def unwanted(self, number: int, idea: Words | None = None) -> str:
        """Why the person does not want the running experiment to go on, or ""."""
        if number in self.state.skips:
            return "skipped by the person"
        if self.store.is_undone(self.tag, number):
            return "built on a change that the person has vetoed"
        if idea is not None and all(each.id != idea.id for each in self.state.ideas):
            return "its idea was withdrawn by the person"
        return ""

    def begin(self, limits: Mapping[str, Any], researcher: str) -> None:
        """An engine is at work from now on, with these limits; {}: those before still stand."""
        self.store.event(self.tag, STARTED, pid=os.getpid(), researcher=researcher, **limits)

    def end(self, why: str) -> None:
        self.store.event(self.tag, OVER, why=why)

    def idea(self, listens: bool) -> Words | None:
        """The first idea that waits and can be tried by whoever proposes."""
        waiting = (each for each in self.state.ideas if each.taken is None)
        return next((each for each in waiting if listens or each.is_exact), None)

    def hears(self, notes: tuple[Words, ...], idea: Words | None, number: int) -> None:
        """Somebody has read these words for experiment `number`: see answer()."""
        self._heard = [(CARRIED, {"note": each.id, "experiment": number}) for each in notes]
        if idea is not None:
            self._heard.append((TAKEN, {"idea": idea.id, "experiment": number}))

    def answer(self) -> None:
        """Write down what was heard, in the transaction that records what came of it: a kill at
        any moment neither loses the person's words nor has them said twice."""
        heard, self._heard = self._heard, []
        for kind, data in heard:
            self.store.event(self.tag, kind, **data)
