"""`autoresearch watch` as a process of its own, for tests, benchmarks and pictures.

with PageServer(lab_folder) as server:
    urlopen(server.address)
    server.restart()        # another process at the same port, with another token
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_ADDRESS = re.compile(r"(http://\S+?)/#token=([\w-]+)")


class PageServer:
    """Serves the page of a lab until the block ends."""

    def __init__(
        self, lab: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._lab, self._options = lab, options
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.origin = self.token = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2]) if self.origin else 0

    @property
    def address(self) -> str:
        """What the terminal shows: the page with the token in it."""
        return f"{self.origin}/#token={self.token}"

    def start(self) -> None:
        """At a free port, and at the same one ever after."""
        words = ["watch", "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "autoresearch", *words],
            cwd=self._lab, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._environment,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = _ADDRESS.search(said)
        assert found, said + self._process.stdout.read()
        self.origin, self.token = found[1], found[2]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """End it; returns what it said after its address."""
        process, self._process = self._process, None
        if process is None or process.stdout is None:
            return ""
        process.send_signal(how)
        said = process.stdout.read()
        process.stdout.close()
        process.wait(timeout=30)
        return said

    def restart(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.stop(how)
        self.start()

    @contextmanager
    def held(self) -> Iterator[None]:
        """As if the line had gone dead: nothing is answered until the block ends."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
