"""Anthropic Messages: POST .../messages"""

import json
from collections.abc import Iterator
from typing import Any

from autoresearch.testing.dialects.base import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Event,
    Json,
    pieces,
    said,
    texts,
    tool,
)
from autoresearch.testing.scripts import Message, Refuse, Request, Say, Spoken


class Anthropic:
    """Anthropic Messages: POST .../messages"""

    name = "anthropic"

    def request(self, path: str, body: Json, number: int) -> Request:
        messages = said("system", body.get("system") or "")
        for each in body["messages"]:
            content = each["content"]
            blocks = [{"text": content}] if isinstance(content, str) else content
            results = [block for block in blocks if block.get("type") == "tool_result"]
            for block in results:
                messages.append(Message("tool", "".join(texts(block.get("content") or ""))))
            role = "system" if results else each["role"]  # reminders beside a result
            messages += said(role, [block for block in blocks if block not in results])
        tools = tuple(tool(each) for each in body.get("tools") or ())
        stream = bool(body.get("stream"))
        return Request(self.name, body["model"], stream, tuple(messages), tools, number)

    def _block(self, reply: Spoken, request: Request) -> Json:
        if isinstance(reply, Say):
            return {"type": "text", "text": reply.text}
        return {
            "type": "tool_use", "id": f"toolu_{request.number}", "name": reply.tool,
            "input": dict(reply.arguments),
        }  # fmt: skip

    def whole(self, reply: Spoken, request: Request) -> Json:
        return {
            "id": f"msg_{request.number}", "type": "message", "role": "assistant",
            "model": request.model, "content": [self._block(reply, request)],
            "stop_reason": "end_turn" if isinstance(reply, Say) else "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
        }  # fmt: skip

    def stream(self, reply: Spoken, request: Request) -> Iterator[Event]:
        def event(kind: str, **fields: Any) -> Event:
            return Event(json.dumps({"type": kind, **fields}), kind)

        whole, block = self.whole(reply, request), self._block(reply, request)
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": 0}
        yield event(
            "message_start",
            message={**whole, "content": [], "stop_reason": None, "usage": usage},
        )
        if isinstance(reply, Say):
            yield event("content_block_start", index=0, content_block={**block, "text": ""})
            for piece in pieces(reply.text):
                delta = {"type": "text_delta", "text": piece}
                yield event("content_block_delta", index=0, delta=delta)
        else:
            yield event("content_block_start", index=0, content_block={**block, "input": {}})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            yield event("content_block_delta", index=0, delta=delta)
        yield event("content_block_stop", index=0)
        ends = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield event("message_delta", delta=ends, usage=whole["usage"])
        yield event("message_stop")

    def error(self, fault: Refuse) -> Json:
        kind = "rate_limit_error" if fault.status == 429 else "api_error"
        return {"type": "error", "error": {"type": kind, "message": fault.message}}
