"""A study goes on while its researcher cannot be reached.

    researcher cannot be reached    a stand-in proposes, and the researcher is left alone for a
                                    while that doubles each time, or as long as it asked for
    gives nothing usable 3 times    the same: whoever fails so often costs money for nothing
    no stand-in can help            wait, then ask the researcher once more

So there is neither a stopped night nor a tight loop of failing calls.
"""

import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autoresearch import plain_files
from autoresearch.errors import Failed, Spent, Unavailable
from autoresearch.experiment import Proposal
from autoresearch.lab import remove
from autoresearch.researchers.base import Desk, Researcher, check, is_silent, listens

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 1800.0
PATIENCE = 3  # failures in a row that are still its own affair


@dataclass(slots=True)
class WithFallback:
    """`researcher`, with `stand_in` in its place while it cannot be reached."""

    name: str
    researcher: Researcher
    stand_in: Researcher
    stand_in_name: str = "knobs"
    clock: Callable[[], float] = time.monotonic
    _outages: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _back_at: float = field(default=0.0, init=False)

    @property
    def listens(self) -> bool:
        return listens(self.researcher)

    @property
    def is_silent(self) -> bool:
        return is_silent(self.researcher)

    def check(self, tree: Path) -> list[str]:
        return check(self.researcher, tree)

    def propose(self, desk: Desk) -> Proposal:
        files = remember(desk)
        if self.clock() < self._back_at:
            return self._stand_in_for(desk)
        try:
            proposal = self.researcher.propose(desk)
        except Spent:
            raise
        except Failed as error:
            restore(desk.tree, files)
            return self._cope(desk, error)
        if self._outages or self._failures >= PATIENCE:
            desk.ledger.note("back", f"{self.name} is back")
        self._outages = self._failures = 0
        return proposal

    def _cope(self, desk: Desk, error: Failed) -> Proposal:
        """Another proposal, or the failure itself while that is still the researcher's affair."""
        if not isinstance(error, Unavailable):
            self._failures += 1
            if self._failures < PATIENCE:
                raise error
        pause = self._pause(error)
        self._outages += 1
        self._back_at = self.clock() + pause
        who = "" if self.name in str(error) else f"{self.name}: "
        again = f"{self.stand_in_name} stands in, {self.name} is asked again in {pause:.0f} s"
        desk.ledger.note("unavailable", f"{who}{error}; {again}")
        return self._stand_in_for(desk)

    def _pause(self, error: Failed) -> float:
        asked = error.retry_seconds if isinstance(error, Unavailable) else None
        own = FIRST_PAUSE_SECONDS * 2.0 ** min(self._outages, 10)
        return min(LONGEST_PAUSE_SECONDS, max(asked or 0.0, 1.0) if asked else own)

    def _stand_in_for(self, desk: Desk) -> Proposal:
        try:
            proposal = self.stand_in.propose(desk)
        except Failed as error:
            desk.ledger.note("unavailable", f"{self.stand_in_name} cannot help either: {error}")
            began = self.clock()
            until = min(self._back_at, began + desk.seconds)
            while (now := self.clock()) < until:
                desk.tick()
                time.sleep(min(0.2, until - now))
            words = f"nobody had a proposal for {until - began:.0f} s: {error}"
            raise Failed(words, heard=False) from error
        desk.ledger.note("stand-in", f"{self.stand_in_name} stands in for {self.name}")
        return replace(proposal, by=proposal.by or self.stand_in_name)


def remember(desk: Desk) -> Mapping[str, bytes]:
    """The contract's files as they lie on the desk before anybody touched them."""
    names = (*desk.program.editable, *desk.program.locked)
    return {name: (desk.tree / name).read_bytes() for name in names if (desk.tree / name).exists()}


def restore(tree: Path, files: Mapping[str, bytes]) -> None:
    """Put them back, whatever was made of them: what failed half-way must not help anybody."""
    for name, content in files.items():
        path = tree / name
        for folder in reversed(path.relative_to(tree).parents):
            open_folder(tree / folder)
        if not holds(path, content):
            clear(path)
            path.write_bytes(content)


def open_folder(path: Path) -> None:
    """Make it a folder that can be written, and not a link, which may lead out of the desk."""
    if path.is_symlink() or not path.is_dir():
        clear(path)
        path.mkdir(parents=True)
    path.chmod(path.stat().st_mode | stat.S_IRWXU)


def holds(path: Path, content: bytes) -> bool:
    """Whether it is a plain file that can be read, with this content."""
    try:
        return plain_files.read(path.parent, path.name, len(content)) == content
    except OSError:
        return False


def clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove(path)
    path.unlink(missing_ok=True)
