"""A model that says what a script says, on loopback, in four providers' dialects.

    with ModelServer(by_step(Read("train.py"), Say("Nothing to do."))) as server:
        ...  # OpenAI-compatible: server.url + "/v1"; Anthropic and Gemini: server.url

Every answer reports INPUT_TOKENS and OUTPUT_TOKENS. What was asked lies in `server.requests`. A
script that raises is answered with status 500, and its error is raised when the server is left.
"""

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from autoresearch.testing.dialects import dialect_of
from autoresearch.testing.dialects.base import INPUT_TOKENS, OUTPUT_TOKENS, Dialect, Json
from autoresearch.testing.scripts import (
    Cut,
    Nonsense,
    Refuse,
    Reply,
    Request,
    Say,
    Script,
    Stall,
    spoken,
)

__all__ = ["INPUT_TOKENS", "OUTPUT_TOKENS", "ModelServer"]


class ModelServer:
    """A context manager; `url` has neither a path nor a slash at its end."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.unknown: list[str] = []  # paths that nobody here answers
        self.errors: list[Exception] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.scripted = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def tokens(self) -> int:
        """What all answers together said that they took, if each was given in full."""
        return len(self.requests) * (INPUT_TOKENS + OUTPUT_TOKENS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        if self.errors and error is None:
            raise self.errors[0]

    def answer(self, dialect: Dialect, path: str, body: Json) -> tuple[Request, Reply]:
        """Ask the script, one call after the other."""
        with self._lock:
            request = dialect.request(path, body, len(self.requests))
            self.requests.append(request)
            try:
                return request, self.script(request)
            except Exception as error:
                self.errors.append(error)
                return request, Refuse(500, f"the script failed: {error!r}")


class _Handler(BaseHTTPRequestHandler):
    """One connection of an agent's; the protocol's details."""

    protocol_version = "HTTP/1.1"

    @property
    def scripted(self) -> ModelServer:
        server: ModelServer = self.server.scripted  # type: ignore[attr-defined]
        return server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is in `requests`."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the agent was killed, or had enough

    def do_HEAD(self) -> None:
        self._send(HTTPStatus.OK, b"", "text/plain")

    def do_GET(self) -> None:
        self.scripted.unknown.append(f"GET {self.path}")
        self._send_json(HTTPStatus.NOT_FOUND, {"error": {"message": "not here"}})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dialect = dialect_of(self.path)
        if dialect is None:
            self.scripted.unknown.append(f"POST {self.path}")
            self._send_json(HTTPStatus.NOT_FOUND, {"error": {"message": "not here"}})
            return
        request, reply = self.scripted.answer(dialect, self.path, json.loads(raw))
        self._reply(dialect, request, reply)

    def _reply(self, dialect: Dialect, request: Request, reply: Reply) -> None:
        match reply:
            case Refuse(status, _, after):
                self._send_json(status, dialect.error(reply), after)
            case Nonsense(body):
                kind = "text/event-stream" if request.stream else "application/json"
                self._send(HTTPStatus.OK, body.encode(), kind)
            case Stall(seconds):
                self.scripted.closing.wait(seconds)
                self.close_connection = True
            case Cut(text):
                self._cut(dialect, request, Say(text))
            case _:
                self._say(dialect, request, reply)

    def _say(self, dialect: Dialect, request: Request, reply: Reply) -> None:
        assert not isinstance(reply, Refuse | Nonsense | Stall | Cut)
        words = spoken(reply, request)
        if not request.stream:
            self._send_json(HTTPStatus.OK, dialect.whole(words, request))
            return
        self._begin_stream()
        for event in dialect.stream(words, request):
            self._chunk(event.encode())
        self.wfile.write(b"0\r\n\r\n")

    def _cut(self, dialect: Dialect, request: Request, words: Say) -> None:
        """The first half, and not the end that the length or the chunks announce."""
        self.close_connection = True
        if request.stream:
            self._begin_stream()
            events = list(dialect.stream(words, request))
            for event in events[: len(events) // 2]:
                self._chunk(event.encode())
            return
        body = json.dumps(dialect.whole(words, request)).encode()
        self._headers(HTTPStatus.OK, "application/json", len(body))
        self.wfile.write(body[: len(body) // 2])

    def _begin_stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _send_json(self, status: int, body: Json, after: float | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", after)

    def _send(self, status: int, body: bytes, kind: str, after: float | None = None) -> None:
        self._headers(status, kind, len(body), after)
        self.wfile.write(body)

    def _headers(self, status: int, kind: str, length: int, after: float | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if after is not None:
            self.send_header("Retry-After", f"{after:g}")
        self.end_headers()
