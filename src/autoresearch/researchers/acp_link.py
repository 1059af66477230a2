"""The Agent Client Protocol over its SDK: the one module that knows the SDK.

    link = await Link.open(ear, mouth, host)    descriptors: what the agent says, what it hears
    about = await link.initialize("1.0")
    session = await link.new_session(tree)
    answer = await link.prompt(session.id, "...")

While a call runs, all that the agent says and asks goes to the host, one at a time. What is not
understood is dropped. The SDK reports what it cannot handle to the root logger, and so to the
person's terminal: nothing that it cannot handle gets as far as it.

Protocol version 1: https://agentclientprotocol.com
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from acp.connection import Connection
from acp.exceptions import RequestError
from acp.meta import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION
from acp.schema import (
    AgentMessageChunk,
    AgentThoughtChunk,
    FileEditToolCallContent,
    InitializeResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    ReadTextFileRequest,
    RequestPermissionRequest,
    SessionNotification,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
    WriteTextFileRequest,
)
from pydantic import ValidationError

from autoresearch.errors import AutoresearchError
from autoresearch.experiment import Usage
from autoresearch.researchers.acp_pipe import Pipe
from autoresearch.researchers.acp_words import (
    MOST_PATHS,
    About,
    AgentError,
    Answer,
    Gone,
    Host,
    Session,
    command_of,
    lines_of,
    paths_of,
    usage_of,
    usage_of_quota,
)
from autoresearch.researchers.permissions import Refused, ToolCall

Said = ToolCallStart | ToolCallProgress | ToolCallUpdate


@dataclass(slots=True)
class Link:
    """A connection to an agent. `failure`: what the host raised while it listened."""

    _host: Host
    _pipe: Pipe
    failure: Exception | None = None
    _connection: Connection | None = None
    _calls: dict[str, ToolCall] = field(default_factory=dict)
    _is_replaying: bool = False

    @classmethod
    async def open(cls, ear: int, mouth: int, host: Host) -> "Link":
        """Take over both descriptors."""
        link = cls(host, await Pipe.open(ear, mouth, host.heard))
        link._connection = Connection(link._handle, link._pipe)
        return link

    @property
    def is_flooded(self) -> bool:
        """Whether it said more than anyone could read."""
        return self._pipe.is_flooded

    @property
    def noise(self) -> str:
        """The last line that was no message."""
        return self._pipe.noise

    async def initialize(self, version: str) -> About:
        """Say who we are; learn who it is."""
        capabilities = {"fs": {"readTextFile": True, "writeTextFile": True}, "terminal": False}
        result = await self._ask(
            "initialize",
            protocolVersion=PROTOCOL_VERSION,
            clientCapabilities=capabilities,
            clientInfo={"name": "autoresearch", "version": version},
        )
        said = _model(InitializeResponse, result)
        if said.protocol_version != PROTOCOL_VERSION:
            raise AgentError(f"it speaks version {said.protocol_version} of the protocol", 0)
        can, info = said.agent_capabilities, said.agent_info
        sessions = can.session_capabilities if can else None
        return About(
            f"{info.name} {info.version}" if info else "",
            bool(can and can.load_session),
            bool(sessions and sessions.resume is not None),
            tuple(method.id for method in said.auth_methods or ()),
        )

    async def login(self, method: str) -> None:
        await self._ask("authenticate", methodId=method)

    async def new_session(self, tree: Path) -> Session:
        result = await self._ask("session_new", cwd=str(tree), mcpServers=[])
        said = _model(NewSessionResponse, result)
        return _session(said.session_id, result)

    async def continue_session(self, id: str, tree: Path, about: About) -> Session:
        """Take up a session of an earlier process; what was said in it is not heard again."""
        method = "session_resume" if about.can_resume else "session_load"
        self._is_replaying = True
        try:
            result = await self._ask(method, sessionId=id, cwd=str(tree), mcpServers=[])
        finally:
            self._is_replaying = False
        return _session(id, result)

    async def set_mode(self, session: Session, mode: str) -> None:
        if session.mode_option:
            values = {"configId": session.mode_option, "value": mode}
            await self._ask("session_set_config_option", sessionId=session.id, **values)
        else:
            await self._ask("session_set_mode", sessionId=session.id, modeId=mode)

    async def prompt(self, session: str, text: str) -> Answer:
        result = await self._ask(
            "session_prompt", sessionId=session, prompt=[{"type": "text", "text": text}]
        )
        return _ended(result)

    async def cancel(self, session: str) -> None:
        """Ask it to stop what it does; the prompt then ends as `cancelled`."""
        assert self._connection is not None
        with suppress(ConnectionError):
            await self._connection.send_notification(
                AGENT_METHODS["session_cancel"], {"sessionId": session}
            )

    async def close(self) -> None:
        """Let go of both descriptors: it sees the end of its input."""
        if self._connection is not None:
            await self._connection.close()
        await self._pipe.shut()

    async def _ask(self, method: str, **params: Any) -> Any:
        assert self._connection is not None
        try:
            return await self._connection.send_request(AGENT_METHODS[method], params)
        except RequestError as error:
            raise AgentError(_words(error), error.code) from error
        except ConnectionError as error:
            raise Gone("it closed the connection") from error

    # what the agent says and asks

    async def _handle(self, method: str, params: Any, is_notification: bool) -> Any:
        if not is_notification:
            self._host.asked()
        try:
            return self._answer(method, params)
        except (RequestError, Refused, ValidationError) as error:
            if is_notification:
                return None  # the SDK would write it to the root logger
            if isinstance(error, ValidationError):
                raise RequestError.invalid_params() from None
            if isinstance(error, Refused):
                raise RequestError(-32602, str(error)) from None
            raise
        except Exception as error:
            # Anything but the host's own errors came of what the agent sent: no night ends of it.
            # Such as Spent, and a store that cannot be written, belong to whoever waits.
            if isinstance(error, AutoresearchError | sqlite3.Error):
                self.failure = self.failure or error
            if is_notification:
                return None
            raise RequestError.internal_error() from None

    def _answer(self, method: str, params: Any) -> Any:
        if method == CLIENT_METHODS["session_update"]:
            if not self._is_replaying:
                self._update(SessionNotification.model_validate(params).update)
            return None
        if method == CLIENT_METHODS["session_request_permission"]:
            return self._permission(RequestPermissionRequest.model_validate(params))
        if method == CLIENT_METHODS["fs_read_text_file"]:
            wanted = ReadTextFileRequest.model_validate(params)
            text = self._host.read(wanted.path)
            return {"content": lines_of(text, wanted.line, wanted.limit)}
        if method == CLIENT_METHODS["fs_write_text_file"]:
            written = WriteTextFileRequest.model_validate(params)
            self._host.write(written.path, written.content)
            return {}
        if method == CLIENT_METHODS["elicitation_create"]:
            return {"action": "decline"}  # nobody is there
        raise RequestError.method_not_found(str(method))

    def _update(self, update: object) -> None:
        match update:
            case AgentMessageChunk(content=TextContentBlock(text=text)):
                self._host.said(text)
            case AgentThoughtChunk(content=TextContentBlock(text=text)):
                self._host.thought(text)
            case ToolCallStart() | ToolCallProgress():
                self._host.called(*self._known(update))
            case UsageUpdate():
                in_dollars = update.cost is not None and update.cost.currency.upper() == "USD"
                cost = update.cost.amount if update.cost and in_dollars else None
                self._host.counted(update.used, cost)

    def _permission(self, request: RequestPermissionRequest) -> dict[str, Any]:
        """The answer, chosen by kind: ids say nothing, and `allow_always` is for good."""
        call, _ = self._known(request.tool_call)
        answer = self._host.allows(call)
        kinds = ("allow_once",) if answer else ()
        refusals = () if answer is None else ("reject_once", "reject_always")
        if chosen := _option(request.options, *kinds, *refusals):
            return {"outcome": {"outcome": "selected", "optionId": chosen}}
        return {"outcome": {"outcome": "cancelled"}}

    def _known(self, said: Said) -> tuple[ToolCall, bool]:
        """All that is known of a tool call by now, and whether it is a new one."""
        before = self._calls.get(said.tool_call_id)
        call = before or ToolCall(said.tool_call_id)
        diffs = [
            each.path for each in said.content or () if isinstance(each, FileEditToolCallContent)
        ]
        places = [each.path for each in said.locations or ()]
        paths = dict.fromkeys((*call.paths, *diffs, *places, *paths_of(said.raw_input)))
        call = replace(
            call,
            title=said.title or call.title,
            kind=said.kind or call.kind,
            status=said.status or call.status,
            paths=tuple(paths)[:MOST_PATHS],
            command=command_of(said.raw_input) or call.command,
            has_diff=call.has_diff or bool(diffs),
        )
        self._calls[said.tool_call_id] = call
        return call, before is None


def _model(kind: Any, result: Any) -> Any:
    try:
        return kind.model_validate(result)
    except ValidationError as error:
        raise AgentError(f"its answer is no {kind.__name__}", 0) from error


def _ended(result: object) -> Answer:
    """How a prompt ended: whatever an agent calls its end, what it did until then counts."""
    fields = result if isinstance(result, Mapping) else {}
    known = {**fields, "stopReason": "end_turn"}
    try:
        said = PromptResponse.model_validate(known)
    except ValidationError:  # of what it took nothing is known
        said = PromptResponse(stop_reason="end_turn")
    return Answer(*_usage(said))


def _words(error: RequestError) -> str:
    """The message of an error, with its details, where it has any; a code of HTTP's is said."""
    data = error.data
    if isinstance(data, Mapping):
        data = data.get("details") or data.get("message") or data
    more = "" if data is None else data if isinstance(data, str) else json.dumps(data, default=str)
    is_http = isinstance(error.code, int) and 400 <= error.code < 600  # it may be a word
    status = f"status {error.code}: " if is_http else ""
    return (
        f"{status}{error}: {more}"[:20_000] if more and more != str(error) else f"{status}{error}"
    )


