"""Runs on this machine: one process under a supervisor, and the READY gate.

The run gets one end of a socket (AUTORESEARCH_HARNESS) and speaks JSON lines over it:

    run      {"type": "ready"}                         built and warm, on synthetic data
    harness  {"type": "go", "budget_seconds": 300.0}   + descriptors of the training data
    run      {"type": "progress", "step": 7, "loss": 2.1, "tokens": 14336}      any number of times
    run      {"type": "done", "config": {...}, "figures": {...}}                artifact complete

The clock is ours: it starts when `go` is sent and stops when `done` arrives. A lab that hands no
data over may leave all of this out: the clock then runs from the start of the process to its end,
which must be a good one and leave an artifact. All of it happens in a box
(box/sandbox.py) that holds the experiment's own files and folders, and the data's public facts.
"""

import errno
import json
import math
import os
import select
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from autoresearch import plain_files
from autoresearch.box.sandbox import Box, confine
from autoresearch.errors import Crashed, Invalid, TimedOut
from autoresearch.process import Caps, Ending, Supervised, environment, machine_cpu_seconds
from autoresearch.runners.base import Job, Outcome, Progress
from autoresearch.text import clean, clean_line, size_words

LATE_RATIO = 0.01  # of the budget: later is invalid
LATE_SECONDS = 0.5  # at least so much, for short budgets on busy machines
OVERTIME_RATIO = 0.2  # of the budget: then the run is stopped
OVERTIME_SECONDS = 10.0
MESSAGE_BYTES = 2**20  # longest line that a run may send
CONFIG_BYTES = 2**18
TELLING_SECONDS = 1.0  # of training, for the share of other programs to mean something
DEEPEST = 32  # folders in an artifact
COMPILED_BYTES = 2**30  # of a compile cache are kept


class LocalRunner:
    """One run at a time, on this machine."""

    def run(self, job: Job) -> Outcome:
        began = time.monotonic()
        with start(job) as (process, link):
            startup = self._await_ready(job, process, link, began)
            keep_compiled(job)
            handed = [path.stat() for path in job.data.handover if path.exists()]
            if startup is None:
                done, seconds, busy = dict[str, Any](), time.monotonic() - began, 0.0
                check_in_time(seconds, job.program.budget_seconds)
            else:
                with Neighbours(process) as neighbours:
                    done, seconds = self._train(job, process, link)
                busy = neighbours.percent
            ending = process.stop()  # the artifact is complete: whatever it still does is cut off
            if ending.error:  # something of it is left, and may write to it
                job.tick()
                raise what_ended(job, ending, "with a complete artifact")
        check_handover(job, handed)
        check_artifact(job)
        figures = numbers(done.get("figures"))
        reported = figures.get("peak_memory_mb", 0.0)
        peak = max(ending.peak_memory_bytes / 2**20, reported)
        measured = {
            "training_seconds": seconds,
            "startup_seconds": startup or 0.0,
            "peak_memory_mb": peak,
            "other_cpu_percent": busy,
            "tier": float(job.tier),
        }
        return Outcome(job.artifact, {**figures, **measured}, config_of(done))

    def _await_ready(
        self, job: Job, process: Supervised, link: "Link", began: float
    ) -> float | None:
        """Seconds until READY; None for a run that did without, and is over."""
        limit = job.program.limits.startup_seconds
        if not job.data.handover:
            limit += job.program.budget_seconds
        while not any(each.get("type") == "ready" for each in link.receive(0.1)):
            job.tick()
            if link.is_silent and (ending := process.ending(0)) is not None:
                job.tick()  # as in process.run()
                if not job.data.handover and ending.exit_code == 0 and job.artifact.is_dir():
                    return None
                also = "" if job.data.handover else " or left an artifact"
                raise what_ended(job, ending, f"before it was ready to train{also}")
            if time.monotonic() - began > limit:
                raise TimedOut(f"not ready to train after {limit:g} s")
        return time.monotonic() - began

    def _train(self, job: Job, process: Supervised, link: "Link") -> tuple[dict[str, Any], float]:
        """From `go` to `done`: (the run's last message, seconds of training)."""
        budget = job.program.budget_seconds
        link.go(budget, job.data.handover)
        start = time.monotonic()
        grace = max(OVERTIME_SECONDS, OVERTIME_RATIO * budget)
        while True:
            messages = link.receive(0.1)
            seconds = time.monotonic() - start
            for message in messages:
                if message.get("type") == "done":
                    check_in_time(seconds, budget)
                    return message, seconds
                report(job, message, seconds)
            job.tick()
            if link.is_silent and (ending := process.ending(0)) is not None:
                job.tick()  # as in process.run()
                raise what_ended(job, ending, "without a complete artifact")
            if seconds > budget + grace:
                raise TimedOut(f"still training {grace:g} s after its {budget:g} s were over")


