"""One poller for all browsers: looks whether anything has changed, and tells who waits for it.

While nobody looks it does nothing. A look costs one PRAGMA, a try of the lab's lock and a few
stats; tables are read only after somebody has written.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from autoresearch.dashboard.devices import Devices
from autoresearch.dashboard.reader import Reader
from autoresearch.dashboard.state import State, lived, stored
from autoresearch.errors import StudyError
from autoresearch.lab import Lab

POLL_SECONDS = 0.25
BEAT_SECONDS = 10.0  # a line that says nothing: shows both sides that the other one is there

Version = tuple[int, tuple[int, int]]  # of the store: its file, and SQLite's counts of changes
NO_VERSION = (-1, (-1, -1))


class Hub:
    """The studies that somebody looks at, as they are now."""

    def __init__(self, lab: Lab, path: Path) -> None:
        self.lab, self.path = lab, path
        self._file, self.reader = path.stat().st_ino, Reader(path)
        self.devices = Devices()
        self.is_closed = False
        self._states: dict[str, tuple[Version, State]] = {}  # by tag
        self._watchers = Counter[str]()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()  # one look at a time: they share a connection

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            for tag in [tag for tag, count in self._watchers.items() if count > 0]:
                # a study that is gone ends its followers; a disk that fails is asked again
                with suppress(StudyError, sqlite3.Error, OSError):
                    await self.look(tag)
            await asyncio.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Send everybody away: the server ends."""
        self.is_closed = True
        self._changed.set()

    async def look(self, tag: str) -> State:
        """The study as it is now. Raises StudyError when there is none."""
        async with self._turn:
            before = self._states.get(tag, (NO_VERSION, State()))
            try:
                after = await asyncio.to_thread(self._read, tag, *before)
            except StudyError:
                self._states.pop(tag, None)
                self._tell()
                raise
            if after[1] != before[1]:
                self._states[tag] = after
                self._tell()
            else:
                self._states[tag] = (after[0], before[1])
            return self._states[tag][1]

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _read(self, tag: str, version: Version, state: State) -> tuple[Version, State]:
        if (file := self.path.stat().st_ino) != self._file:  # moved away, to start over
            self.reader.close()
            self._file, self.reader = file, Reader(self.path)
        if file != version[0]:
            state = State()
        now = file, self.reader.version
        if now != version:
            state = replace(state, **stored(self.reader, tag, state))
        state = replace(state, **lived(self.lab, tag, state), device=self.devices.sample())
        return now, state

    async def follow(self, tag: str) -> AsyncIterator[State | None]:
        """The study now and after each change; None as a sign of life when there is none.

        Ends when the study is gone or the server closes. Raises StudyError when there is none.
        """
        self._watchers[tag] += 1
        try:
            seen = await self.look(tag)
            yield seen
            while not self.is_closed:
                changed = self._changed
                latest = self._states.get(tag)
                if latest is None:
                    return
                if latest[1] is not seen:
                    seen = latest[1]
                    yield seen
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), BEAT_SECONDS)
                except TimeoutError:
                    yield None
        finally:
            self._watchers[tag] -= 1
