"""Google: POST .../models/MODEL:generateContent and :streamGenerateContent?alt=sse"""

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
from autoresearch.testing.scripts import Message, Refuse, Request, Say, Spoken


class Gemini:
    """Google: POST .../models/MODEL:generateContent and :streamGenerateContent?alt=sse"""

    name = "gemini"

    def request(self, path: str, body: Json, number: int) -> Request:
        place = path.partition("?")[0].rpartition("/")[2]
        model, _, verb = place.partition(":")
        messages = said("system", (body.get("systemInstruction") or {}).get("parts", ()))
        for each in body["contents"]:
            parts = each.get("parts", ())
            results = [part["functionResponse"] for part in parts if "functionResponse" in part]
            messages += [Message("tool", json.dumps(each.get("response"))) for each in results]
            role = {"model": "assistant"}.get(each.get("role", "user"), "user")
            messages += said("system" if results else role, parts)
        declared = [tool.get("functionDeclarations", ()) for tool in body.get("tools") or ()]
        tools = tuple(tool(each) for group in declared for each in group)
        stream = verb == "streamGenerateContent"
        return Request(self.name, model, stream, tuple(messages), tools, number)

    def _answer(self, part: Json, request: Request, *, ends: bool) -> Json:
        candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0}
        answer: Json = {"candidates": [candidate], "modelVersion": request.model}
        if ends:
            candidate["finishReason"] = "STOP"
            answer["usageMetadata"] = {
                "promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS,
                "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
            }  # fmt: skip
        return answer

    def _part(self, reply: Spoken) -> Json:
        if isinstance(reply, Say):
            return {"text": reply.text}
        return {"functionCall": {"name": reply.tool, "args": dict(reply.arguments)}}

    def whole(self, reply: Spoken, request: Request) -> Json:
        return self._answer(self._part(reply), request, ends=True)

    def stream(self, reply: Spoken, request: Request) -> Iterator[Event]:
        parts = [self._part(reply)]
        if isinstance(reply, Say):
            parts = [{"text": piece} for piece in pieces(reply.text)]
        for part in parts:
            answer = self._answer(part, request, ends=part is parts[-1])
            yield Event(json.dumps(answer))

    def error(self, fault: Refuse) -> Json:
        kind = "RESOURCE_EXHAUSTED" if fault.status == 429 else "INTERNAL"
        return {"error": {"code": fault.status, "message": fault.message, "status": kind}}
