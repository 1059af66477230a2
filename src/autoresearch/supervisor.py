"""The parent of one run: keeps its log, holds its caps, and leaves nothing of it alive.

Started by process.py as `python -I supervisor.py SPEC`, never imported by the engine's loop. It
adopts every orphan of the run (PR_SET_CHILD_SUBREAPER), so a child that forks twice and leaves
its session is still found and killed. Standard input is the engine's hand: a line or the end of
it (the engine is gone, even by SIGKILL) stops the run. The last line of standard output is the
ending, as JSON.

What it does not cover: a run of the same user can kill its supervisor. The box is what holds
against that; this holds against accidents. What cannot be killed is left, and named in the ending.
Caps are looked at ten times a second, so that what is quick can go past one before it is stopped;
a sparse file counts by what is on the disk; an open file that was deleted is found while a process
holds it, not while it is on its way through a socket. Zombies count as processes. On macOS nameless
files are not counted, and orphans cannot be adopted: a child that leaves both its parent and its
process group escapes.
"""

import contextlib
import ctypes
import json
import os
import platform
import resource
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LINUX = platform.system() == "Linux"
if not LINUX:
    import psutil
TAIL_BYTES = 4096
POLL_SECONDS = 0.1  # how often the caps are looked at
PAGE_BYTES = resource.getpagesize()
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    spec = json.loads("".join(sys.argv[1:]))
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    print(json.dumps(supervise(spec)), flush=True)


