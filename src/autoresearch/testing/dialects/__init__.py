"""Four providers' ways to ask a model and to be answered."""

from autoresearch.testing.dialects.anthropic import Anthropic
from autoresearch.testing.dialects.base import Dialect
from autoresearch.testing.dialects.chat import Chat
from autoresearch.testing.dialects.gemini import Gemini
from autoresearch.testing.dialects.responses import Responses


def dialect_of(path: str) -> Dialect | None:
    """By the path of a request, wherever the endpoint is mounted."""
    bare = path.partition("?")[0]
    if bare.endswith("/chat/completions"):
        return Chat()
    if bare.endswith("/responses"):
        return Responses()
    if bare.endswith("/messages"):
        return Anthropic()
    if bare.endswith((":generateContent", ":streamGenerateContent")):
        return Gemini()
    return None
