"""`status --watch`: a study followed live, on a screen of its own or, in a pipe, line by line.

It reads and never writes; the engine may end and start again meanwhile. Nothing is read that has
not changed.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from autoresearch.cli.board import PLAIN, Glyphs, board
from autoresearch.cli.screen import QUIT, Screen, key
from autoresearch.cli.status import Status, status_of
from autoresearch.cli.terminal import result_line
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.store import Store
from autoresearch.text import clean_line

APART_SECONDS = 0.5  # between two looks
IDLE_SHARE = 50  # reading that took a second is followed by so many without it


@dataclass(slots=True)
class Follower:
    """Looks again when something has changed."""

    lab: Lab
    store: Store
    tag: str
    program: Program
    _experiments: tuple[Experiment, ...] = ()
    _version: tuple[int, int] = (-1, -1)
    _mark: object = None
    _rest_until: float = 0.0
    _seen: Status | None = field(default=None, init=False)

    def look(self) -> Status:
        mark = (self.store.version, self._file_mark(), self.lab.engine())
        is_behind = mark[0] != self._version and time.monotonic() >= self._rest_until
        if is_behind:
            self._read(mark[0])
        if self._seen is None or is_behind or mark != self._mark:
            self._mark = mark
            self._seen = status_of(self.lab, self.store, self.tag, self.program, self._experiments)
        return self._seen

    def _read(self, version: tuple[int, int]) -> None:
        """The experiments: of a long study that takes a while."""
        began = time.monotonic()
        self._experiments, self._version = self.store.experiments(self.tag), version
        now = time.monotonic()
        self._rest_until = now + IDLE_SHARE * (now - began)

    def _file_mark(self) -> object:
        path: Path = self.lab.study_folder(self.tag) / "now.json"
        try:
            facts = path.stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_ino


def follow(lab: Lab, store: Store, tag: str, program: Program) -> None:
    """Until Ctrl-C or q."""
    follower = Follower(lab, store, tag, program)
    is_screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
    try:
        (on_screen if is_screen else in_lines)(follower)
    except KeyboardInterrupt:
        return


def on_screen(follower: Follower) -> None:
    screen, pressed = Screen(sys.stdout), ""
    is_rich = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    glyphs = Glyphs() if is_rich else PLAIN
    drawn: object = None
    with screen.taken():
        while pressed not in QUIT:
            it = follower.look()
            if it is not drawn or screen.is_stale:
                screen.draw(board(it, *screen.size, glyphs))
                drawn = it
            pressed = key(APART_SECONDS)


def in_lines(follower: Follower) -> None:
    """What happens from now on, a line each."""
    last, said = -1, list[str]()
    while True:
        it = follower.look()
        for each in it.done[last + 1 :] if last >= 0 else it.done[-1:]:
            click.echo(result_line(each).plain)
        last = len(it.done) - 1
        lines = [it.words, *(clean_line(each.text, 400) for each in it.troubles)]
        for line in lines:
            if line not in said:
                click.echo(f"{it.tag}: {line}")
        said = lines
        time.sleep(APART_SECONDS)
