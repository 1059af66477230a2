"""Four providers' ways to ask a model and to be answered, as far as a scripted model needs them.

Shapes from the providers' published references: OpenAI "Chat Completions" and "Responses",
Anthropic "Messages", Google "generateContent" and "streamGenerateContent".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from autoresearch.testing.scripts import Message, Refuse, Request, Spoken, Tool

Json = dict[str, Any]
INPUT_TOKENS = 1000  # what every answer says that it took
OUTPUT_TOKENS = 10
PIECE = 64 * 1024  # characters of text in one event of a stream


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `name` "": without one."""

    data: str
    name: str = ""

    def encode(self) -> bytes:
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {self.data}\n\n".encode()


class Dialect(Protocol):
    """One provider's shapes."""

    name: str

    def request(self, path: str, body: Json, number: int) -> Request: ...
    def whole(self, reply: Spoken, request: Request) -> Json: ...
    def stream(self, reply: Spoken, request: Request) -> Iterator[Event]: ...
    def error(self, fault: Refuse) -> Json: ...


def pieces(text: str) -> Iterator[str]:
    """Of a stream: two or more, where the text has as many characters."""
    size = max(1, min(PIECE, (len(text) + 1) // 2))
    yield from (text[at : at + size] for at in range(0, max(len(text), 1), size))


def texts(content: Any) -> list[str]:
    """Of a text, or of blocks or parts with a `text`."""
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, Sequence) else [content or {}]
    return [each["text"] for each in blocks if isinstance(each, Mapping) and each.get("text")]


def said(role: str, content: Any) -> list[Message]:
    """What an agent adds for itself, in tags, is not what a person says."""
    found = []
    for text in texts(content):
        wrapped = role == "user" and text.lstrip().startswith("<") and text.rstrip().endswith(">")
        found.append(Message("system" if wrapped or role == "developer" else role, text))
    return found


def tool(function: Mapping[str, Any]) -> Tool:
    keys = ("parameters", "input_schema", "parametersJsonSchema")
    schema: Mapping[str, Any] = next((function[key] for key in keys if function.get(key)), {})
    return Tool(function.get("name", ""), schema, function.get("type") == "custom")
