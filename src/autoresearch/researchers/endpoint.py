"""Where a model is reached: `PROVIDER:MODEL`, or `PROVIDER:MODEL@URL`.

    openai:gpt-5                                   the provider itself, key in OPENAI_API_KEY
    anthropic:claude-sonnet-5                      ANTHROPIC_API_KEY
    google:gemini-3-pro                            GOOGLE_API_KEY or GEMINI_API_KEY
    openai:qwen3@http://127.0.0.1:11434/v1         whatever speaks the provider's dialect there:
    anthropic:glm@https://gateway.example/api      key, if it wants one, in ONESHOT_API_KEY

A provider's key goes to that provider only, or to where its own variable for that points
(OPENAI_BASE_URL, ANTHROPIC_BASE_URL, GOOGLE_GEMINI_BASE_URL); never to an URL of the command line.
"""

import ipaddress
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider_class
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from autoresearch.errors import UserError
from autoresearch.text import clean_line

MOST_ANSWER_BYTES = 32 * 2**20  # of one HTTP answer; what has more is not read to its end
CONNECT_SECONDS = 30.0
URL_KEY = "ONESHOT_API_KEY"
_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
}
_BASES = {
    "openai": "OPENAI_BASE_URL",
    "anthropic": "ANTHROPIC_BASE_URL",
    "google": "GOOGLE_GEMINI_BASE_URL",
}
_NO_KEY = "none"  # libraries insist on some


class Flood(Exception):
    """An answer that does not end."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model of a provider, or one that speaks like the provider's at `url`."""

    provider: str  # openai, anthropic or google
    name: str
    url: str = ""  # "": the provider's own

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of what stands behind `oneshot:`. Raises UserError, for a key that is missing, too."""
        where, at, rest = text.strip().partition("@http")
        provider, _, name = (word.strip() for word in where.partition(":"))
        if provider not in _KEYS or not name:
            raise UserError(
                f"oneshot: {clean_line(text, 80)!r} names no model: write PROVIDER:MODEL or "
                f"PROVIDER:MODEL@URL, with a provider of {', '.join(_KEYS)}"
            )
        endpoint = cls(provider, name, _checked(f"http{rest}") if at else "")
        try:
            infer_provider_class(provider)
        except ImportError as error:
            raise UserError(
                f"oneshot: {provider} needs a package that is not installed ({error.name}): "
                "pip install 'autoresearch[oneshot]'"
            ) from error
        if not endpoint.url and not endpoint.key:
            raise UserError(
                f"oneshot: {provider} needs a key: set {' or '.join(_KEYS[provider])}, or name an "
                f"endpoint that needs none, such as {provider}:{name}@http://127.0.0.1:8000/v1"
            )
        return endpoint

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}" + (f"@{self.url}" if self.url else "")

    @property
    def key_variable(self) -> str:
        """Where the key comes from: the first that is set, or the one to set."""
        names = (URL_KEY,) if self.url else _KEYS[self.provider]
        return next((name for name in names if os.environ.get(name)), names[0])

    @property
    def key(self) -> str:
        return os.environ.get(self.key_variable, "")

    def client(self, seconds: float) -> httpx2.AsyncClient:
        """A client for this endpoint, which refuses to read without an end."""
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            headers={"Accept-Encoding": "identity"},  # so that what is counted is all there is
            trust_env=not _is_loopback(self.url),  # a proxy has no way to this machine
            event_hooks={"response": [_capped]},
        )

    def model(self, client: httpx2.AsyncClient) -> Model:
        """The library's model. Providers other than this one are not even imported."""
        base, key = self.url or os.environ.get(_BASES[self.provider]), self.key or _NO_KEY
        kind = self.provider
        provider: Provider[Any]
        if kind == "openai" and base:  # what is like OpenAI's speaks Chat, seldom Responses
            kind = "openai-chat"
            provider = OpenAICompatibleProvider(
                "openai-compatible", base_url=base, api_key=key, http_client=client
            )
        else:
            base = base.rstrip("/").removesuffix("/v1") if base else None
            make: Any = infer_provider_class(kind)
            provider = make(api_key=key, http_client=client, base_url=base)
        return infer_model(f"{kind}:{self.name}", lambda _: provider)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_fine = bool(parts.hostname) and parts.scheme in ("http", "https")
        has_secret = "@" in parts.netloc
        assert parts.port is None or parts.port
    except (ValueError, AssertionError):
        is_fine = has_secret = False
    if has_secret:
        raise UserError(f"oneshot: a password in an URL is shown everywhere: use {URL_KEY}")
    if not is_fine:
        raise UserError(
            f"oneshot: {clean_line(url, 80)!r} is no URL: write one such as "
            "http://127.0.0.1:11434/v1"
        )
    return url


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _capped(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Capped(response.stream)


class _Capped(httpx2.AsyncByteStream):
    """A body, up to a size. Raises Flood."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MOST_ANSWER_BYTES:
                raise Flood
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