def supervise(spec: dict[str, Any]) -> dict[str, Any]:
    """Run spec["argv"] until it ends or must end; returns the ending."""
    reader, writer = os.pipe()
    standard = [each for each in (spec["stdin"], spec["stdout"]) if each is not None]
    if spec["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (spec["file_bytes"], spec["file_bytes"]))
    try:
        log = Log(spec["log"], spec["log_bytes"])
        child = subprocess.Popen(
            spec["argv"],
            stdin=subprocess.DEVNULL if spec["stdin"] is None else spec["stdin"],
            stdout=writer if spec["stdout"] is None else spec["stdout"],
            stderr=writer,
            pass_fds=spec["pass_fds"],
            start_new_session=True,
        )
    except OSError as error:
        return {"exit_code": 127, "stopped": "", "error": str(error), "peak_memory_bytes": 0}
    try:
        for descriptor in {writer, *standard, *spec["pass_fds"]}:
            os.close(descriptor)
        prefer_for_oom(child.pid)
        stopped, peak = watch(child, reader, log, spec)
    finally:
        left = kill_everything(child, spec["patience_seconds"])
    log.pump(reader, to_the_end=True)
    return {
        "exit_code": 1 if left else child.returncode,
        "stopped": stopped,
        "peak_memory_bytes": peak,
        "error": f"not all of it can be killed: {', '.join(map(str, left))}" if left else "",
        "tail": log.tail.decode("utf-8", "replace"),
    }


def watch(
    child: "subprocess.Popen[bytes]", reader: int, log: "Log", spec: dict[str, Any]
) -> tuple[str, int]:
    """Until the child has ended or a cap is passed: (what stopped it or "", peak memory)."""
    deadline, peak, inputs = time.monotonic() + spec["seconds"], 0, [0, reader]
    disk = Disk(spec["disk_folders"], spec["disk_bytes"])
    while True:
        readable, _, _ = select.select(inputs, [], [], POLL_SECONDS)
        if 0 in readable:
            return "asked", peak
        if reader in readable and not log.pump(reader):
            inputs = [0]  # it has closed its output; it may still work
        tree = processes_below(spec["processes"])
        memory = sum(map(resident, tree))
        peak = max(peak, memory)
        if child.poll() is not None:
            return "", peak
        passed = {
            "processes": bool(spec["processes"]) and len(tree) > spec["processes"],
            "memory": memory > spec["memory_bytes"],
            "disk": disk.is_full(tree),
            "log": log.is_full,
            "time": time.monotonic() > deadline,
        }
        if stopped := next((each for each in passed if passed[each]), ""):
            return stopped, peak


class Disk:
    """What lies in some folders, and in files that no folder names but a process holds open.

    Looked at with a twentieth of our time at most, however many files there are.
    """

    def __init__(self, folders: list[str], limit: int | None) -> None:
        self._folders, self._limit, self._next = folders, limit, 0.0

    def is_full(self, tree: list[int]) -> bool:
        began = time.monotonic()
        if self._limit is None or began < self._next:
            return False
        files: dict[tuple[int, int], int] = {}  # a file with two names is counted once
        for folder in self._folders:
            add_files_below(folder, files)
        for pid in tree if LINUX else ():
            add_nameless_files(pid, files)
        now = time.monotonic()
        self._next = now + 20 * (now - began)
        return sum(files.values()) > self._limit


def add_files_below(folder: str, files: dict[tuple[int, int], int]) -> None:
    pending = [folder]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # it may be gone by now
                    facts = entry.stat(follow_symlinks=False)
                    files[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
                    if stat.S_ISDIR(facts.st_mode):
                        pending.append(entry.path)


def add_nameless_files(pid: int, files: dict[tuple[int, int], int]) -> None:
    """Deleted files and memory files: they take space as long as they are open."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                facts = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
                if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 0:
                    files[facts.st_dev, facts.st_ino] = facts.st_blocks * 512


class Log:
    """A file that takes at most so many bytes; a full disk costs the log, not the run."""

    def __init__(self, path: str, limit: int) -> None:
        self._file, self._left = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), limit
        self.is_full, self.tail = False, b""  # what it said last is known on a full disk, too

    def pump(self, reader: int, to_the_end: bool = False) -> bool:
        """Move what is there from the pipe to the file; False at the end of the pipe."""
        os.set_blocking(reader, False)
        while True:
            try:
                data = os.read(reader, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            with contextlib.suppress(OSError):
                os.write(self._file, data[: max(0, self._left)])
            self._left -= len(data)
            self.tail = (self.tail + data)[-TAIL_BYTES:]
            self.is_full = self._left < 0
            if self.is_full or not to_the_end:
                return True


def prefer_for_oom(pid: int) -> None:
    """When the machine runs out of memory, the kernel shall take this one."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def processes_below(enough: int | None = None) -> list[int]:
    """Processes below this one, orphans that it adopted included; a bomb is not counted out."""
    if not LINUX:
        return descendants()
    found: list[int] = []
    pending = children_of(os.getpid())
    while pending and not (enough and len(found) > enough):
        one = pending.pop()
        pending += children_of(one)
        found.append(one)
    return found


def resident(pid: int) -> int:
    """Bytes of memory of one process."""
    if not LINUX:
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES
    return 0


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
    return found


def descendants() -> list[int]:
    """Every living process below this one, orphans that it adopted included."""
    if not LINUX:
        return [each.pid for each in psutil.Process().children(recursive=True)]
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] != b"Z":
                    children.setdefault(int(fields[1]), []).append(int(entry))
    found, pending = [], [os.getpid()]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def kill_everything(child: "subprocess.Popen[bytes]", patience_seconds: float) -> list[int]:
    """Stop all, then kill all, until nothing is left; returns what cannot be killed.

    A look at the processes can miss one that was forked during it. What cannot be missed is that
    the system still knows a child of ours, and every orphan becomes one. What waits for a disk or
    a driver that hangs cannot be killed, nor what runs as another user by then.
    """
    deadline = time.monotonic() + patience_seconds
    kill_all(descendants())
    while child.poll() is None or has_children():
        if time.monotonic() > deadline and (left := descendants()):
            return left
        kill_all(descendants())
        time.sleep(0.01)
    return []


def kill_all(pids: list[int]) -> None:
    for action in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, action)


def has_children() -> bool:
    """True while something of the run is left; the dead are taken leave of."""
    if not LINUX:
        return bool(descendants())
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    main()
