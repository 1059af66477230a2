"""A command of the person's that is told when something happens: `run --notify "cmd"`.

The facts are in its environment (AUTORESEARCH_EVENT, _TAG, _TEXT, ...) and, as one line of JSON,
on its standard input. No shell is involved but one that the person's words start themselves, and
then the facts are still variables and no part of its script. It runs beside the study, one at a
time, and can neither hold it up nor end it.
"""

import json
import math
import os
import queue
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.errors import UserError
from autoresearch.text import clean_line

SECONDS = 30.0  # for one command
SLACK_SECONDS = 5.0  # until one that was killed is gone
MOST_WAITING = 20  # more at a time are not said
TAIL_BYTES = 2**14  # of what it prints
Facts = Mapping[str, str | float | int | None]


def check(words: tuple[str, ...]) -> None:
    """Raises UserError when there is no such program."""
    if words and shutil.which(words[0]) is None:
        raise UserError(
            f"--notify: there is no program {clean_line(words[0], 80)!r}: install it, or write its "
            "whole path"
        )


@dataclass(slots=True)
class Notifier:
    """Calls the command for each send(), in the background. Without words it does nothing."""

    words: tuple[str, ...]
    folder: Path  # where the command runs
    seconds: float = SECONDS
    _waiting: "queue.Queue[Facts]" = field(default_factory=lambda: queue.Queue(MOST_WAITING))
    _thread: threading.Thread | None = None
    _last: float = math.inf  # nothing runs after that
    _failure: str = ""
    _is_told: bool = False

    def send(self, facts: Facts) -> None:
        """Never waits, and raises nothing."""
        if not self.words:
            return
        with suppress(queue.Full):
            self._waiting.put_nowait(facts)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def complaint(self) -> str:
        """What went wrong with it, said once; "" for nothing."""
        if not self._failure or self._is_told:
            return ""
        self._is_told = True
        return f"--notify: {self._failure}; said once, the study goes on"

    def finish(self) -> None:
        """Wait until everything is said, as long as one command may take; then nothing is left."""
        self._last = time.monotonic() + self.seconds
        while self._waiting.unfinished_tasks and time.monotonic() < self._last + SLACK_SECONDS:
            time.sleep(0.05)

    def _work(self) -> None:
        while True:
            facts = self._waiting.get()
            try:
                seconds = min(self.seconds, self._last - time.monotonic())
                if seconds > 0:
                    failure = call(self.words, facts, self.folder, seconds)
                    self._failure = self._failure or failure
            finally:
                self._waiting.task_done()


def call(words: tuple[str, ...], facts: Facts, folder: Path, seconds: float) -> str:
    """Run the command once; returns what went wrong with it, in a line, or ""."""
    said = {name: "" if value is None else str(value) for name, value in facts.items()}
    variables = {f"AUTORESEARCH_{name.upper()}": value for name, value in said.items()}
    name, line = clean_line(words[0], 80), json.dumps(facts).encode() + b"\n"
    try:
        process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, **variables}, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except OSError as error:
        return f"{name} cannot be started: {error.strerror}"
    try:
        tail = listen(process, line, time.monotonic() + seconds)
        is_late = process.poll() is None
    finally:
        end(process)
    if is_late:
        return f"{name} was stopped after {seconds:.3g} s"
    if not process.returncode:
        return ""
    words_of_it = clean_line(tail.decode(errors="replace").strip().rpartition("\n")[2])
    return f"{name} ended with exit code {process.returncode}: {words_of_it}".rstrip(": ")


def listen(process: "subprocess.Popen[bytes]", line: bytes, deadline: float) -> bytes:
    """Give it the line, and wait until it is over or late; returns the end of what it printed."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # it reads nothing
        process.stdin.write(line)
        process.stdin.close()
    heard, tail = process.stdout.fileno(), b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([heard], [], [], min(left, 0.1))[0]:
            chunk = os.read(heard, 2**16)
            tail = (tail + chunk)[-TAIL_BYTES:]
            if not chunk:
                break
        elif process.poll() is not None:  # what it left behind may hold the pipe open
            break
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    return tail


def end(process: "subprocess.Popen[bytes]") -> None:
    """It and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
