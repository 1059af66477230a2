"""Messages over two pipes: one a line, as JSON. It is the SDK's transport, and needs none of it.

An agent can send whatever it likes. What is no message is dropped; a message longer than
LONGEST_MESSAGE_BYTES, or more than MOST_BYTES in all, is a flood and ends the connection.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LONGEST_MESSAGE_BYTES = 16 * 2**20
MOST_BYTES = 128 * 2**20


@dataclass(slots=True)
class Pipe:
    """Both descriptors of an agent. `heard` is told of everything that comes."""

    _reader: asyncio.StreamReader
    _ear: asyncio.BaseTransport
    _mouth: asyncio.WriteTransport
    _heard: Callable[[], None]
    is_flooded: bool = False
    noise: str = ""  # the last line that was no message
    _read: int = 0
    _rest: bytearray = field(default_factory=bytearray)

    @classmethod
    async def open(cls, ear: int, mouth: int, heard: Callable[[], None]) -> "Pipe":
        """Take over the descriptors: `ear` is read from, `mouth` is written to."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        hearing, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(ear, "rb", 0))
        speaking, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(mouth, "wb", 0))
        return cls(reader, hearing, speaking, heard)

    async def send(self, message: dict[str, Any]) -> None:
        if self._mouth.get_write_buffer_size() > LONGEST_MESSAGE_BYTES:
            self.is_flooded = True  # it asks and asks, and never reads an answer
        elif not self._mouth.is_closing():
            self._mouth.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end, and in a flood."""
        while (line := await self._line()) is not None:
            self._heard()
            if (message := read_message(line)) is not None:
                return message
            self.noise = line[:2000].decode("utf-8", "replace").strip() or self.noise
        return None

    async def close(self) -> None:
        """Does nothing: the SDK calls it while it still writes. See shut()."""

    async def shut(self) -> None:
        """Let go of both descriptors."""
        self._ear.close()
        if not self._mouth.is_closing():  # as it is when the agent was gone first
            self._mouth.abort()
        await asyncio.sleep(0)  # then they are closed, too

    async def _line(self) -> bytes | None:
        looked = 0
        while (end := self._rest.find(b"\n", looked)) < 0:
            looked = len(self._rest)
            self.is_flooded |= looked > LONGEST_MESSAGE_BYTES or self._read > MOST_BYTES
            data = b"" if self.is_flooded else await self._reader.read(2**16)
            if not data:
                return None
            self._read += len(data)
            self._rest += data
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line


def read_message(line: bytes) -> dict[str, Any] | None:
    """A message of JSON-RPC that the SDK can take apart without stumbling; None for all else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("id", 0), int | str | None):
        return None
    if not isinstance(message.get("error", {}), dict | None):
        return None
    return message if isinstance(message.get("method", ""), str | None) else None
