"""The agent's side of the Agent Client Protocol, as small as it can be, for agents in tests."""

import json
import os
import re
import select
from pathlib import Path
from typing import Any

ALLOW, REFUSE = ("yes", "allow_once"), ("no", "reject_once")
STATEMENT = """
**Description:** {name} from {before} to {after}
**Hypothesis:** the loss is lower there
**Expected:** -0.1
"""
CONSTANT = re.compile(r"^([A-Z][A-Z0-9_]*) = (\d+(?:\.\d+)?)", re.MULTILINE)

NUMBER = re.compile(r"yours is number (\d+)|Now propose experiment (\d+)")


class RpcError(Exception):
    """The client answered with an error."""


class Agent:
    """One connection: what was asked, and the means to answer."""

    def __init__(self, behaviour: str, argument: str) -> None:
        self.behaviour, self.argument = behaviour, argument
        self.cwd, self.number, self.turn = Path(), 1, 0  # of the proposal; of this session
        self.statement = ""  # of a change that was made without saying so
        self.mode, self.session, self.is_cancelled, self.has_login = "free", "", False, False
        self._rest, self._asked, self._calls, self._later = b"", 0, 0, []  # type: ignore[var-annotated]

    # the wire

    def send(self, **message: Any) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(1, data) :]

    def receive(self, wait: bool = True) -> dict[str, Any] | None:
        """The next message; None when there is none. Exits at the end of the input."""
        while b"\n" not in self._rest:
            if not wait and not select.select([0], [], [], 0)[0]:
                return None
            data = os.read(0, 2**16)
            if not data:
                raise SystemExit(0)
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, method: str, **params: Any) -> Any:
        """A request to the client, and its answer. Raises RpcError."""
        self._asked += 1
        self.send(id=self._asked, method=method, params={"sessionId": self.session, **params})
        while True:
            message = self.receive() or {}
            if message.get("method") == "session/cancel":
                self.is_cancelled = True
            elif message.get("id") == self._asked and "method" not in message:
                if "error" in message:
                    raise RpcError(message["error"]["message"])
                return message["result"]

    def update(self, kind: str, /, **fields: Any) -> None:
        """Tell the client something of the session."""
        params = {"sessionId": self.session, "update": {"sessionUpdate": kind, **fields}}
        self.send(method="session/update", params=params)

    def look(self) -> None:
        """Notice that the work was cancelled."""
        while message := self.receive(wait=False):
            self.is_cancelled |= message.get("method") == "session/cancel"

    # what an agent says and does

    def say(self, text: str) -> None:
        self.update("agent_message_chunk", content={"type": "text", "text": text})

    def think(self, text: str) -> None:
        self.update("agent_thought_chunk", content={"type": "text", "text": text})

    def tool(self, kind: str, title: str, /, **fields: Any) -> str:
        """Begin to use a tool; returns the call's id."""
        self._calls += 1
        call = f"call-{self._calls}"
        fields = {"kind": kind, "title": title, "status": "pending", **fields}
        self.update("tool_call", toolCallId=call, **fields)
        return call

    def may(self, call: str, /, *options: tuple[str, str], **fields: Any) -> str:
        """Ask for permission; returns the id of the chosen option, or "cancelled"."""
        offered = [
            {"optionId": id, "kind": kind, "name": id} for id, kind in options or (ALLOW, REFUSE)
        ]
        asked = {"toolCallId": call, **fields}
        outcome = self.ask("session/request_permission", toolCall=asked, options=offered)["outcome"]
        chosen: str = outcome.get("optionId", outcome["outcome"])
        return chosen

    def turn_constant(self) -> tuple[str, str]:
        """The text of train.py with its first number turned, and the statement of that change.

        By how much depends on the number of the proposal.
        """
        before = (self.cwd / "train.py").read_text()
        found = CONSTANT.search(before)
        assert found is not None
        value = f"{float(found[2]) + self.number / 8:g}"
        after = f"{before[: found.start(2)]}{value}{before[found.end(2) :]}"
        return after, STATEMENT.format(name=found[1], before=found[2], after=value)

    def told(self, prompt: str) -> None:
        """A turn begins."""
        self.turn, self.is_cancelled = self.turn + 1, False
        if found := NUMBER.search(prompt):
            self.number = int(found[1] or found[2])
