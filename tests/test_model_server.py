"""Protects the scripted model: four dialects say the same thing, and each fault is one."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from autoresearch.testing.model_server import INPUT_TOKENS, OUTPUT_TOKENS, ModelServer
from autoresearch.testing.scripts import (
    Answer,
    Cut,
    Edit,
    Nonsense,
    Read,
    Refuse,
    Reply,
    Request,
    Say,
    Shell,
    Stall,
    Write,
    by_step,
    in_order,
)

FILE = {"type": "object", "properties": {"file_path": {"type": "string"}}}
SHELL = {
    "properties": {"command": {"type": "string"}, "why": {"type": "string"}},
    "required": ["command", "why"],
}
GEMINI = "/v1beta/models/m:{}GenerateContent"


def chat(stream: bool, result: str | None) -> tuple[str, dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Working directory: /desk"},
        {"role": "user", "content": [{"type": "text", "text": "begin"}]},
    ]
    if result is not None:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
            {"role": "tool", "tool_call_id": "c", "content": result},
        ]
    tools = [("read", FILE), ("bash", SHELL)]
    offered = [{"type": "function", "function": {"name": n, "parameters": p}} for n, p in tools]
    body = {"model": "m", "stream": stream, "messages": messages, "tools": offered}
    return "/v1/chat/completions", body


def responses(stream: bool, result: str | None) -> tuple[str, dict[str, Any]]:
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "begin"}]}
    ]
    if result is not None:
        items.append({"type": "function_call_output", "call_id": "c", "output": result})
    tools = [("read", FILE), ("shell", SHELL)]
    offered = [{"type": "function", "name": n, "parameters": p} for n, p in tools]
    return "/v1/responses", {
        "model": "m", "stream": stream, "input": items, "tools": offered,
        "instructions": "<cwd>/desk</cwd>",
    }  # fmt: skip


def anthropic(stream: bool, result: str | None) -> tuple[str, dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "begin"}]
    if result is not None:
        block = {"type": "tool_result", "tool_use_id": "c"}
        reminder = {"type": "text", "text": "<system-reminder>be quick</system-reminder>"}
        block["content"] = [{"type": "text", "text": result}]  # type: ignore[assignment]
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "Read"}]},
            {"role": "user", "content": [block, reminder]},
        ]
    tools = [{"name": "Read", "input_schema": FILE}, {"name": "Bash", "input_schema": SHELL}]
    return "/v1/messages?beta=true", {
        "model": "m", "stream": stream, "messages": messages, "tools": tools, "max_tokens": 9,
        "system": [{"type": "text", "text": "Primary working directory: /desk"}],
    }  # fmt: skip


def gemini(stream: bool, result: str | None) -> tuple[str, dict[str, Any]]:
    contents: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "begin"}]}]
    if result is not None:
        said = {"functionResponse": {"name": "read_file", "response": {"output": result}}}
        contents.append({"role": "user", "parts": [said]})
    tools = [
        {"name": "read_file", "parametersJsonSchema": FILE},
        {"name": "run_shell_command", "parametersJsonSchema": SHELL},
    ]
    path = GEMINI.format("stream") + "?alt=sse" if stream else "/v1beta/models/m:generateContent"
    return path, {
        "contents": contents, "tools": [{"functionDeclarations": tools}],
        "systemInstruction": {"parts": [{"text": "Workspace directories:\n  - /desk"}]},
    }  # fmt: skip


DIALECTS = {"chat": chat, "responses": responses, "anthropic": anthropic, "gemini": gemini}


def post(server: ModelServer, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    link = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        link.request("POST", path, json.dumps(body))
        answer = link.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        link.close()


def events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def found(fact: object, *keys: str) -> list[Any]:
    """Every value under one of these keys, however deep."""
    values: list[Any] = []
    if isinstance(fact, dict):
        values += [value for key, value in fact.items() if key in keys]
        values += [each for value in fact.values() for each in found(value, *keys)]
    if isinstance(fact, list):
        values += [each for value in fact for each in found(value, *keys)]
    return values


def spoken(fact: object) -> str:
    pieces = found(fact, "text", "content", "delta")
    return "".join(each for each in pieces if isinstance(each, str))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_carries_a_call_and_a_word(name: str, stream: bool) -> None:
    ask = DIALECTS[name]
    with ModelServer(by_step(Read("train.py"), Say("all is well"))) as server:
        status, _, first = post(server, *ask(stream, None))
        _, _, second = post(server, *ask(stream, "X = 1.0"))
    assert status == 200
    called = list(events(first)) if stream else json.loads(first)
    assert "/desk/train.py" in json.dumps(called)
    assert {"read", "read_file", "Read"} & set(found(called, "name"))
    told = list(events(second)) if stream else json.loads(second)
    assert "all is well" in spoken(told)
    input_keys = ("prompt_tokens", "input_tokens", "promptTokenCount")
    assert INPUT_TOKENS in found(told, *input_keys)
    output_keys = ("completion_tokens", "output_tokens", "candidatesTokenCount")
    assert OUTPUT_TOKENS in found(told, *output_keys)
    before, after = server.requests
    assert (before.dialect, before.stream, before.model) == (name, stream, "m")
    assert (before.prompt, before.folder, before.step) == ("begin", "/desk", 0)
    assert (after.prompt, after.step, after.number) == ("begin", 1, 1)
    assert "X = 1.0" in after.results[0]
    assert server.tokens == 2 * (INPUT_TOKENS + OUTPUT_TOKENS)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_ends_as_its_dialect_says(name: str) -> None:
    with ModelServer(in_order(Say("well"))) as server:
        _, _, text = post(server, *DIALECTS[name](True, None))
    last = [line for line in text.splitlines() if line.startswith("data: ")][-1]
    ends = {
        "chat": "[DONE]", "responses": "response.completed", "anthropic": "message_stop",
        "gemini": "STOP",
    }  # fmt: skip
    assert ends[name] in last


@pytest.mark.parametrize("name", DIALECTS)
def test_what_a_tool_requires_is_filled_in(name: str) -> None:
    with ModelServer(in_order(Shell("ls"))) as server:
        _, _, text = post(server, *DIALECTS[name](False, None))
    assert "ls" in text
    assert "scripted" in text  # the argument `why`


def test_an_edit_without_a_tool_for_it_becomes_a_patch() -> None:
    with ModelServer(in_order(Edit("train.py", "X = 1", "X = 2"))) as server:
        _, _, text = post(server, *responses(False, None))
        path, body = responses(False, None)
        body["tools"] = [{"type": "custom", "name": "apply_patch"}]
        _, _, freeform = post(server, path, body)
    (call,) = found(json.loads(text), "arguments")
    command = json.loads(call)["command"]
    assert command.startswith("apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: train.py\n")
    assert "\n-X = 1\n+X = 2\n" in command
    assert "\n-X = 1\n+X = 2\n" in found(json.loads(freeform), "input")[0]


def test_a_new_file_without_a_tool_for_it_becomes_a_patch() -> None:
    with ModelServer(in_order(Write("new.py", "a\nb\n"))) as server:
        _, _, text = post(server, *responses(False, None))
    assert "*** Add File: new.py\\\\n+a\\\\n+b\\\\n" in text


def test_a_structured_answer_takes_the_tool_offered_or_is_json() -> None:
    with ModelServer(in_order(Answer({"x": 1}))) as server:
        path, body = chat(False, None)
        function = {"name": "final_result", "parameters": {}}
        body["tools"].append({"type": "function", "function": function})
        _, _, by_tool = post(server, path, body)
        del body["tools"]
        _, _, by_text = post(server, path, body)
    assert found(json.loads(by_tool), "function") == [
        {"name": "final_result", "arguments": '{"x": 1}'}
    ]
    assert found(json.loads(by_text), "content") == ['{"x": 1}']


# faults


@pytest.mark.parametrize("name", DIALECTS)
def test_a_refusal_names_its_status_and_when_to_come_back(name: str) -> None:
    with ModelServer(in_order(Refuse(429, "slow down", 7), Refuse(500))) as server:
        status, headers, text = post(server, *DIALECTS[name](True, None))
        second, _, _ = post(server, *DIALECTS[name](False, None))
    assert (status, headers["Retry-After"], second) == (429, "7", 500)
    assert found(json.loads(text), "message") == ["slow down"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_cut_answer_is_not_whole(name: str, stream: bool) -> None:
    with (
        ModelServer(in_order(Cut())) as server,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        post(server, *DIALECTS[name](stream, None))
    assert caught.value.partial  # something came


def test_nonsense_has_status_200_and_no_meaning() -> None:
    with ModelServer(in_order(Nonsense())) as server:
        status, _, text = post(server, *chat(False, None))
    assert status == 200
    assert "It works!" in text


def test_a_stall_ends_with_the_server() -> None:
    with ModelServer(in_order(Stall())) as server:
        link = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=0.2)
        link.request("POST", *_encoded(chat(True, None)))
        with pytest.raises(TimeoutError):
            link.getresponse()
        began = time.monotonic()
    assert time.monotonic() - began < 2
    link.close()


def _encoded(asked: tuple[str, dict[str, Any]]) -> tuple[str, bytes]:
    return asked[0], json.dumps(asked[1]).encode()


@pytest.mark.parametrize("name", DIALECTS)
def test_ten_megabytes_arrive_whole(name: str) -> None:
    long = "x" * 10_000_000
    with ModelServer(in_order(Say(long))) as server:
        _, _, text = post(server, *DIALECTS[name](True, None))
    assert spoken(list(events(text))).count("x") >= len(long)


def test_a_failing_script_is_heard_of() -> None:
    def script(request: Request) -> Reply:
        raise KeyError(request.model)

    server, status = ModelServer(script), 0
    with pytest.raises(KeyError), server:
        status, _, _ = post(server, *chat(False, None))
    assert status == 500


def test_an_unknown_path_is_written_down() -> None:
    with ModelServer(in_order(Say("x"))) as server:
        status, _, _ = post(server, "/v1/embeddings", {})
    assert status == 404
    assert server.unknown == ["POST /v1/embeddings"]
    assert server.requests == []
