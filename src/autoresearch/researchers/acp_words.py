"""What is said over the Agent Client Protocol, in words of our own, without the SDK's types."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from autoresearch.experiment import Usage
from autoresearch.researchers.permissions import ToolCall

PATH_KEYS = frozenset(  # of a tool's raw input, in small letters and without underscores
    (
        *("path", "paths", "file", "files", "filepath", "filename", "absolutepath", "abspath"),
        *("targetfile", "source", "destination", "directory", "dir", "dirpath", "notebookpath"),
        *("cwd", "workdir"),
    )
)
COMMAND_KEYS = ("command", "cmd", "script", "bash_command")
MOST_PATHS = 100  # of one tool call


@dataclass(frozen=True, slots=True)
class About:
    """What an agent says of itself."""

    name: str = ""
    can_load: bool = False  # a session of an earlier process
    can_resume: bool = False  # the same, without telling all of it again
    logins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. `modes` and `mode`: how freely the agent may act."""

    id: str
    modes: tuple[str, ...] = ()
    mode: str = ""
    mode_option: str = ""  # of agents that keep the mode among their options


@dataclass(frozen=True, slots=True)
class Answer:
    """A prompt has ended: what it took, as far as the agent says."""

    usage: Usage | None = None
    model: str = ""


class Host(Protocol):
    """Who listens to an agent, and answers its questions."""

    def heard(self) -> None:
        """Something came, whatever it is."""

    def asked(self) -> None:
        """It asks for something, whatever it is."""

    def said(self, text: str) -> None:
        """A piece of a message."""

    def thought(self, text: str) -> None:
        """A piece of its reasoning."""

    def called(self, call: ToolCall, is_new: bool) -> None:
        """It uses a tool, or says more of it."""

    def allows(self, call: ToolCall) -> bool | None:
        """The answer to its request; None: the work is over anyway."""

    def read(self, path: str) -> str:
        """The text of a file. Raises Refused."""

    def write(self, path: str, text: str) -> None:
        """Replace the text of a file. Raises Refused."""

    def counted(self, context_tokens: int, cost_usd: float | None) -> None:
        """Its context after a call of the model, and what the session has cost so far."""


class AgentError(Exception):
    """An agent answered with an error."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.needs_login = code == -32000  # the protocol's "authentication required"


class Gone(Exception):
    """The connection has ended."""


def command_of(raw: object) -> str:
    """The line that a shell would run, of a tool's raw input."""
    if not isinstance(raw, Mapping):
        return ""
    for key in COMMAND_KEYS:
        match raw.get(key):
            case str(line) if line.strip():
                return line
            case [*words] if words:
                return shlex.join(map(str, words))
    return ""


def paths_of(raw: object, depth: int = 0) -> list[str]:
    """Every path that a tool's raw input names."""
    if depth > 4:
        return []
    if isinstance(raw, list):
        return [path for each in raw[:MOST_PATHS] for path in paths_of(each, depth + 1)]
    found: list[str] = []
    for key, value in raw.items() if isinstance(raw, Mapping) else ():
        if str(key).replace("_", "").lower() in PATH_KEYS:
            values = value if isinstance(value, list) else [value]
            found += [each for each in values if isinstance(each, str)]
        elif key == "changes" and isinstance(value, Mapping):  # Codex: by the file's name
            found += map(str, value)
        found += paths_of(value, depth + 1)
    return found[:MOST_PATHS]


def usage_of(total: int, read: int, written: int, cached: int, stored: int, thought: int) -> Usage:
    """What the counts of an answer mean.

    Agents differ in whether what was read holds what was cached, and what was written holds what
    was thought. Their total tells: it is the sum of what does not overlap.
    """
    all_read, all_written = read + cached + stored, written + thought
    if not read + written <= total < all_read + all_written:
        return Usage(all_read, all_written, cached)
    out = written if total <= all_read + written else all_written
    return Usage(total - out, out, min(cached, total - out))


def usage_of_quota(quota: object) -> tuple[Usage | None, str]:
    """Gemini's `_meta.quota` of an answer: what it took, and by which models."""
    if not isinstance(quota, Mapping):
        return None, ""
    models, counts = quota.get("model_usage"), quota.get("token_count")
    used = models if isinstance(models, list) else []
    names = [str(each.get("model") or "") for each in used if isinstance(each, Mapping)]
    if not isinstance(counts, Mapping):
        return None, ", ".join(filter(None, names))
    read, written = _whole(counts.get("input_tokens")), _whole(counts.get("output_tokens"))
    return (Usage(read, written) if read or written else None), ", ".join(filter(None, names))


def lines_of(text: str, line: int | None, limit: int | None) -> str:
    """From a line on, counted from 1, so many lines."""
    lines = text.splitlines(keepends=True)[max(0, (line or 1) - 1) :]
    return "".join(lines if limit is None else lines[: max(0, limit)])


def _whole(number: object) -> int:
    return number if isinstance(number, int) and number > 0 else 0
