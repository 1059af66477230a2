"""A process that has the engine imported and becomes it, once for each call.

What a call does is done by a process of its own, forked from one that has run nothing yet: the
command line, its exit code and its output are the real ones. Only importing is done once.
"""

import atexit
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from signal import SIGKILL
from typing import NoReturn

LOADED = ("cli", "morning", "researchers.knobs", "researchers.acp", "researchers.command")
LONGEST_SECONDS = 120


class Engines:
    """Calls of the command line, one after the other."""

    def __init__(self, calls: socket.socket) -> None:
        self._calls = calls

    def run(
        self, folder: Path, words: Sequence[str], env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        asked = json.dumps({"words": words, "folder": str(folder), "env": dict(env)}).encode()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = [out.fileno(), err.fileno()]
            socket.send_fds(self._calls, [len(asked).to_bytes(4, "big")], files)
            self._calls.sendall(asked)
            code = int.from_bytes(receive(self._calls, 4), "big", signed=True)
            said = [os.pread(each, os.fstat(each).st_size, 0).decode() for each in files]
        return subprocess.CompletedProcess(["autoresearch", *words], code, *said)


@contextmanager
def engines() -> Iterator[Engines]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(LONGEST_SECONDS)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
            cwd=Path(__file__).parents[1], pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        try:
            yield Engines(ours)
        finally:
            ours.close()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:  # a call that does not end
                os.killpg(server.pid, SIGKILL)
                server.wait()


def receive(calls: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError where the other end is closed."""
    data = b""
    while len(data) < size:
        if not (part := calls.recv(size - len(data))):
            raise EOFError
        data += part
    return data


def serve(calls: socket.socket) -> None:
    """Fork for every call; returns in the child, as what was called, and at the end of the calls.

    The child goes on outside of this function, with nothing of ours below it.
    """
    for each in LOADED:
        import_module(f"autoresearch.{each}")
    gc.freeze()
    while True:
        head, files, _, _ = socket.recv_fds(calls, 4, 2)
        if not head:
            sys.exit()
        asked = json.loads(receive(calls, int.from_bytes(head, "big")))
        if (child := os.fork()) == 0:
            become(asked, files)
            return
        for each in files:
            os.close(each)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        calls.sendall(code.to_bytes(4, "big", signed=True))


def become(asked: dict[str, object], files: list[int]) -> None:
    """A process as if it had been started with these words, there, in this environment."""
    words, folder, env = (asked[name] for name in ("words", "folder", "env"))
    assert isinstance(words, list)
    assert isinstance(env, dict)
    for number, each in enumerate(files, 1):
        os.dup2(each, number)
        os.close(each)
    os.chdir(str(folder))
    os.environ.clear()
    os.environ.update(env)
    sys.path[0] = str(folder)
    sys.argv = ["autoresearch", *words]


def live() -> int:
    """Run the command line to its end; returns its exit code."""
    try:
        runpy.run_module("autoresearch", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """As a program ends, but for taking everything apart that was imported."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as calls:
        serve(calls)
    leave(live())