class Neighbours:
    """How much of the processor other programs took: a run beside them is a slower run.

    0 where that cannot be told: in less than a second, since the machine counts in steps, and when
    the run was gone before it was looked at, since its own share went with it.
    """

    percent = 0.0

    def __init__(self, process: Supervised) -> None:
        self._process = process

    def _now(self) -> tuple[float, float, float]:
        return machine_cpu_seconds(), self._process.cpu_seconds(), time.monotonic()

    def __enter__(self) -> Self:
        self._start = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        used, own, seconds = (
            now - before for now, before in zip(self._now(), self._start, strict=True)
        )
        if own >= 0 and seconds >= TELLING_SECONDS:
            share = (used - own) / (seconds * (os.cpu_count() or 1))
            self.percent = 100 * min(1.0, max(0.0, share))


@contextmanager
def start(job: Job) -> Iterator[tuple[Supervised, "Link"]]:
    """Start the train command, with our end of its socket; nothing of it is left afterwards."""
    temporary = job.folder / "tmp"
    for folder in (temporary, job.artifact.parent):
        folder.mkdir(parents=True)
    lay_compiled(job)
    program, (ours, theirs) = job.program, socket.socketpair()
    limits, written = program.limits, (job.tree, job.artifact.parent, temporary, job.compiling)
    env = environment(
        {
            "TMPDIR": str(temporary),
            "HOME": str(temporary),
            "TORCHINDUCTOR_CACHE_DIR": str(job.compiling),
            "TRITON_CACHE_DIR": str(job.compiling / "triton"),
            "AUTORESEARCH_HARNESS": str(theirs.fileno()),
            "AUTORESEARCH_BUDGET": str(program.budget_seconds),
            "AUTORESEARCH_SEED": str(job.seed),
            "AUTORESEARCH_MANIFEST": job.data.manifest,
            "AUTORESEARCH_ARTIFACT": str(job.artifact),
        }
    )
    box = Box(
        python=job.python,
        readable=tuple(map(Path, filter(None, [job.data.manifest]))),
        writable=written,
        hidden=job.data.withheld,
        processes=limits.processes,
        open_files=limits.open_files,
    )
    grace = max(OVERTIME_SECONDS, OVERTIME_RATIO * program.budget_seconds) + 30.0
    caps = Caps(
        seconds=limits.startup_seconds + program.budget_seconds + grace,
        memory_bytes=limits.memory_bytes,
        log_bytes=limits.log_bytes,
        file_bytes=limits.artifact_bytes,
        processes=limits.processes,
        disk_bytes=limits.disk_bytes,
        disk_folders=written,
    )
    argv = confine(command(program.commands.train, job.python), box, job.tier)
    given = [theirs.fileno()]
    with (
        ours,
        theirs,
        Supervised(argv, cwd=job.tree, env=env, log=job.log, caps=caps, pass_fds=given) as process,
    ):
        theirs.close()
        yield process, Link(ours)


def lay_compiled(job: Job) -> None:
    """Give the run its own copy of what earlier runs compiled."""
    if job.compiled is not None and job.compiled.is_dir():
        shutil.copytree(job.compiled, job.compiling)
    job.compiling.mkdir(exist_ok=True)


def keep_compiled(job: Job) -> None:
    """Set aside what is compiled now: before `go` the run has seen no data, so nothing learned can
    lie in it. Plain files alone, through descriptors: the run lives and may swap a file for a link
    meanwhile."""
    left = COMPILED_BYTES
    try:
        for folder, folders, names, descriptor in os.fwalk(job.compiling):
            inside = Path(folder).relative_to(job.compiling)
            if len(inside.parts) >= DEEPEST:
                folders.clear()
            for name in names:
                data = None
                with suppress(OSError):
                    data = plain_files.read_at(descriptor, name, left)
                left -= len(data or b"")
                if data is not None:
                    (job.compiled_at_ready / inside).mkdir(parents=True, exist_ok=True)
                    (job.compiled_at_ready / inside / name).write_bytes(data)
    except OSError as error:  # folders without rights, or with names that do not fit
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise


def command(words: tuple[str, ...], python: str, *options: str) -> list[str]:
    """argv of a program's command: the word `python` is the lab's interpreter."""
    return [python, *options, *words[1:]] if words[0] == "python" else list(words)


