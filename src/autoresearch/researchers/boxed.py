"""An agent's program, held in its box and under its caps: the same for every way of talking to it.

    hold = Hold(name, settings, preset.writable())
    argv = hold.at_night(["gemini", "--acp"], desk)

Where there is no box, or none was asked for, the program starts as it is, under the same caps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.box.agentbox import AgentBox, enclose, obstacle
from autoresearch.errors import Failed, Unavailable, UserError
from autoresearch.process import Caps
from autoresearch.researchers.base import Desk
from autoresearch.researchers.settings import Settings

FROZEN = (".git", "history", "program.md")  # of the desk, beside the locked files
DISK_BYTES = 2 * 2**30  # in the desk, and in files without a name
PROCESSES = 512


@dataclass(slots=True)
class Hold:
    """What one agent may see and write, beside its desk."""

    name: str
    settings: Settings
    writable: tuple[Path, ...] = ()  # its configuration folders
    _is_warned: bool = field(default=False, init=False)

    @property
    def unboxed_because(self) -> str:
        """Why no box holds it; "" where one does."""
        return obstacle() if self.settings.boxed else "it was not asked for"

    def around(self, argv: Sequence[str], desk: Desk, *readable: Path) -> list[str]:
        """The command in its box. UserError when its program, or something granted, is gone."""
        if self.unboxed_because:
            return list(argv)
        frozen = tuple(desk.tree / name for name in (*FROZEN, *desk.program.locked))
        granted = (*readable, *self.settings.grants)
        programs = (Path(desk.python),) if desk.python else ()
        box = AgentBox(desk.tree, frozen, self.writable, granted, programs, desk.withheld)
        return enclose(argv, box)

    def at_night(self, argv: Sequence[str], desk: Desk, *readable: Path) -> list[str]:
        """The same before each start; says once that there is no box. Raises Failed, Unavailable.

        What was there in the evening may be gone: an update takes a program away for a moment, and
        an agent without a box can remove the desk that it is to be started in.
        """
        if self.settings.boxed and self.unboxed_because and not self._is_warned:
            why = f"{self.name} runs without a box: {self.unboxed_because}"
            desk.ledger.note("unboxed", why)
            self._is_warned = True
        if desk.tree.is_symlink() or not desk.tree.is_dir():
            raise Failed(f"{self.name} removed its desk")
        try:
            return self.around(argv, desk, *readable)
        except UserError as error:
            raise Unavailable(f"{self.name}: {error}") from error


def caps(tree: Path, seconds: float, log_bytes: int) -> Caps:
    """Of an agent: it may flood the disk by mistake, in a box and without one."""
    return Caps(
        seconds=seconds, log_bytes=log_bytes, processes=PROCESSES,
        disk_bytes=DISK_BYTES, disk_folders=(tree,),
    )  # fmt: skip
