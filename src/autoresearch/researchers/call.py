"""One call of a model: stopped when the person says so, bounded in time, counted, and once only.

Whatever goes wrong on the way is `Unavailable`: the model has not said anything that could be
judged, and another call at once would go the same way.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genai_prices import calc_price
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import (
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from autoresearch.errors import Unavailable
from autoresearch.experiment import Usage
from autoresearch.researchers.base import Desk
from autoresearch.researchers.endpoint import Endpoint, Flood
from autoresearch.text import clean_line

ANSWER_TOKENS = 20_000  # Anthropic insists on a limit; with more, its library would stream
TICK_SECONDS = 0.2
LONGEST_END_SECONDS = 5.0  # for a request that is broken off
_NO_TOOLS = (400, 404, 422, 500, 501)  # what servers say when their model has no tools
_CONTENT = ("message", "error", "detail")  # where error bodies have their words


class NoTools(Exception):
    """The endpoint, or the model there, cannot be given tools."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The calls of one proposal."""

    endpoint: Endpoint
    model: Model
    desk: Desk
    ends_at: float  # time.monotonic()

    async def call(
        self, messages: Sequence[ModelMessage], parameters: ModelRequestParameters
    ) -> ModelResponse:
        """The answer, counted. Raises Unavailable, NoTools, and what `tick` and `spend` raise."""
        settings = ModelSettings(max_retries=0)
        if self.endpoint.provider == "anthropic":
            settings["max_tokens"] = ANSWER_TOKENS
        request = asyncio.create_task(
            model_request(
                self.model,
                messages,
                model_settings=settings,
                model_request_parameters=parameters,
                instrument=False,
            )
        )
        try:
            await self._wait(request)
        finally:
            request.cancel()
            await asyncio.wait({request}, timeout=LONGEST_END_SECONDS)
        if error := request.exception():
            if parameters.output_tools and _is_about_tools(error):
                raise NoTools from error
            raise _unavailable(self.endpoint, error) from error
        answer = request.result()
        self.desk.ledger.spend(usage_of(answer), answer.model_name or self.endpoint.name)
        return answer

    async def _wait(self, request: asyncio.Task[ModelResponse]) -> None:
        while not request.done():
            self.desk.tick()
            left = self.ends_at - time.monotonic()
            if left <= 0:
                raise Unavailable(
                    f"{self.endpoint} hangs: no answer in {self.desk.seconds:.0f} s, which is all "
                    "that a proposal may take"
                )
            await asyncio.wait({request}, timeout=min(TICK_SECONDS, left))


def usage_of(answer: ModelResponse) -> Usage:
    """As the endpoint reports it; the price where the public price list knows the URL."""
    used = answer.usage
    try:
        price = calc_price(used, answer.model_name or "", provider_api_url=answer.provider_url)
        cost = float(price.total_price) if answer.provider_url else None
    except (LookupError, ValueError):
        cost = None
    return Usage(used.input_tokens, used.output_tokens, used.cache_read_tokens, cost)


def _is_about_tools(error: BaseException) -> bool:
    """Whether tools are what was refused; the model's name may have the word in it, too."""
    if isinstance(error, ModelHTTPError):
        words = _words(error.body).replace(error.model_name, "").lower()
        return error.status_code in _NO_TOOLS and "tool" in words
    return isinstance(error, UserError) and "tool" in str(error).lower()


def _unavailable(endpoint: Endpoint, error: BaseException) -> Unavailable:
    if any(isinstance(each, Flood) for each in _causes(error)):
        return Unavailable(f"{endpoint} floods: its answer does not end")
    if isinstance(error, ModelConnectionError):
        return Unavailable(f"{endpoint} cannot be reached: {_said(error)}")
    if not isinstance(error, ModelHTTPError):
        return Unavailable(f"{endpoint} answers what is no answer: {_said(error)}")
    if isinstance(error, ModelAuthenticationError) or error.status_code in (401, 403):
        variable = endpoint.key_variable
        if endpoint.key:
            return Unavailable(f"{endpoint} refuses the key in {variable} ({_said(error)})")
        return Unavailable(f"{endpoint} wants a key: set {variable} ({_said(error)})")
    return Unavailable(f"{endpoint} refuses: {_said(error)}", error.retry_after)


def is_refused(error: Unavailable) -> bool:
    """Whether the endpoint is there, and will never serve this model with this key."""
    cause = error.__cause__
    is_known = isinstance(cause, ModelHTTPError) and cause.status_code in (401, 403, 404)
    return is_known or isinstance(cause, ModelAuthenticationError)


def is_unheard(error: Unavailable) -> bool:
    """Whether nobody listens at the endpoint's address."""
    return isinstance(error.__cause__, ModelConnectionError)


def _said(error: BaseException) -> str:
    if isinstance(error, ModelHTTPError):
        return clean_line(f"HTTP {error.status_code}: {_words(error.body)}", 200)
    return clean_line(f"{type(error).__name__}: {error}", 200)


def _words(body: Any) -> str:
    """What a provider's error body says, wherever in it that stands."""
    while isinstance(body, Mapping):
        body = next((body[key] for key in _CONTENT if key in body), "")
    return str(body or "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
