"""A coding agent without a model: speaks the Agent Client Protocol, and behaves as it is told.

    python -m autoresearch.testing.acp_agent BEHAVIOUR [ARGUMENT]

`edit` is a good one: it asks, turns the first CAPITAL number of train.py, and states its change.
The others are what agents are known to do at night; BEHAVIOURS lists them. It needs nothing but
the standard library, so that it starts at once.

Protocol version 1: https://agentclientprotocol.com
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoresearch.testing.acp_wire import ALLOW, REFUSE, Agent, RpcError


def edit(agent: Agent) -> str:
    """Asks for one edit, makes it, states it."""
    agent.think("What about the first constant?")
    after, statement = agent.turn_constant()
    path = str(agent.cwd / "train.py")
    diff = {"type": "diff", "path": path, "oldText": "", "newText": after}
    call = agent.tool("edit", "Edit train.py", content=[diff], locations=[{"path": path}])
    if agent.may(call) != "yes":
        agent.update("tool_call_update", toolCallId=call, status="failed")
        return "cancelled"
    (agent.cwd / "train.py").write_text(after)
    agent.update("tool_call_update", toolCallId=call, status="completed")
    agent.say("Done.\n" + statement)
    return "end_turn"


def question(agent: Agent) -> str:
    """Asks what to do; goes on once it was told to decide itself."""
    if agent.turn > 1:
        return edit(agent)
    agent.say("I could raise the learning rate. Shall I go ahead?")
    return "end_turn"


def stop(agent: Agent) -> str:
    """Ends every turn without a word."""
    return "end_turn"


def silent(agent: Agent) -> str:
    """Edits, and states it only when asked."""
    if agent.turn == 1:
        after, agent.statement = agent.turn_constant()
        (agent.cwd / "train.py").write_text(after)
        agent.say("I have turned a constant. All is well.")
    else:
        agent.say(agent.statement)
    return "end_turn"


def locked(agent: Agent) -> str:
    """Asks to edit prepare.py; takes the editable file once it was told why not."""
    if agent.turn > 1:
        return edit(agent)
    path = str(agent.cwd / "prepare.py")
    call = agent.tool("edit", "Edit prepare.py", locations=[{"path": path}])
    agent.say(f"I was told {agent.may(call)}.")
    return "end_turn"


def locked_unasked(agent: Agent) -> str:
    """Writes prepare.py without asking; puts it right when told."""
    path = agent.cwd / "prepare.py"
    before = path.read_text()
    if agent.turn == 1:
        path.write_text("# mine\n" + before)
        agent.say("The judge was in the way.")
        return "end_turn"
    path.write_text(before.removeprefix("# mine\n"))
    return edit(agent)


def outside(agent: Agent) -> str:
    """Tries what it may not do, by every way that the protocol offers; says what came of it."""
    tried = {
        "cat": agent.may(agent.tool("read", "a", rawInput={"command": "cat /etc/passwd"})),
        "label": agent.may(agent.tool("read", "b", rawInput={"command": ["sh", "-c", "id > x"]})),
        "web": agent.may(agent.tool("fetch", "c", rawInput={"url": "http://127.0.0.1"})),
        "up": agent.may(agent.tool("edit", "d", rawInput={"file_path": "../train.py"})),
    }
    (agent.cwd / "link").symlink_to(agent.argument or "/etc/passwd")
    for name, path in (("passwd", "/etc/passwd"), ("link", str(agent.cwd / "link"))):
        try:
            tried[name] = agent.ask("fs/read_text_file", path=path)["content"]
        except RpcError as error:
            tried[name] = f"refused: {error}"
    for name in ("prepare.py", "link", "../x"):
        try:
            agent.ask("fs/write_text_file", path=str(agent.cwd / name), content="mine")
            tried[f"write {name}"] = "written"
        except RpcError as error:
            tried[f"write {name}"] = f"refused: {error}"
    (agent.cwd / "link").unlink()
    agent.say(json.dumps(tried) + "\n\n")
    return edit(agent)


def client_files(agent: Agent) -> str:
    """Reads and writes train.py through the client."""
    path = str(agent.cwd / "train.py")
    text = agent.ask("fs/read_text_file", path=path)["content"]
    lines = agent.ask("fs/read_text_file", path=path, line=2, limit=1)["content"]
    after, statement = agent.turn_constant()
    assert len(text) > len(lines) > 0
    agent.ask("fs/write_text_file", path=path, content=after)
    agent.say(f"Line 2 is {lines!r}.\n{statement}")
    return "end_turn"


def permissions(agent: Agent) -> str:
    """Asks in odd ways; says what was chosen."""
    here = {"locations": [{"path": str(agent.cwd / "train.py")}]}
    always = ("for good", "allow_always")
    misleading = (("allow_once", "reject_once"), ("reject", "allow_once"))
    chosen = {
        "only an id": agent.may(agent.tool("edit", "a", **here)),
        "two": agent.may(agent.tool("edit", "b", **here), ("x", "allow_once"), ("y", "allow_once")),
        "always": agent.may(agent.tool("edit", "c", **here), always, REFUSE),
        "only always": agent.may(agent.tool("edit", "d", **here), always),
        "ids": agent.may(agent.tool("edit", "e", **here), *misleading),
        "never": agent.may(agent.tool("fetch", "f"), ALLOW, ("never", "reject_always")),
        "unknown": agent.may("never heard of", title="Edit", kind="edit", **here),
        "bash": agent.may(agent.tool("read", "g", rawInput={"command": ["bash", "-lc", "ls"]})),
    }
    form = {"message": "Which?", "mode": "form", "requestedSchema": {"type": "object"}}
    chosen["elicitation"] = agent.ask("elicitation/create", **form)["action"]
    try:
        chosen["terminal"] = agent.ask("terminal/create", command="id")
    except RpcError as error:
        chosen["terminal"] = str(error)
    agent.say(json.dumps(chosen) + "\n\n")
    return edit(agent)


def usage(agent: Agent) -> str:
    """Two calls of its model, told as agents tell them: contexts, a growing cost, a sum."""
    for used, cost in ((1000, 0.01), (1000, 0.01), (1500, 0.025)):
        agent.update(
            "usage_update", used=used, size=10**6, cost={"amount": cost, "currency": "USD"}
        )
    return edit(agent)


def hang(agent: Agent) -> str:
    """Falls silent in the middle of a tool, with a child of its own."""
    agent.tool("execute", "Train for a while")
    if os.fork():
        Path(agent.argument).write_text(str(os.getpid())) if agent.argument else None
    time.sleep(3600)
    return "end_turn"


def die(agent: Agent) -> str:
    """Dies at work: always, or only as long as the file that the argument names is not there."""
    mark = Path(agent.argument) if agent.argument else None
    if mark and mark.exists():
        return edit(agent)
    if mark:
        mark.touch()
    print("Error: out of luck", file=sys.stderr, flush=True)
    os._exit(3)


def loop(agent: Agent) -> str:
    """Uses tools without end; edits before that, if the argument says so."""
    if agent.argument:
        edit(agent)
    while not agent.is_cancelled:
        agent.update("tool_call_update", toolCallId=agent.tool("read", "again"), status="completed")
        agent.look()
    return "cancelled"


def mute_loop(agent: Agent) -> str:
    """Uses its model without end, and tells no tool."""
    while not agent.is_cancelled:
        agent.update("usage_update", used=1000, size=10**6)
        agent.look()
    return "cancelled"


def ask_loop(agent: Agent) -> str:
    """Asks without end, for a permission or, if the argument says so, for a file."""
    call = agent.tool("execute", "Run", rawInput={"command": "rm -rf /"})
    while not agent.is_cancelled:
        if agent.argument:
            agent.ask("fs/read_text_file", path=str(agent.cwd / "train.py"))
        else:
            agent.may(call)
    return "cancelled"


def odd_end(agent: Agent) -> str | None:
    """Edits, and ends its turn with a reason that nobody knows, the argument or none at all."""
    edit(agent)
    return agent.argument or None


def flood(agent: Agent) -> str:
    """Talks without end."""
    while not agent.is_cancelled:
        agent.say("blah " * 10_000)
        agent.look()
    return "cancelled"


def big_line(agent: Agent) -> str:
    """One message of more megabytes than the argument says."""
    agent.say("x" * (int(agent.argument or 20) * 2**20))
    return "end_turn"


def noise(agent: Agent) -> str:
    """Prints what is no message, and messages that nobody knows."""
    for line in (b"Loading...", b"\xff\xfe", b"[1]", b"3", b'{"id": [1]}', b'{"method": 1}', b""):
        agent.write(line + b"\n")
    agent.write(b"[" * 100_000 + b"\n")
    agent.send(id=7, error="what?")
    agent.send(id=99, result=None)
    agent.send(method="session/update", params={"sessionId": "x", "update": {}})
    agent.send(method="session/update", params=None)
    agent.send(method="no/such/method", params={})
    agent.update("of_tomorrow", content=3)
    agent.update("tool_call_update", toolCallId="never heard of", status="odd")
    return edit(agent)


def limited(agent: Agent) -> str:
    """Answers with an error: the argument, or that of a rate limit."""
    raise RpcError(agent.argument or "429 Too Many Requests. Please try again in 2m 5s.")


def error_text(agent: Agent) -> str:
    """Says an error as if the model had said it."""
    agent.say(agent.argument or "[API Error: 503 Service Unavailable]")
    return "end_turn"


def deaf(agent: Agent) -> str:
    """Edits, and then neither the end of its input nor a polite signal ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return edit(agent)


