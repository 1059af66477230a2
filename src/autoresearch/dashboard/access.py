"""Who may see the page and give orders: whoever has the token, from the page itself.

The token comes once in the address that the terminal prints, and is then a cookie that no script
can read. Beside it, each request must name this machine as its host (a name on the internet can be
made to point here), and must not have been sent by a page of another origin.

Not covered: who can read the traffic. Beyond this machine, use ssh port forwarding.
"""

import hashlib
import ipaddress
import os
import re
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TOKEN = re.compile(r"[\w-]{32,128}", re.ASCII)
_TAG = re.compile(r"[\w.-]{1,64}", re.ASCII)
_LOCAL_NAMES = ("localhost",)
COOKIE_DAYS = 30

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
{head}<title>autoresearch</title><h1>{title}</h1><p>{text}</p></html>
"""
_WELCOME = _PAGE.format(
    head='<meta http-equiv="refresh" content="0; url=/#/{tag}">'
    '<link rel="icon" href="/static/icon.svg">',
    title="Welcome",
    text='The page opens now: <a href="/#/{tag}">go on</a>.',
)
_LOCKED = _PAGE.format(
    head="",
    title="Open the address that the terminal shows",
    text="This page needs a token. <code>autoresearch watch</code> prints its address with the "
    "token in it: open that one. It is remembered afterwards.",
)


def token_of(home: Path) -> str:
    """The lab's token: made on first use, and kept where only its owner can read it."""
    path = home / "watch-token"
    try:
        path.chmod(0o600)
        if _TOKEN.fullmatch(known := path.read_text(encoding="ascii").strip()):
            return known
    except (OSError, UnicodeDecodeError):
        pass
    token = secrets.token_urlsafe(32)
    write_secret(path, token)
    return token


def write_secret(path: Path, text: str) -> None:
    """Into a file that at no moment anybody else can read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, text.encode())
    os.close(file)
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must have to be answered."""

    token: str
    host: str = "127.0.0.1"  # that the server is bound to
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))  # of our style elements

    @property
    def cookie(self) -> str:
        """Its name differs between labs: cookies know no ports."""
        return "autoresearch-" + hashlib.sha256(self.token.encode()).hexdigest()[:12]

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
            return self.opening(request)
        return self.inside(request)

    def inside(self, request: Request) -> Response | None:
        """The same for what only the page asks."""
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return refused("the page itself must ask", 403)
        if not self.is_known(request):
            return refused("no token", 401)
        if request.method == "POST" and not is_from_page(request):
            return refused("only the page itself can give orders", 403)
        return None

    def is_known(self, request: Request) -> bool:
        return self.access.knows(request.cookies.get(self.access.cookie, ""))

    def opening(self, request: Request) -> Response | None:
        """The page's own address, to which a link on another site may lead."""
        if "token" in request.query_params:
            return self.welcome(request)
        return None if self.is_known(request) else HTMLResponse(_LOCKED, 401)

    def welcome(self, request: Request) -> Response:
        """Take the token out of the address. A redirect would not do: a browser that was led here
        by a page of another site sends no strict cookie along it."""
        if not self.access.knows(request.query_params["token"]):
            return HTMLResponse(_LOCKED, 401)
        tag = request.query_params.get("tag", "")
        answer = HTMLResponse(_WELCOME.format(tag=tag if _TAG.fullmatch(tag) else ""))
        answer.set_cookie(
            self.access.cookie,
            self.access.token,
            max_age=COOKIE_DAYS * 86400,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


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
