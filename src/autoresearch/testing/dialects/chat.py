"""OpenAI Chat Completions: POST .../chat/completions"""

import json
from collections.abc import Iterator

from autoresearch.testing.dialects.base import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Event,
    Json,
    pieces,
    said,
    tool,
)
from autoresearch.testing.scripts import Refuse, Request, Say, Spoken


class Chat:
    """OpenAI Chat Completions: POST .../chat/completions"""

    name = "chat"

    def request(self, path: str, body: Json, number: int) -> Request:
        messages = [m for each in body["messages"] for m in said(each["role"], each["content"])]
        tools = tuple(tool(each["function"]) for each in body.get("tools") or ())
        stream = bool(body.get("stream"))
        return Request(self.name, body["model"], stream, tuple(messages), tools, number)

    def _about(self, request: Request, kind: str) -> Json:
        return {
            "id": f"chatcmpl-{request.number}", "object": kind, "created": 1_700_000_000,
            "model": request.model,
        }  # fmt: skip

    def _call(self, reply: Spoken, request: Request) -> Json:
        if isinstance(reply, Say):
            return {"role": "assistant", "content": reply.text}
        function = {"name": reply.tool, "arguments": json.dumps(dict(reply.arguments))}
        call = {"id": f"call_{request.number}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def _usage(self) -> Json:
        return {
            "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }  # fmt: skip

    def whole(self, reply: Spoken, request: Request) -> Json:
        reason = "stop" if isinstance(reply, Say) else "tool_calls"
        choice = {"index": 0, "message": self._call(reply, request), "finish_reason": reason}
        return {
            **self._about(request, "chat.completion"), "choices": [choice], "usage": self._usage()
        }  # fmt: skip

    def stream(self, reply: Spoken, request: Request) -> Iterator[Event]:
        about = self._about(request, "chat.completion.chunk")

        def chunk(delta: Json, reason: str | None = None) -> Event:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return Event(json.dumps({**about, "choices": [choice]}))

        if isinstance(reply, Say):
            for piece in pieces(reply.text):
                yield chunk({"role": "assistant", "content": piece})
        else:
            delta = self._call(reply, request)
            delta["tool_calls"][0]["index"] = 0
            yield chunk(delta)
        yield chunk({}, "stop" if isinstance(reply, Say) else "tool_calls")
        yield Event(json.dumps({**about, "choices": [], "usage": self._usage()}))
        yield Event("[DONE]")

    def error(self, fault: Refuse) -> Json:
        kind = "rate_limit_error" if fault.status == 429 else "server_error"
        return {"error": {"message": fault.message, "type": kind, "code": None, "param": None}}
