"""OpenAI Responses: POST .../responses"""

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
from autoresearch.testing.dialects.chat import Chat
from autoresearch.testing.scripts import Message, Refuse, Request, Say, Spoken


class Responses:
    """OpenAI Responses: POST .../responses"""

    name = "responses"

    def request(self, path: str, body: Json, number: int) -> Request:
        messages = said("system", body.get("instructions") or "")
        items = body["input"]
        for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
            if item.get("type", "").endswith("_call_output"):
                messages.append(Message("tool", "".join(texts(item.get("output") or ""))))
            elif "role" in item:
                messages += said(item["role"], item.get("content"))
        tools = tuple(tool(each) for each in body.get("tools") or () if each.get("name"))
        stream = bool(body.get("stream"))
        return Request(self.name, body["model"], stream, tuple(messages), tools, number)

    def _item(self, reply: Spoken, request: Request) -> Json:
        if isinstance(reply, Say):
            part = {"type": "output_text", "text": reply.text, "annotations": []}
            return {
                "type": "message", "id": f"msg_{request.number}", "role": "assistant",
                "status": "completed", "content": [part],
            }  # fmt: skip
        call = {"call_id": f"call_{request.number}", "name": reply.tool, "status": "completed"}
        if any(each.freeform and each.name == reply.tool for each in request.tools):
            text = reply.arguments["input"]
            return {
                "type": "custom_tool_call",
                "id": f"ctc_{request.number}",
                **call,
                "input": text,
            }
        arguments = json.dumps(dict(reply.arguments))
        return {
            "type": "function_call", "id": f"fc_{request.number}", **call, "arguments": arguments
        }  # fmt: skip

    def _response(self, request: Request, output: list[Json], status: str) -> Json:
        usage = {
            "input_tokens": INPUT_TOKENS, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": OUTPUT_TOKENS, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }  # fmt: skip
        return {
            "id": f"resp_{request.number}", "object": "response", "created_at": 1_700_000_000,
            "model": request.model, "status": status, "output": output, "tools": [],
            "parallel_tool_calls": False, "tool_choice": "auto", "error": None,
            "usage": usage if status == "completed" else None,
        }  # fmt: skip

    def whole(self, reply: Spoken, request: Request) -> Json:
        return self._response(request, [self._item(reply, request)], "completed")

    def stream(self, reply: Spoken, request: Request) -> Iterator[Event]:
        count = 0

        def event(kind: str, **fields: Any) -> Event:
            nonlocal count
            count += 1
            return Event(json.dumps({"type": kind, "sequence_number": count, **fields}), kind)

        item = self._item(reply, request)
        yield event("response.created", response=self._response(request, [], "in_progress"))
        begun = {**item, "content": []} if isinstance(reply, Say) else item
        yield event("response.output_item.added", output_index=0, item=begun)
        if isinstance(reply, Say):
            place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            empty = {**item["content"][0], "text": ""}
            yield event("response.content_part.added", **place, part=empty)
            for piece in pieces(reply.text):
                yield event("response.output_text.delta", **place, delta=piece)
            yield event("response.output_text.done", **place, text=reply.text)
            yield event("response.content_part.done", **place, part=item["content"][0])
        yield event("response.output_item.done", output_index=0, item=item)
        done = self._response(request, [item], "completed")
        yield event("response.completed", response=done)

    def error(self, fault: Refuse) -> Json:
        return Chat().error(fault)