def _session(id: str, result: Any) -> Session:
    """What an answer says of a session's modes, in the older form or among its options."""
    fields = result or {}
    if not isinstance(fields, Mapping):
        raise AgentError(f"its answer is no {NewSessionResponse.__name__}", 0)
    said = _model(NewSessionResponse, {**fields, "sessionId": id})
    if said.modes is not None:
        modes = tuple(mode.id for mode in said.modes.available_modes)
        return Session(id, modes, said.modes.current_mode_id)
    for option in said.config_options or ():
        if option.type == "select" and option.category == "mode":
            values = tuple(each.value for each in option.options if hasattr(each, "value"))
            return Session(id, values, option.current_value, option.id)
    return Session(id)


def _option(options: list[PermissionOption], *kinds: str) -> str:
    """The id of an option of the first kind that is offered."""
    found = [each.option_id for kind in kinds for each in options if each.kind == kind]
    return found[0] if found else ""


def _usage(said: PromptResponse) -> tuple[Usage | None, str]:
    """What a prompt took, and by which models."""
    usage, model = usage_of_quota((said.field_meta or {}).get("quota"))
    if (told := said.usage) is None:
        return usage, model
    cached, stored = told.cached_read_tokens or 0, told.cached_write_tokens or 0
    counts = (told.total_tokens, told.input_tokens, told.output_tokens, cached, stored)
    return usage_of(*counts, told.thought_tokens or 0), model
