"""A full screen of lines in a terminal, of which only those that changed are written again.

It works in the terminal's second buffer, so that leaving shows everything as it was; whatever way
the block ends: Ctrl-C, q, SIGTERM, an error. Nothing here waits, but for a key.
"""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from rich.console import Console
from rich.text import Text

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"  # second buffer, no cursor, clear
LEAVE = "\x1b[?25h\x1b[?1049l"
CLEAR = "\x1b[K"  # to the line's end
QUIT = ("q", "Q", "\x03")


class Screen:
    """Lines on a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._shown, self._size = out, list[str](), (0, 0)
        self._console = Console(file=out, force_terminal=True, highlight=False, markup=False)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of now."""
        try:
            width, height = os.get_terminal_size(self._out.fileno())
        except OSError:
            width, height = 80, 24
        return width or 80, height or 24

    def draw(self, lines: Sequence[Text]) -> None:
        """Show exactly these lines: what stands there already is not written."""
        parts = []
        if self.size != self._size:
            self._size, self._shown = self.size, []
            parts.append("\x1b[2J")
        wanted = [self._encoded(line) for line in lines[: self._size[1]]]
        for row in range(max(len(wanted), len(self._shown))):
            text = wanted[row] if row < len(wanted) else "\x1b[2K"
            if row >= len(self._shown) or self._shown[row] != text:
                parts.append(f"\x1b[{row + 1};1H{text}")
        self._shown = wanted
        self._write("".join(parts))

    @property
    def is_stale(self) -> bool:
        """Whether something else than these lines may be on it."""
        return self._size != self.size

    def _encoded(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True)
        is_full = line.cell_len >= self._size[0]  # erasing would take its last character
        return f"{captured.get()}\x1b[0m{'' if is_full else CLEAR}"

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._out.flush()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the whole terminal for the length of the block."""

        def on_end(number: int, frame: FrameType | None) -> None:
            del frame
            raise SystemExit(128 + number)

        def on_pause(number: int, frame: FrameType | None) -> None:
            """Ctrl-Z: give the terminal back until somebody says `fg`."""
            del frame
            self._write(LEAVE)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._write(ENTER)
            self._size = (0, 0)

        handlers = {
            signal.SIGTERM: on_end, signal.SIGHUP: on_end, signal.SIGTSTP: on_pause,
        }  # fmt: skip
        before = {number: signal.signal(number, each) for number, each in handlers.items()}
        try:
            with quiet_keys():
                self._write(ENTER)
                yield
        finally:
            with suppress(OSError):  # the terminal itself may be gone
                self._write(LEAVE)
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def quiet_keys() -> Iterator[None]:
    """Keys are not shown, and need no Enter; Ctrl-C works as ever."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def key(seconds: float) -> str:
    """The key that is pressed within so many seconds, or ""."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return ""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return ""
    pressed = os.read(sys.stdin.fileno(), 32).decode(errors="replace")
    return pressed or QUIT[0]  # nobody is at the keyboard any more
