"""Run one command under caps, and be sure that nothing of it is left afterwards.

    with Supervised(argv, cwd=tree, env=environment(), log=path, caps=Caps()) as process:
        ending = process.ending(timeout=1.0)

Leaving the block stops the command and everything it started. If this process dies, by SIGKILL
too, its supervisor does the same.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from autoresearch.text import clean_line

SUPERVISOR = Path(__file__).with_name("supervisor.py")
PATIENCE_SECONDS = 30.0  # until what was killed is gone; then it is left behind
WORD_LENGTH = 30_000  # letters of one word of a command: Linux takes 128 KB
ALL_OF_US_SECONDS = 0.5  # until a signal to all processes has reached this one, too

PASSED_ON = (  # what a run sees of our environment; keys, tokens and PYTHON* are not among it
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH"),
    *("CPATH", "LIBRARY_PATH", "CC", "CXX", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
PASSED_ON_PREFIXES = (
    *("LC_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "ROCR_", "HSA_", "ROCM_", "PYTORCH_"),
    *("TORCH_", "TORCHINDUCTOR_", "TRITON_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "MIOPEN_"),
)


@dataclass(frozen=True, slots=True)
class Caps:
    """What a command may use. `memory_bytes` None: 80% of the machine's."""

    seconds: float = 3600.0
    memory_bytes: int | None = None
    log_bytes: int = 16 * 2**20
    file_bytes: int | None = None  # the largest single file it may write
    processes: int | None = None  # the most that live at one time
    disk_bytes: int | None = None  # the most in `disk_folders` and in files without a name
    disk_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended."""

    exit_code: int  # negative: killed by that signal
    stopped: str  # "", or why it was stopped: "asked", "memory", "processes", "disk", "log", "time"
    peak_memory_bytes: int
    error: str = ""  # why it could not be started, or what of it is left and cannot be killed
    tail: str = ""  # the last that it printed

    @property
    def said(self) -> str:
        """The last line that says something, made harmless; "" when there is none."""
        return last_saying(self.tail)


def environment(extra: Mapping[str, str] | None = None, *prefixes: str) -> dict[str, str]:
    """Our environment's harmless part, what begins with `prefixes`, and `extra`."""
    wanted = (*PASSED_ON_PREFIXES, *prefixes)
    kept = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(wanted)}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


def machine_memory_bytes() -> int:
    """Memory of this machine, or of the container that we are in."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


class Supervised:
    """A running command."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        caps: Caps,
        pass_fds: Sequence[int] = (),
        stdin: int | None = None,
        stdout: int | None = None,
    ) -> None:
        """Start it. `stdin` and `stdout` are descriptors that become the command's own; None: it
        reads nothing, and prints to the log. Close yours afterwards, or it never sees their end.
        """
        standard = {"stdin": stdin, "stdout": stdout}
        spec = {
            "argv": list(argv),
            "log": str(log),
            "log_bytes": caps.log_bytes,
            "seconds": caps.seconds,
            "memory_bytes": caps.memory_bytes or machine_memory_bytes() * 8 // 10,
            "file_bytes": caps.file_bytes,
            "processes": caps.processes,
            "disk_bytes": caps.disk_bytes,
            "disk_folders": list(map(str, caps.disk_folders)),
            "patience_seconds": PATIENCE_SECONDS,
            "pass_fds": list(pass_fds),
            **standard,
        }
        words = json.dumps(spec, ensure_ascii=False)
        parts = [words[at : at + WORD_LENGTH] for at in range(0, len(words), WORD_LENGTH)]
        self._ending: Ending | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SUPERVISOR), *parts],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(*pass_fds, *(each for each in standard.values() if each is not None)),
            start_new_session=True,  # a Ctrl-C on the terminal is the engine's to handle
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def cpu_seconds(self) -> float:
        """Processor time that the command and all below it have used so far."""
        with suppress(psutil.Error):
            below = psutil.Process(self._process.pid).children(recursive=True)
            return sum(used_by(each) for each in below)
        return 0.0

    def ending(self, timeout: float) -> Ending | None:
        """The ending, once it is there; None after `timeout` seconds."""
        assert self._process.stdout is not None
        if self._ending is None and select.select([self._process.stdout], [], [], timeout)[0]:
            self._ending = self._read()
        return self._ending

    def stop(self) -> Ending:
        """Stop the command and everything that it started; returns when all of it is gone, or
        with an error when it cannot be killed.
        """
        assert self._process.stdin is not None
        if self._ending is None:
            self._process.stdin.close()
            self._ending = self.ending(1.5 * PATIENCE_SECONDS) or self._give_up()
        return self._ending

    def _give_up(self) -> Ending:
        """The supervisor itself hangs, or somebody has stopped it."""
        assert self._process.stdout is not None
        with suppress(psutil.Error):
            supervisor = psutil.Process(self._process.pid)
            for each in (*supervisor.children(recursive=True), supervisor):
                with suppress(psutil.Error):
                    each.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._process.stdout.close()
        return Ending(-9, "", 0, "its supervisor does not answer")

    def _read(self) -> Ending:
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        line = self._process.stdout.readline()
        self._process.stdout.close()
        self._process.stdin.close()
        self._process.wait()
        if not line:  # somebody killed the supervisor, and perhaps all of us, one after the other
            time.sleep(ALL_OF_US_SECONDS)
            return Ending(-9, "", 0, "its supervisor was killed")
        return Ending(**json.loads(line))


def used_by(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def machine_cpu_seconds() -> float:
    """Processor time that all programs of this machine have used since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    caps: Caps,
    tick: Callable[[], None] = lambda: None,
) -> Ending:
    """Run a command to its end. `tick` is called a few times a second and may raise."""
    with Supervised(argv, cwd=cwd, env=env, log=log, caps=caps) as process:
        while (ending := process.ending(timeout=0.2)) is None:
            tick()
        tick()  # what stops us may have ended the command, too: that is then no fault of its own
        return ending


def last_line(log: Path, limit: int = 300) -> str:
    """The last line of a log that says something, made harmless; "" when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return last_saying(text, limit)


def last_saying(text: str, limit: int = 300) -> str:
    lines = (clean_line(line, limit) for line in reversed(text.replace("\r", "\n").split("\n")))
    return next((line for line in lines if line), "")
