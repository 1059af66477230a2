"""What a scripted model is asked and what it answers, in no provider's dialect.

A script is a function from `Request` to `Reply`. It needs no memory: `request.step`, the number of
tool results since the person last spoke, says how far a conversation is, and the texts say which
conversation it is. A reply may be an intent (`Read`, `Edit`, `Write`, `Shell`, `Answer`): it
becomes a call of the tool that this agent offers for it.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """One that the request offers. `schema` is the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, Any]
    freeform: bool = False  # takes one text instead of arguments


@dataclass(frozen=True, slots=True)
class Message:
    """`role` is system, user, assistant, or tool: the result of a call."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the model."""

    dialect: str  # chat, responses, anthropic or gemini
    model: str
    stream: bool
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    number: int = 0  # how many calls the server had before this one

    @property
    def text(self) -> str:
        """Everything that the model is shown."""
        return "\n".join(each.text for each in self.messages)

    @property
    def prompt(self) -> str:
        """What the person said last."""
        said = [each.text for each in self.messages if each.role == "user"]
        return said[-1] if said else ""

    @property
    def results(self) -> tuple[str, ...]:
        """Of the calls since the person last spoke."""
        last = max((at for at, each in enumerate(self.messages) if each.role == "user"), default=-1)
        return tuple(each.text for each in self.messages[last + 1 :] if each.role == "tool")

    @property
    def step(self) -> int:
        return len(self.results)

    @property
    def folder(self) -> str:
        """Where the agent says that it works, "" if nowhere."""
        found = _FOLDER.search(self.text)
        return found[1] if found else ""


_FOLDER = re.compile(
    r"(?:working directory|workspace director(?:y|ies)|<cwd>)\W*?(/[^\s<`'\",]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Say:
    """Text, and the turn is over."""

    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """A call of the tool with this name. A freeform tool takes the text `input`."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    file: str


@dataclass(frozen=True, slots=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Shell:
    command: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A structured answer: a call of the output tool that is offered, else JSON as text."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refuse:
    """An HTTP error instead of an answer: 429, 500, ..."""

    status: int
    message: str = "scripted refusal"
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing for so long, then an empty answer; the server's end cuts it short."""

    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Cut:
    """Half an answer with this text, then the connection is gone."""

    text: str = "I was about to say"


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Status 200, and a body that is no answer in any dialect."""

    body: str = "<html><body>It works!</body></html>"


Spoken = Say | Use
Intent = Read | Edit | Write | Shell | Answer
Fault = Refuse | Stall | Cut | Nonsense
Reply = Spoken | Intent | Fault
Script = Callable[[Request], Reply]


def in_order(*replies: Reply) -> Script:
    """The first call gets the first reply, and so on; the last one stays."""
    return lambda request: replies[min(request.number, len(replies) - 1)]


def by_step(*replies: Reply) -> Script:
    """Of each turn: the first call gets the first reply, the one with its result the second."""
    return lambda request: replies[min(request.step, len(replies) - 1)]


# intents become calls of the tools that an agent offers

_TOOLS = {
    Read: ("read", "read_file"),
    Edit: ("edit", "replace", "edit_file"),
    Write: ("write", "write_file"),
    Shell: ("bash", "run_shell_command", "shell", "shell_command", "exec_command"),
}
_FIELDS = {
    "file": ("filePath", "file_path", "absolute_path", "path"),
    "old": ("oldString", "old_string", "old_str"),
    "new": ("newString", "new_string", "new_str"),
    "text": ("content", "file_text"),
    "command": ("command", "cmd"),
}
_FILLED = {"string": "scripted", "boolean": False, "integer": 1, "number": 1, "array": []}


def spoken(reply: Spoken | Intent, request: Request) -> Spoken:
    """The reply in words that this request understands."""
    match reply:
        case Say() | Use():
            return reply
        case Answer(fields):
            names = [each.name for each in request.tools]
            wanted = [name for name in names if name.startswith("final_result")] or names
            return Use(wanted[0], fields) if wanted else Say(json.dumps(dict(fields)))
        case _:
            return _call(reply, request)


def _call(intent: Read | Edit | Write | Shell, request: Request) -> Spoken:
    tool = next((t for t in request.tools if t.name.lower() in _TOOLS[type(intent)]), None)
    if tool is not None:
        return Use(tool.name, _arguments(tool, intent, request.folder))
    match intent:
        case Read(file):
            return _call(Shell(f"cat {shlex.quote(file)}"), request)
        case Edit(file, old, new):
            return _patch(f"*** Update File: {file}\n@@\n{_diff(old, new)}", request)
        case Write(file, text):
            return _patch(f"*** Add File: {file}\n{_diff('', text)}", request)
        case Shell(command):
            return Say(f"I would run `{command}`, but no tool for it is offered.")


def _arguments(tool: Tool, intent: object, folder: str) -> dict[str, Any]:
    """Its fields under the names that the tool's schema has, and whatever else it requires."""
    properties = tool.schema.get("properties", {})
    filled = {
        name: _FILLED.get(properties.get(name, {}).get("type", "string"), {})
        for name in tool.schema.get("required", ())
    }
    for field, names in _FIELDS.items():
        value = getattr(intent, field, None)
        name = next((each for each in names if each in properties), None)
        if value is None or name is None:
            continue
        if field == "file" and folder and not value.startswith("/"):
            value = f"{folder.rstrip('/')}/{value}"
        listed = properties[name].get("type") == "array"
        filled[name] = ["bash", "-lc", value] if listed else value
    return filled


def _patch(body: str, request: Request) -> Spoken:
    """Codex knows edits only as patches, by a tool of their own or through the shell."""
    patch = f"*** Begin Patch\n{body}\n*** End Patch\n"
    if any(each.name == "apply_patch" for each in request.tools):
        return Use("apply_patch", {"input": patch})
    return _call(Shell(f"apply_patch <<'EOF'\n{patch}EOF\n"), request)


def _diff(old: str, new: str) -> str:
    return "\n".join(
        [f"-{line}" for line in old.splitlines()] + [f"+{x}" for x in new.splitlines()]
    )
