"""What a model answers to `oneshot`: one JSON object, as a tool's arguments or in its text.

Models put it in fences, in prose, in another object, with lines broken within strings; all of that
is read. What cannot be read is `Unfit`, and the reason is written for the model.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolReturnPart,
    UserPromptPart,
)

from autoresearch.researchers.edits import Unfit
from autoresearch.text import clean_line

ANSWER_CHARACTERS = 400_000  # of one answer: what is longer is not even parsed
REPEATED_CHARACTERS = 60_000  # an answer up to here is shown to the model beside the reason
_MOST_BRACES = 50  # of a text, where its JSON object may begin


class Change(BaseModel):
    """One place of one file, replaced."""

    file: str = Field(description="An editable file, named as in the task.")
    search: str = Field(
        description="The lines to replace, copied exactly. They must be in the file once."
    )
    replace: str = Field(description="What stands there afterwards.")


class Answer(BaseModel):
    """One change of the editable files, and what it is expected to do."""

    description: str = Field(description="One line: what is changed, with old and new values.")
    hypothesis: str = Field(description="Why it should help, in one or two sentences.")
    expected: str = Field(default="", description="The effect on the metric, e.g. -0.01.")
    edits: list[Change] = Field(description="The replacements that make the change.")


def read_answer(response: ModelResponse) -> Answer:
    """Raises Unfit for what is no answer."""
    texts = words_of(response)
    if not any(text.strip() for text in texts):
        raise Unfit(f"There is no answer in it.{_cut_off(response)}")
    if sum(map(len, texts)) > ANSWER_CHARACTERS:
        raise Unfit(f"It has more than {ANSWER_CHARACTERS:,} characters: be brief.")
    for found in _objects(texts):
        try:
            answer = Answer.model_validate(found)
        except ValidationError as error:
            raise Unfit(f"It is not as asked for: {_problems(error)}.") from error
        if not answer.description.strip() or not answer.hypothesis.strip():
            raise Unfit("It must say what is changed (`description`) and why (`hypothesis`).")
        return answer
    raise Unfit(f"It holds no JSON object with `edits`.{_cut_off(response)}")


def _cut_off(response: ModelResponse) -> str:
    is_cut = response.finish_reason == "length"
    return " It was cut off at the limit of tokens: make it shorter." if is_cut else ""


def words_of(response: ModelResponse) -> list[str]:
    """The arguments of its calls, first of all, then what it says besides."""
    calls = [call.args_as_json_str() for call in response.tool_calls]
    return calls + [part.content for part in response.parts if isinstance(part, TextPart)]


def _objects(texts: list[str]) -> Iterator[Mapping[str, Any]]:
    """JSON objects with `edits`, wherever in texts; lines may be broken within their strings."""
    decoder = json.JSONDecoder(strict=False)
    for text in texts:
        for brace in islice(re.finditer(r"\{", text), _MOST_BRACES):
            with suppress(ValueError, RecursionError):
                found, _ = decoder.raw_decode(text, brace.start())
                if isinstance(found, dict) and "edits" in found:
                    yield found


def _problems(error: ValidationError) -> str:
    found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5]]
    return clean_line("; ".join(found), 500)


def sent_back(response: ModelResponse, reason: str) -> list[ModelMessage]:
    """The answer once more, where it is short enough, and why it cannot be used."""
    words = (
        f"Your answer cannot be used, and nothing was changed.\n{reason}\n"
        "Answer once more, with the whole change."
    )
    if not 0 < sum(map(len, words_of(response))) <= REPEATED_CHARACTERS:
        forgotten = ModelResponse([TextPart("(An answer that is not repeated here.)")])
        return [forgotten, ModelRequest([UserPromptPart(words)])]
    calls = response.tool_calls
    results = [ToolReturnPart(call.tool_name, words, call.tool_call_id) for call in calls]
    return [response, ModelRequest(results if calls else [UserPromptPart(words)])]
