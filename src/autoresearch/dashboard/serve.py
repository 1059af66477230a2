"""Serves the page until Ctrl-C."""

import errno
import socket
import time
import webbrowser
from collections.abc import Callable
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from autoresearch.dashboard.access import Access, is_loopback
from autoresearch.dashboard.api import application
from autoresearch.errors import UserError
from autoresearch.lab import Lab
from autoresearch.store import Store

IDLE_SECONDS = 10.0  # that a connection may be open without a whole request
MOST_IDLE = 64  # such connections; beyond that the oldest are closed at once


class Server(uvicorn.Server):
    """Sends its browsers away when it is told to end: their feeds would go on for ever. Sends away,
    too, who connects and asks nothing: a process may hold only so many connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._idle: dict[Any, float] = {}  # connections, since when they ask nothing

    async def on_tick(self, counter: int) -> bool:
        self.send_idle_away(time.monotonic())
        return await super().on_tick(counter)

    def send_idle_away(self, now: float) -> None:
        idle = filter(asks_nothing, self.server_state.connections)
        self._idle = {each: self._idle.get(each, now) for each in idle}
        oldest = sorted(self._idle, key=self._idle.__getitem__)
        for place, each in enumerate(oldest, MOST_IDLE - len(oldest)):
            if place < 0 or now - self._idle[each] > IDLE_SECONDS:
                each.transport.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        hub = getattr(self.config.app.state, "hub", None)  # type: ignore[union-attr]
        if hub is not None:
            hub.close()
        super().handle_exit(sig, frame)


def asks_nothing(connection: Any) -> bool:
    """Whether a connection of uvicorn's has no request that is still to be answered."""
    return connection.cycle is None or connection.cycle.response_complete


def serve(
    lab: Lab, path: Path, tag: str | None, host: str, port: int, is_opened: bool,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Raises UserError when the address cannot be had."""
    with Store(path):
        pass  # a store of an older version is brought up to date here; the page only reads
    access = Access(host)
    listener = listening(host, port)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    shown = f"[{shown}]" if ":" in shown else shown
    where = f"http://{shown}:{listener.getsockname()[1]}/#token={access.token}"
    where += f"/{tag}" if tag else ""
    say(f"Watch it at {where}")
    if not is_loopback(host):
        say("Whoever is on this network can read along: plain HTTP. Use it where you trust all.")
    say("Ctrl-C ends the page; the research goes on.")
    if is_opened:
        open_privately(lab.home / "watch.html", where)
    config = uvicorn.Config(
        application(lab, path, access),
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    Server(config).run(sockets=[listener])


def open_privately(page: Path, where: str) -> None:
    """By a file that leads there: the words of a command can be read by everybody on a machine."""
    head = f'<meta http-equiv="refresh" content="0; url={escape(where)}">'
    page.unlink(missing_ok=True)
    page.touch(0o600, exist_ok=False)
    page.write_text(f"<!doctype html>{head}<title>autoresearch</title>\n", encoding="utf-8")
    webbrowser.open(page.absolute().as_uri())


def listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)  # who comes before the server is up waits
    except OSError as error:
        mend = "choose another address with --host"
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            mend = "another watch may be at work there: choose another port with --port"
        raise UserError(
            f"the page cannot be served at {host}:{port}: {error.strerror}: {mend}"
        ) from error
    return listener
