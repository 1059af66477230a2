"""The engine's end of steering: the person's orders as the loop asks for them.

A person stops a study by a signal (Stop) or by an order in the store (see steering.py). The store
is asked a few times a second whether anybody has written to it, which costs next to nothing.
"""

import os
import time
from dataclasses import asdict, dataclass, field

from autoresearch.budget import Budget
from autoresearch.errors import Skipped, Stopped
from autoresearch.steering import CARRIED, KINDS, TAKEN, Steering, Words, read
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
class Helm:
    """How one study is steered."""

    store: Store
    tag: str
    stop: Stop
    _state: Steering = field(default_factory=Steering)
    _last: int = 0  # event that was read
    _version: tuple[int, int] = (-1, -1)
    _polled: float = 0.0

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

    def tick(self, number: int | None = None) -> None:
        """Raises Stopped, and Skipped where the person skips experiment `number`."""
        self.stop.tick()
        if time.monotonic() - self._polled < POLL_SECONDS:
            return
        if number in self.state.skips:
            raise Skipped("skipped by the person")
        self._polled = time.monotonic()

    def begin(self, budget: Budget, researcher: str) -> None:
        """An engine is at work from now on, with these limits."""
        limits = asdict(budget)
        self.store.event(self.tag, STARTED, pid=os.getpid(), researcher=researcher, **limits)

    def end(self, why: str) -> None:
        self.store.event(self.tag, OVER, why=why)

    def idea(self, number: int, listens: bool) -> Words | None:
        """The idea that experiment `number` is to try: the one that it has taken before it was
        interrupted, or the first that waits and can be tried by whoever proposes."""
        ideas = self.state.ideas
        mine = next((each for each in ideas if each.taken == number), None)
        waiting = (each for each in ideas if each.taken is None and (listens or each.is_exact))
        return mine or next(waiting, None)

    def taken(self, idea: Words, number: int) -> None:
        if idea.taken != number:
            self.store.event(self.tag, TAKEN, idea=idea.id, experiment=number)

    def carried(self, notes: tuple[Words, ...], number: int) -> None:
        for each in notes:
            self.store.event(self.tag, CARRIED, note=each.id, experiment=number)