def escape(agent: Agent) -> str:
    """Reads and writes where it may not, without asking; says what came of it, and edits."""
    outside = agent.argument.split(os.pathsep) if agent.argument else ["/mine"]
    tried: dict[str, str | None] = {}
    for path in outside:
        agent.tool("execute", "Look", rawInput={"command": f"cat {path}"})
        try:
            tried[f"cat {path}"] = (agent.cwd / path).read_text(errors="replace")[:40]
        except OSError as error:
            tried[f"cat {path}"] = error.strerror
    for path in ("prepare.py", "history/README.md", "../mine", *outside):
        agent.tool("edit", "Write", locations=[{"path": str(agent.cwd / path)}])
        try:
            (agent.cwd / path).write_text("mine")
            tried[path] = "written"
        except OSError as error:
            tried[path] = error.strerror
    agent.say(json.dumps(tried) + "\n\n")
    return edit(agent)


def report(agent: Agent) -> str:
    """Says where it is and what it was given, and edits."""
    facts = {
        "cwd": str(Path.cwd()),
        "mode": agent.mode,
        "turn": agent.turn,
        "names": sorted(os.environ),
    }
    agent.say(json.dumps({**facts, "session": agent.session, "login": agent.has_login}) + "\n\n")
    return edit(agent)


def closed(agent: Agent) -> str:
    """Opens no session, with the argument as its error."""
    raise RpcError(agent.argument or "503 Service Unavailable")


