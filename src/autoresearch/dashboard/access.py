"""Who may see the page and give orders: whoever has the token, from the page itself.

The token is of this process and dies with it. It comes in the address that the terminal prints,
after the `#`, which no browser sends to anybody; the page keeps it for its own origin, port and
all, and sends it with each request. So neither another server on this machine nor one that takes
the port later ever hears a token that is of use. Beside it, each request must name this machine as
its host (a name on the internet can be made to point here), and must not have been sent by a page
of another origin.

Not covered: who can read the traffic. Beyond this machine, use ssh port forwarding.
"""

import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOCAL_NAMES = ("localhost",)
_PUBLIC = ("/static/", "/charts/")  # as they are in the packages, of anybody's study


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must have to be answered."""

    host: str = "127.0.0.1"  # that the server is bound to
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))  # of our style elements

    def knows(self, said: str) -> bool:
        return secrets.compare_digest(said.encode(), self.token.encode())

    def is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine in a way that nobody else can point here."""
        name = host_name(host)
        if name is None:
            return False
        if name in _LOCAL_NAMES:
            return True
        address = ip_of(name)
        if is_loopback(self.host):
            return address is not None and address.is_loopback
        return address is not None or name in (self.host.lower(), socket.gethostname().lower())


def ip_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    address = ip_of(host)
    return host in _LOCAL_NAMES or (address is not None and address.is_loopback)


def host_name(host: str) -> str | None:
    """`host` without its port; None for what is no host."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::\d{1,5})?", host, re.ASCII)
    return (match[1] or match[2]).lower() if match else None


class Gate:
    """Stands before the application: refuses, or lets through and adds the protecting headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's own start and end; there are no websockets
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = self.headers()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = MutableHeaders(scope=message)
                said.update(headers)
                said.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self.answer(Request(scope))
        await (answer or self.app)(scope, receive, send_with_headers)

    def headers(self) -> dict[str, str]:
        return {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
            f"img-src 'self'; style-src 'self' 'nonce-{self.access.nonce}'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    def answer(self, request: Request) -> Response | None:
        """What to say instead of the page; None for a request that is in order."""
        if not self.access.is_ours(request.headers.get("host", "")):
            return refused("this server goes by another name", 421)
        if request.method not in ("GET", "HEAD", "POST"):
            return refused("nothing can be done that way", 405)
        if request.method == "GET" and request.url.path == "/":
            return None  # the empty page: a link may lead to it
        return self.inside(request)

    def inside(self, request: Request) -> Response | None:
        """The same for what only the page asks."""
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return refused("the page itself must ask", 403)
        if request.url.path.startswith(_PUBLIC):
            return None
        if not self.access.knows(token_in(request)):
            return refused("this page needs the token: open the address that is shown", 401)
        if request.method == "POST" and not is_from_page(request):
            return refused("only the page itself can give orders", 403)
        return None


def token_in(request: Request) -> str:
    """What a request says for one: the feed's is in its address, as a browser adds no header."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token if kind == "Bearer" else request.query_params.get("token", "")


def is_from_page(request: Request) -> bool:
    """Whether a page of ours sent it: browsers say so of each POST, in one of two headers."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    host = request.headers.get("host", "")
    if origin is None and site is None:
        return False
    return (origin is None or origin in (f"http://{host}", f"https://{host}")) and (
        site is None or site == "same-origin"
    )


def refused(why: str, code: int) -> Response:
    return JSONResponse({"error": why}, code)