@dataclass(slots=True)
class Link:
    """Our end of the socket. What comes over it is hostile: sizes and types are checked."""

    socket: socket.socket
    is_silent: bool = True  # the last receive() found nothing: what was sent before is all read
    _buffer: bytes = b""
    _closed: bool = False

    def go(self, budget_seconds: float, handover: tuple[Path, ...]) -> None:
        message = json.dumps({"type": "go", "budget_seconds": budget_seconds}).encode() + b"\n"
        with ExitStack() as stack:
            try:
                files = [stack.enter_context(path.open("rb")) for path in handover]
            except OSError as error:
                words = f"{error.filename} cannot be read: {error.strerror}"
                raise Crashed(f"the prepared data is damaged: {words}") from error
            with suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self.socket, [message], [file.fileno() for file in files])

    def receive(self, timeout: float) -> list[dict[str, Any]]:
        """The messages that are there, after at most `timeout` seconds."""
        self.is_silent = True
        if self._closed:
            time.sleep(timeout)
            return []
        if not select.select([self.socket], [], [], timeout)[0]:
            return []
        try:
            data = self.socket.recv(65536, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            data = b""
        self._closed = self.is_silent = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MESSAGE_BYTES:
            raise Invalid("sent the harness a message without end")
        return [message for line in lines if (message := parse(line)) is not None]


def parse(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def report(job: Job, message: dict[str, Any], seconds: float) -> None:
    figures = numbers(message)
    if message.get("type") == "progress" and {"step", "loss", "tokens"} <= figures.keys():
        step, tokens = int(figures["step"]), int(figures["tokens"])
        job.on_progress(Progress(seconds, step, figures["loss"], tokens))


def numbers(values: object) -> dict[str, float]:
    """The finite numbers of a mapping that a run sent."""
    if not isinstance(values, dict):
        return {}
    return {
        clean_line(str(name), 64): float(value)
        for name, value in list(values.items())[:64]
        if isinstance(value, int | float) and abs(value) < 1e300 and math.isfinite(value)
    }


def config_of(message: dict[str, Any]) -> dict[str, Any]:
    """The configuration that a run says it had; {} when it is no plain, small, finite JSON."""
    config = message.get("config")
    if not isinstance(config, dict) or not is_shallow(config):
        return {}
    try:
        size = len(json.dumps(config, allow_nan=False))
    except ValueError:
        return {}
    return config if size <= CONFIG_BYTES else {}


def is_shallow(value: object, depth: int = 20) -> bool:
    """True when nothing is nested so deeply that writing it down could fail later."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(is_shallow(each, depth - 1) for each in parts)


def check_in_time(seconds: float, budget: float) -> None:
    late = seconds - budget
    if late > max(LATE_RATIO * budget, LATE_SECONDS):
        raise Invalid(f"handed its model in {late:.1f} s after its {budget:g} s were over")


def check_handover(job: Job, before: list[os.stat_result]) -> None:
    """The training data as it was: what a run writes there, its weights for one, the next could
    read. A descriptor of a file of the same user can be opened again for writing. Nothing sets the
    time of a file's last change but a change."""
    for path, then in zip(job.data.handover, before, strict=False):
        with suppress(FileNotFoundError):
            now = path.stat()
            if now.st_ino == then.st_ino and now.st_ctime_ns != then.st_ctime_ns:
                path.unlink()  # it is prepared anew, with all that hung on it gone
                raise Invalid(f"it changed the training data: {path.name}, which is made anew")


def check_artifact(job: Job) -> None:
    """Plain files, no links, not too large. Looked at when every process of the run is dead."""
    job.artifact.parent.chmod(0o755)
    if not job.artifact.is_dir() or job.artifact.is_symlink():
        raise Crashed("ended without an artifact")
    job.artifact.chmod(0o755)  # it is to be moved, whatever the run made of it
    try:
        size = sum(sizes(job.artifact))
    except OSError as error:  # folders without rights, names longer than a path may be
        raise Invalid(f"its artifact cannot be looked through: {error.strerror}") from error
    limit = job.program.limits.artifact_bytes
    if size > limit:
        raise Invalid(f"its artifact has {size:,} bytes, more than {limit:,}")


def sizes(artifact: Path) -> Iterator[int]:
    """Of all that lies in it. Raises Invalid for what is neither a plain file nor a folder."""
    for folder, folders, names in os.walk(artifact, onerror=refuse):
        if len(Path(folder).relative_to(artifact).parts) > DEEPEST:
            raise Invalid(f"its artifact has folders more than {DEEPEST} deep")
        for name in (*folders, *names):
            facts = (Path(folder) / name).lstat()
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                raise Invalid(f"its artifact holds {clean(name)!r}, which is no plain file")
            yield facts.st_size


def refuse(error: OSError) -> None:
    raise error


def what_ended(job: Job, ending: Ending, when: str) -> Crashed | TimedOut:
    """Why a run is over that should not be, in a sentence."""
    limits = job.program.limits
    stopped = {
        "memory": f"used more memory than it may ({size_words(ending.peak_memory_bytes)})",
        "log": f"printed more than {size_words(limits.log_bytes)}",
        "processes": f"started more than {limits.processes} processes",
        "disk": f"wrote more than {size_words(limits.disk_bytes)}",
    }
    if ending.stopped == "time":
        return TimedOut("took longer than its startup and its budget together")
    if ending.stopped in stopped:
        return Crashed(stopped[ending.stopped])
    if ending.error:
        return Crashed(f"could not be run: {ending.error}")
    if ending.exit_code == 0:
        return Crashed(f"ended {when}, and without an error")
    said = ending.said
    number = -ending.exit_code if ending.exit_code < 0 else ending.exit_code - 128
    if 0 < number < 65:  # as a shell and a box report it: 128 and the signal
        killed = f"was killed by signal {number} {when}"
        return Crashed(f"{killed}: {said}" if said else killed)
    return Crashed(said or f"ended with exit code {ending.exit_code} {when}")
