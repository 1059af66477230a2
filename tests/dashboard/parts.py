"""What the tests of the live page share: labs, engines, raw HTTP, feeds, a line that can break."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from autoresearch.store import Event, Store
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.tiny import PROGRAM, TRAIN, make_tiny_lab

PATIENCE = 60.0  # seconds: what should happen at once, on a machine that does much else
_STEPS = """\
    for step in range(1, 21):
        loss = (X - 3) ** 2 + 1 + 2 / step
        message = {"type": "progress", "step": step, "loss": loss, "tokens": 8 * step}
        harness.sendall(json.dumps(message).encode() + b"\\n")
        time.sleep(SLEEP / 20)
"""
_BEFORE, _, _REST = TRAIN.partition("    message =")
STEPPED = _BEFORE + _STEPS + "    prepare.submit" + _REST.partition("    prepare.submit")[2]


def stepped_lab(folder: Path, seconds: float = 0.2) -> Path:
    """A tiny lab whose runs have a curve, take so long, and may take a minute and more."""
    train = STEPPED.replace("SLEEP = 0.02", f"SLEEP = {seconds}")
    return make_tiny_lab(folder, train=train, program=PROGRAM.replace("budget: 2s", "budget: 90s"))


def store_of(lab: Path) -> Store:
    return Store(lab / ".autoresearch" / "autoresearch.db")


def events_of(lab: Path, *kinds: str, tag: str = "night") -> list[Event]:
    with store_of(lab) as store:
        return store.events(tag, kinds=kinds)


def eventually(check: Callable[[], Any], what: str = "") -> Any:
    """What `check` gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        time.sleep(0.05)
    return found


@contextmanager
def engine(lab: Path, *options: str, tag: str = "night") -> Iterator["subprocess.Popen[str]"]:
    """A real engine at work; whatever is left of it is killed at the end."""
    words = ["run", "--tag", tag, "--keep-rule", "greedy", *options]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    log = lab.parent / f"engine-{time.monotonic_ns()}.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "autoresearch", *words],
            cwd=lab, text=True, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env=env,
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# raw HTTP


def proof(server: PageServer) -> dict[str, str]:
    """The header that opens everything."""
    return {"Authorization": f"Bearer {server.token}"}


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.code, self.headers = response.status, response.headers
        self.body = response.read().decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    server: PageServer,
    path: str,
    method: str = "GET",
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    is_known: bool = True,
) -> Answer:
    """One request; with the token, unless not `is_known`."""
    said = proof(server) if is_known else {}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as line:
        line.request(method, path, body, {**said, **(headers or {})})
        return Answer(line.getresponse())


def give(
    server: PageServer,
    kind: str,
    data: Mapping[str, Any] | None = None,
    key: str = "12345678",
    tag: str = "night",
    **rest: Any,
) -> Answer:
    """One order, as the page sends it."""
    order = {"tag": tag, "kind": kind, "data": data or {}, "key": key}
    headers = {"Content-Type": "application/json", "Origin": server.origin}
    return ask(server, "/api/orders", "POST", json.dumps(order), headers, **rest)


class Feed:
    """A client of the feed: remembers what it heard, as the page does."""

    def __init__(
        self, server: PageServer, tag: str, cursor: str = "", *, by_header: bool = False
    ) -> None:
        self.cursor, self.news = cursor, list[dict[str, Any]]()
        self._line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        headers = {"Last-Event-ID": cursor} if by_header else {}
        query = f"?token={server.token}" + ("" if by_header else f"&after={cursor}")
        self._line.request("GET", f"/api/study/{tag}/feed{query}", headers=headers)
        self._response = self._line.getresponse()
        assert self._response.status == 200

    def until(self, check: Callable[["Feed"], Any]) -> Any:
        """Read on until `check` gives something; returns that."""
        deadline = time.monotonic() + PATIENCE
        while not (found := check(self)):
            assert time.monotonic() < deadline, self.news
            line = self._response.readline().decode()
            assert line, "the feed has ended"
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                self.cursor = value
            if name == "data" and value != "1":
                self.news.append(json.loads(value))
        return found

    @property
    def events(self) -> list[int]:
        return [each["id"] for news in self.news for each in news.get("events", ())]

    @property
    def rows(self) -> dict[int, list[Any]]:
        return {row[0]: row for news in self.news for row in news.get("rows", ())}

    def latest(self, part: str) -> Any:
        return next((news[part] for news in reversed(self.news) if part in news), None)

    def close(self) -> None:
        self._response.close()
        self._line.close()


class Wire:
    """A line to the server that can break: refuses, drops all, or loses one answer."""

    def __init__(self, port: int) -> None:
        self._port, self._pairs = port, list[tuple[socket.socket, socket.socket]]()
        self._mute = set[socket.socket]()
        self.is_cut = self.loses_answer = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._port))
                self._pairs.append((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source in self._mute:
                    break
                if self.loses_answer and b"POST /api/orders" in data:
                    self.loses_answer = False
                    self._mute.add(target)  # the order arrives; its answer does not
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self) -> None:
        """Break every connection, and let none come up."""
        self.is_cut = True
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()
