"""The addresses that the page asks, and the page itself."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from autoresearch.dashboard.access import Access, Gate, refused
from autoresearch.dashboard.details import experiment_facts
from autoresearch.dashboard.feed import Cursor, stream, whole
from autoresearch.dashboard.hub import Hub
from autoresearch.dashboard.live import read_curve
from autoresearch.dashboard.reader import Reader
from autoresearch.errors import UserError
from autoresearch.lab import Lab, valid_tag
from autoresearch.steering import orders
from autoresearch.store import Store

STATIC = Path(__file__).parent / "static"
CHARTS = ("bokeh.min.js", "bokeh-api.min.js")
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MOST_ORDER_BYTES = 64 * 2**10
MOST_CURVES = 8


def application(lab: Lab, path: Path, access: Access) -> Starlette:
    """The page of a lab; `path` is its store's."""
    pages = Pages(lab, path, access)
    routes = [
        Route("/", pages.index),
        Route("/static/{name}", pages.static),
        Route("/charts/{version}/{name}", chart_library),
        Route("/api/studies", pages.studies),
        Route("/api/study/{tag}", pages.study),
        Route("/api/study/{tag}/feed", pages.feed),
        Route("/api/study/{tag}/experiments/{number:int}", pages.experiment),
        Route("/api/study/{tag}/curves/{numbers}", pages.curves),
        Route("/api/orders", pages.order, methods=["POST"]),
    ]
    packing = Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)
    gate = Middleware(Gate, access=access)
    return Starlette(
        routes=routes,
        middleware=[gate, packing],
        lifespan=pages.lifespan,
        exception_handlers={UserError: complaint},
    )


async def complaint(request: Request, error: Exception) -> Response:
    """What a person did wrong, in one or two lines: asked for what is not there, or cannot be."""
    return refused(str(error), 400 if request.method == "POST" else 404)


class Pages:
    """What is answered. All words of experiments leave here harmless."""

    def __init__(self, lab: Lab, path: Path, access: Access) -> None:
        self.lab, self.path, self.access = lab, path, access
        self.hub: Hub | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.hub = Hub(self.lab, self.path)
        app.state.hub = self.hub
        polling = asyncio.create_task(self.hub.run())
        yield
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling

    @property
    def looking(self) -> Hub:
        assert self.hub is not None, "the server has not started"
        return self.hub

    async def index(self, request: Request) -> Response:
        del request
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        text = text.replace("{nonce}", self.access.nonce).replace("{charts}", version("bokeh"))
        return HTMLResponse(text)

    async def static(self, request: Request) -> Response:
        return script(STATIC, request.path_params["name"])

    async def studies(self, request: Request) -> Response:
        del request
        with Reader(self.path) as reader:
            found = [{"tag": tag, "experiments": n} for tag, n in reader.studies()]
        return answer(found)

    async def study(self, request: Request) -> Response:
        return answer(whole(await self.looking.look(tag_of(request))))

    async def feed(self, request: Request) -> Response:
        """Server-sent events. A browser that comes back by itself says how far it got."""
        tag = tag_of(request)
        await self.looking.look(tag)  # complains now when there is no such study
        said = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return StreamingResponse(
            stream(self.looking, tag, Cursor.parse(said)), media_type="text/event-stream"
        )

    async def experiment(self, request: Request) -> Response:
        tag, number = tag_of(request), request.path_params["number"]
        return answer(await asyncio.to_thread(experiment_facts, self.lab, self.path, tag, number))

    async def curves(self, request: Request) -> Response:
        """Such as /curves/7,12: the losses of each over the seconds of training."""
        folder = self.lab.study_folder(tag_of(request))
        asked = request.path_params["numbers"].split(",")[:MOST_CURVES]
        numbers = [int(each) for each in asked if each.isdecimal() and len(each) < 8]
        return answer({number: read_curve(folder, number) for number in numbers})

    async def order(self, request: Request) -> Response:
        """{"tag", "kind", "data", "key"}: one order of the person; the same key is done once."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return refused("orders are JSON", 415)
        said = await order_of(request)
        if said is None:
            return refused("no order: {tag, kind, data, key}", 400)
        return answer({"said": await asyncio.to_thread(self.give, **said)})

    def give(self, tag: str, kind: str, data: dict[str, Any], key: str) -> str:
        with Store(self.path) as store:
            return orders.give(self.lab, store, valid_tag(tag), kind, data, key)


async def order_of(request: Request) -> dict[str, Any] | None:
    """What was ordered, if it has the shape of an order."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_ORDER_BYTES:
            return None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    shape = {"tag": str, "kind": str, "data": dict, "key": str}
    if not isinstance(said, dict) or said.keys() != shape.keys():
        return None
    fits = all(isinstance(said[name], kind) for name, kind in shape.items())
    return said if fits and 8 <= len(said["key"]) <= 64 else None


def tag_of(request: Request) -> str:
    """Raises StudyError for what can be no tag."""
    return valid_tag(request.path_params["tag"])


async def chart_library(request: Request) -> Response:
    """Bokeh's scripts, from its package: large, public, and for a browser to keep."""
    name = request.path_params["name"]
    if name not in CHARTS or "gzip" not in request.headers.get("accept-encoding", ""):
        return refused("no such file", 404)
    headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=31536000, immutable"}
    content = await asyncio.to_thread(packed, name)
    return Response(content, headers=headers, media_type="text/javascript")


@cache
def packed(name: str) -> bytes:
    spec = find_spec("bokeh")
    assert spec is not None and spec.submodule_search_locations, "the command has looked for it"  # noqa: PT018
    folder = Path(spec.submodule_search_locations[0]) / "server" / "static" / "js"
    return gzip.compress((folder / name).read_bytes(), 6)


def script(folder: Path, name: str) -> Response:
    """One of our own files: its name has no slash, so that nothing leads out of the folder."""
    path = folder / name
    if path.suffix not in KINDS or not path.is_file() or name.startswith("."):
        return refused("no such file", 404)
    return FileResponse(path, media_type=KINDS[path.suffix])


def answer(value: Any) -> Response:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Response(text, media_type="application/json")
