"""A process that has the engine imported and becomes it, once for each call.

What a call does is done by a process of its own, forked from one that has run nothing yet: the
command line, its exit code and its output are the real ones. Only importing is done once.

What it does not cover: what Python itself reads when it starts (PYTHON* in the environment), and
how long importing takes. test_kill.py, test_inbox.py and the nights start the real program.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from signal import SIGKILL
from typing import NoReturn

LOADED = (
    *("autoresearch.cli.main", "autoresearch.report.build", "autoresearch.researchers.knobs"),
    *("autoresearch.researchers.acp", "autoresearch.researchers.command", "numpy.random"),
    *("PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin"),
)
LONGEST_SECONDS = 120


class Engines:
    """Calls of the command line, one after the other."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """`env`: what their process sees beside our environment, and the calls do not."""
        self._calls, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=Path(__file__).parents[1], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **env},
            )  # fmt: skip

    @property
    def are_there(self) -> bool:
        return self._server.poll() is None

    def run(
        self, folder: Path, words: Sequence[str], env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Raises TimeoutError or EOFError; then there is nobody left to be called."""
        asked = json.dumps({"words": words, "folder": str(folder), "env": dict(env)}).encode()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = [out.fileno(), err.fileno()]
            self._calls.settimeout(LONGEST_SECONDS)
            try:
                socket.send_fds(self._calls, [len(asked).to_bytes(4, "big")], files)
                self._calls.sendall(asked)
                code = int.from_bytes(receive(self._calls, 4), "big", signed=True)
            except BaseException:
                self.kill()
                raise
            said = [os.pread(each, os.fstat(each).st_size, 0).decode() for each in files]
        return subprocess.CompletedProcess(["autoresearch", *words], code, *said)

    def close(self) -> None:
        """No more calls: what was measured is written down, and the process ends."""
        self._calls.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, SIGKILL)
        self._server.wait()
        self._calls.close()


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
        import_module(each)
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