def mute(agent: Agent) -> str:
    """Never answers, not even the first request."""
    return stop(agent)


BEHAVIOURS: dict[str, Callable[[Agent], str | None]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        *(edit, question, stop, silent, locked, locked_unasked, outside, client_files),
        *(permissions, usage, hang, die, loop, mute_loop, ask_loop, odd_end, flood, big_line),
        *(noise, limited, error_text, deaf, escape, report, closed, mute),
    )
}


def main() -> None:
    behaviour, argument = (*sys.argv[1:3], "", "")[:2]
    agent = Agent(behaviour, argument)
    if behaviour == "mute":
        time.sleep(3600)
    try:
        while message := agent.receive():
            answer(agent, message)
    finally:
        if behaviour == "deaf":
            time.sleep(3600)


def answer(agent: Agent, message: dict[str, Any]) -> None:
    """Answer one request; a notification changes nothing between two turns."""
    if "id" not in message or "method" not in message:
        return
    method, params = message["method"], message.get("params") or {}
    try:
        agent.send(id=message["id"], result=result_of(agent, method, params))
    except RpcError as error:
        wants_login = str(error) == "Authentication required"
        code, text = (-32000, str(error)) if wants_login else (-32603, "Internal error")
        agent.send(
            id=message["id"], error={"code": code, "message": text, "data": {"details": str(error)}}
        )


def result_of(agent: Agent, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result of a request. Raises RpcError."""
    agent.session = params.get("sessionId", agent.session)
    match method:
        case "initialize":
            return {
                "protocolVersion": 1,
                "agentInfo": {"name": "acp_agent", "version": "1"},
                "agentCapabilities": {"loadSession": True},
                "authMethods": [{"id": "key", "name": "By key"}],
            }
        case "authenticate":
            agent.has_login = True
            return {}
        case "session/new" if agent.behaviour == "closed":
            closed(agent)
        case "session/new" | "session/load":
            if agent.argument == "login" and not agent.has_login:
                raise RpcError("Authentication required")
            return open_session(agent, method, params)
        case "session/set_mode":
            agent.mode = params["modeId"]
            return {}
        case "session/prompt":
            agent.told("".join(part.get("text", "") for part in params["prompt"]))
            stopped = BEHAVIOURS[agent.behaviour](agent)
            counts = {"totalTokens": 2600, "inputTokens": 500, "outputTokens": 100}
            usage = {"usage": {**counts, "cachedReadTokens": 2000}}
            return {"stopReason": stopped, **(usage if agent.behaviour == "usage" else {})}
    raise RpcError(f"no method {method}")


def open_session(agent: Agent, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """A new session, or an earlier one, which is told once more from its beginning."""
    agent.cwd = Path(params["cwd"])
    if method == "session/load":
        agent.turn = int(agent.session.partition("-")[2])
        agent.say("Of earlier: Description: old\nHypothesis: old")
    else:
        agent.turn, agent.session = 0, f"{os.getpid()}-1"
    modes = [{"id": "free", "name": "Free"}, {"id": "asking", "name": "Asking"}]
    return {"sessionId": agent.session, "modes": {"currentModeId": "free", "availableModes": modes}}


if __name__ == "__main__":
    main()
