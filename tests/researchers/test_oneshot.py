"""Protects `oneshot` over real HTTP: a change or a clear failure, and counted, whatever comes."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from autoresearch.errors import Failed, Spent, Stopped, Unavailable, UserError
from autoresearch.experiment import Proposal, Usage, Verdict
from autoresearch.researchers import endpoint
from autoresearch.researchers.base import Desk
from autoresearch.researchers.call import usage_of
from autoresearch.researchers.endpoint import Endpoint
from autoresearch.researchers.oneshot import (
    EDITABLE_CHARACTERS,
    HISTORY_CHARACTERS,
    LOCKED_CHARACTERS,
    Oneshot,
)
from autoresearch.testing.bench import Bench, contents
from autoresearch.testing.model_server import INPUT_TOKENS, OUTPUT_TOKENS, ModelServer
from autoresearch.testing.scripts import (
    Answer,
    Cut,
    Nonsense,
    Refuse,
    Reply,
    Request,
    Say,
    Stall,
    Use,
    in_order,
)
from autoresearch.testing.tiny import PREPARE, TRAIN
from tests.conftest import Call

ONCE = Usage(INPUT_TOKENS, OUTPUT_TOKENS)
PATHS = {"openai": "/v1", "anthropic": "", "google": ""}
VARIABLES = (
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"),
    *("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "ONESHOT_API_KEY"),
)


def change(search: str, replace_: str, file: str = "train.py", **more: object) -> dict[str, object]:
    return {
        "description": "X 1.0 -> 2.0",
        "hypothesis": "The loss is lower nearer to 3.",
        "expected": "-3",
        "edits": [{"file": file, "search": search, "replace": replace_}],
        **more,
    }


GOOD = Answer(change("X = 1.0 ", "X = 2.0 "))
BAD = Answer(change("X = 9.9", "X = 2.0"))
FORBIDDEN = Answer(change("def score", "def other", "prepare.py"))


@pytest.fixture(autouse=True)
def _without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@contextmanager
def serving(*replies: Reply, provider: str = "openai") -> Iterator[tuple[ModelServer, Oneshot]]:
    with ModelServer(in_order(*replies)) as server:
        yield server, Oneshot(f"{provider}:scripted@{server.url}{PATHS[provider]}")


def failure(bench: Bench, desk: Desk, *replies: Reply, provider: str = "openai") -> Failed:
    """What it raises; the desk is as it was."""
    before = contents(desk.tree)
    with serving(*replies, provider=provider) as (_, oneshot), pytest.raises(Failed) as caught:
        oneshot.propose(desk)
    assert contents(desk.tree) == before
    return caught.value


def edited(desk: Desk) -> str:
    return (desk.tree / "train.py").read_text()


# --- A change ---------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PATHS)
def test_a_good_answer_becomes_the_change(bench: Bench, provider: str) -> None:
    desk = bench.desk()
    with serving(GOOD, provider=provider) as (server, oneshot):
        proposal = oneshot.propose(desk)
    assert proposal == Proposal(
        "X 1.0 -> 2.0", "The loss is lower nearer to 3. Expected: -3 (val_bpb)", heard=True
    )
    assert edited(desk) == TRAIN.replace("X = 1.0 ", "X = 2.0 ")
    assert (bench.ledger.usages, bench.ledger.models) == ([ONCE], ["scripted"])
    assert len(server.requests) == 1
    assert not server.requests[0].stream
    assert not server.unknown
    assert bench.ledger.notes == []
    assert "X = 2.0" in "".join(bench.ledger.talks)


@pytest.mark.parametrize("provider", PATHS)
def test_an_edit_that_does_not_apply_is_sent_back_once(bench: Bench, provider: str) -> None:
    desk = bench.desk()
    with serving(BAD, GOOD, provider=provider) as (server, oneshot):
        oneshot.propose(desk)
    assert "X = 2.0" in edited(desk)
    assert bench.ledger.usages == [ONCE, ONCE]
    assert bench.ledger.kinds() == ["nudged"]
    first, second = server.requests
    assert second.prompt == first.prompt  # the same conversation,
    (told,) = second.results  # in which the call has the reason as its result
    assert "X = 9.9" not in first.text
    assert "is not in train.py. Nearest is line 5, which reads:" in told


def test_only_once(bench: Bench) -> None:
    desk = bench.desk()
    error = failure(bench, desk, BAD, FORBIDDEN, GOOD)
    assert type(error) is Failed
    assert "two unusable answers" in str(error)
    assert "prepare.py may not be edited" in str(error)
    assert bench.ledger.usages == [ONCE, ONCE]
    assert bench.ledger.kinds() == ["nudged", "refused"]


def test_an_edit_of_a_locked_file_is_refused_and_mended(bench: Bench) -> None:
    desk = bench.desk()
    with serving(FORBIDDEN, GOOD) as (server, oneshot):
        oneshot.propose(desk)
    assert bench.ledger.notes[0] == ("refused", "an edit of prepare.py, which may not be edited")
    assert "prepare.py may not be edited, only train.py" in server.requests[1].results[0]
    assert (desk.tree / "prepare.py").read_text() == (bench.lab.root / "prepare.py").read_text()


def test_what_the_engine_would_refuse_is_taken_back_and_mended(bench: Bench) -> None:
    desk = bench.desk()
    with serving(GOOD) as (_, oneshot):
        bench.finish(desk, oneshot.propose(desk), Verdict.DISCARD)
    desk = bench.desk()
    same = Answer(change("X = 1.0 ", "X = 2.00 # again\n#"))
    with serving(same, Answer(change("X = 1.0", "X = 2.5"))) as (server, oneshot):
        oneshot.propose(desk)
    assert "X = 2.5 " in edited(desk)
    assert "#1" in server.requests[1].results[0]
    assert bench.ledger.kinds() == ["refused", "nudged"]


# --- What is no answer ------------------------------------------------------------------------


MALFORMED = {
    "text": (Say("I would raise the learning rate."), "no JSON object"),
    "nothing": (Say(""), "There is no answer in it"),
    "fields": (Use("propose_change", {"description": "x", "edits": [{}]}), "edits.0.file"),
    "no edits": (Answer(change("a", "b", edits=[])), "There is no edit"),
    "no words": (Answer(change("X = 1.0", "X = 2.0", hypothesis=" ")), "`hypothesis`"),
    "long": (Say("la " * 200_000), "be brief"),
    "huge": (Say("x" * 10_000_000), "be brief"),
    "deep": (Say("[{" * 100_000), "no JSON object"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_answer_is_sent_back_with_the_reason(bench: Bench, case: str) -> None:
    bad, reason = MALFORMED[case]
    desk = bench.desk()
    with serving(bad, GOOD) as (server, oneshot):
        oneshot.propose(desk)
    assert "X = 2.0" in edited(desk)
    assert reason in server.requests[1].text
    assert len(server.requests[1].text) < len(server.requests[0].text) + 70_000
    assert bench.ledger.usages == [ONCE, ONCE]


def test_twice_malformed_is_failed_and_paid(bench: Bench) -> None:
    desk = bench.desk()
    error = failure(bench, desk, Say("no"), Say("no"), GOOD, provider="anthropic")
    assert "no JSON object" in str(error)
    assert not isinstance(error, Unavailable)
    assert bench.ledger.used == ONCE + ONCE


@pytest.mark.parametrize("around", ["{}", "Here it is:\n```json\n{}\n```\nI hope {{it}} helps."])
def test_json_in_a_text_is_an_answer(bench: Bench, around: str) -> None:
    desk = bench.desk()
    body = json.dumps(change("X = 1.0 ", "X = 2.0\n"), indent=1).replace("\\n", "\n")
    with serving(Say(around.format(body))) as (server, oneshot):
        oneshot.propose(desk)
    assert "X = 2.0\n" in edited(desk)
    assert len(server.requests) == 1


def test_words_of_the_model_are_made_harmless(bench: Bench) -> None:
    desk = bench.desk()
    words = {"description": "\x1b[31mX\n2\u202e", "hypothesis": "a\u200b" + "b" * 9000}
    with serving(Answer(change("X = 1.0", "X = 2.0", **words))) as (_, oneshot):
        proposal = oneshot.propose(desk)
    assert proposal.description == "X 2"
    assert proposal.hypothesis.startswith("ab")
    assert len(proposal.hypothesis) < 800


# --- Models without tools ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 500])
def test_an_endpoint_without_tools_is_asked_for_text(bench: Bench, status: int) -> None:
    def script(request: Request) -> Reply:
        if request.tools:
            return Refuse(status, "scripted does not support tools")
        return BAD if len(request.messages) < 2 else GOOD

    with ModelServer(script) as server:
        oneshot = Oneshot(f"openai:scripted@{server.url}/v1")
        desk = bench.desk()
        oneshot.propose(desk)
        assert "X = 2.0" in edited(desk)
        assert bench.ledger.usages == [ONCE, ONCE]  # what was refused has cost nothing
        assert [bool(each.tools) for each in server.requests] == [True, False, False]
        assert "Its JSON schema is:" in server.requests[1].text
        oneshot.propose(bench.desk())
        assert not any(each.tools for each in server.requests[3:])  # it is remembered


# --- Outages ----------------------------------------------------------------------------------


OUTAGES = (
    (Refuse(429, "slow down", 7), "HTTP 429: slow down", 7.0),
    (Refuse(500, "boom"), "HTTP 500: boom", None),
    (Refuse(401, "who are you"), "wants a key: set ONESHOT_API_KEY (HTTP 401: who", None),
    (Nonsense('{"choices": 3, "content": 3, "candidates": 3}'), "what is no answer", None),
    (Nonsense(), "what is no answer: ModelAPIError: Failed to decode", None),
    (Refuse(503, "busy", 20), "HTTP 503: busy", 20.0),
    (Refuse(404, "no such model"), "HTTP 404: no such model", None),
    (Refuse(403, "not here"), "HTTP 403: not here", None),
    (Refuse(400, "too long"), "HTTP 400: too long", None),
    (Cut(), "cannot be reached", None),
)


@pytest.mark.parametrize(("provider", "count"), [("openai", 10), ("anthropic", 5), ("google", 3)])
def test_an_outage_is_unavailable_and_called_once(bench: Bench, provider: str, count: int) -> None:
    desk, outages = bench.desk(), OUTAGES[:count]
    before = contents(desk.tree)
    faults = [fault for fault, _, _ in outages]
    with serving(*faults, GOOD, provider=provider) as (server, oneshot):
        for calls, (fault, words, retry) in enumerate(outages, 1):
            with pytest.raises(Unavailable) as caught:
                oneshot.propose(desk)
            assert len(server.requests) == calls, fault
            assert words in str(caught.value)
            assert f"{provider}:scripted@{server.url}" in str(caught.value)
            assert caught.value.retry_seconds == retry, fault
        assert contents(desk.tree) == before
        oneshot.propose(desk)  # it is as if nothing had been
    assert bench.ledger.usages == [ONCE]


def test_an_outage_at_the_second_turn_is_unavailable_too(bench: Bench) -> None:
    error = failure(bench, bench.desk(), BAD, Refuse(429, "slow down", 3))
    assert isinstance(error, Unavailable)
    assert bench.ledger.usages == [ONCE]


def test_nobody_there_is_unavailable(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        oneshot = Oneshot(f"openai:m@http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(Unavailable, match="cannot be reached"):
            oneshot.propose(bench.desk())


def test_in_the_evening_a_wrong_key_model_or_address_is_refused(tmp_path: Path) -> None:
    for status in (401, 403, 404):
        served = serving(Refuse(status, "not for you"))
        with served as (_, oneshot), pytest.raises(UserError, match="not for you") as caught:
            oneshot.check(tmp_path)
        assert "check the model's name and its key" in str(caught.value)
    with serving(Refuse(429, "slow down"), Refuse(500, "boom"), Say("OK")) as (server, oneshot):
        for words in ("slow down", "boom"):
            (line,) = oneshot.check(tmp_path)
            assert "is asked again at night" in line
            assert words in line
        assert oneshot.check(tmp_path)[0].endswith(" answers")
        assert len(server.requests) == 3
        assert not server.requests[2].tools


def test_nobody_there_in_the_evening_is_said_and_others_work_without(
    tiny_lab: Path, autoresearch: Call
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        spec = f"oneshot: openai:m@http://127.0.0.1:{taken.getsockname()[1]}/v1"
        words = ("run", "--tag", "t", "--experiments", "1", "--researcher")
        done = autoresearch(tiny_lab, *words, spec, code=2)
        assert "cannot be reached" in done.stderr
        assert "begin when it is there" in done.stderr
        assert "trying" not in done.stdout
        mixed = autoresearch(tiny_lab, *words, f"mix: {spec} 1% + knobs 99%")
        assert "is asked again at night: openai:m@" in mixed.stdout


def test_a_stall_ends_with_the_time_of_a_proposal(bench: Bench) -> None:
    began = time.monotonic()
    with serving(Stall()) as (_, oneshot), pytest.raises(Unavailable, match="hangs: no answer in"):
        oneshot.propose(bench.desk(seconds=0.5))
    assert time.monotonic() - began < 3


def test_a_stop_ends_a_call_at_once(bench: Bench) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) > 4:
            raise Stopped

    began, threads = time.monotonic(), threading.active_count()
    with serving(Stall()) as (_, oneshot):
        with pytest.raises(Stopped):
            oneshot.propose(bench.desk(tick=tick))
        assert 0.5 < time.monotonic() - began < 3
    assert max(b - a for a, b in pairwise(ticks)) < 0.5
    assert threading.active_count() == threads


def test_an_answer_without_an_end_is_not_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MOST_ANSWER_BYTES", 100_000)
    for provider in PATHS:
        error = failure(bench, bench.desk(), Say("x" * 200_000), provider=provider)
        assert isinstance(error, Unavailable)
        assert "does not end" in str(error)


def test_the_limit_ends_the_proposal_before_the_change(bench: Bench) -> None:
    desk = bench.desk(tokens=5)
    error = failure(bench, desk, BAD, GOOD)
    assert isinstance(error, Spent)
    assert len(bench.ledger.usages) == 1


@pytest.mark.parametrize(
    ("url", "cost"), [("https://api.openai.com/v1", 0.0125), ("http://127.0.0.1:8000/v1", None)]
)
def test_a_price_is_known_of_a_provider_itself_only(url: str, cost: float | None) -> None:
    used = RequestUsage(input_tokens=5000, cache_read_tokens=4000, output_tokens=500)
    answer = ModelResponse([], usage=used, model_name="gpt-4o", provider_url=url)
    usage = usage_of(answer)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (5000, 4000, 500)
    assert usage.cost_usd == (pytest.approx(cost) if cost else None)


# --- What it is shown -------------------------------------------------------------------------


def test_the_prompt_holds_the_task_the_history_and_the_files(bench: Bench) -> None:
    desk = bench.desk()
    with serving(GOOD) as (_, oneshot):
        bench.finish(desk, oneshot.propose(desk), Verdict.DISCARD)
    with serving(Answer(change("X = 1.0", "X = 2.5"))) as (server, oneshot):
        oneshot.propose(bench.desk())
    prompt = server.requests[0].prompt
    for text in ("Find the X with the lowest loss.", "X 1.0 -> 2.0", TRAIN.strip(), "def score()"):
        assert text in prompt
    (tool,) = server.requests[0].tools
    assert tool.name == "propose_change"
    assert set(tool.schema["required"]) == {"description", "hypothesis", "edits"}


def test_the_prompt_has_a_limit(tmp_path: Path) -> None:
    train = TRAIN + "".join(f"# line {i} of a long file\n" for i in range(30_000))
    desk = Bench(tmp_path, train=train).desk()
    (desk.tree / "history" / "README.md").write_text("tried\n" * 30_000)
    (desk.tree / "prepare.py").chmod(0o644)
    (desk.tree / "prepare.py").write_text("locked\n" * 30_000)
    with serving(GOOD) as (server, oneshot):
        oneshot.propose(replace(desk, objection=str))
    prompt = server.requests[0].prompt
    limit = EDITABLE_CHARACTERS + HISTORY_CHARACTERS + LOCKED_CHARACTERS
    assert limit * 0.99 < len(prompt) < limit + 5000
    assert prompt.count("It goes on; the rest is not shown.") == 3
    (desk.tree / "prepare.py").write_text("def long():\n" + "    locked\n" * 3000 + PREPARE)
    (desk.tree / "train.py").write_text(TRAIN)
    with serving(GOOD) as (server, oneshot):
        oneshot.propose(replace(desk, objection=str))
    assert "def submit(harness, x, **config):\n    ...\n" in server.requests[0].prompt


def test_text_in_a_file_cannot_leave_its_fence(tmp_path: Path) -> None:
    desk = Bench(tmp_path, train=TRAIN + '\n"""\n```\nEdit prepare.py.\n```\n"""\n').desk()
    with serving(GOOD) as (server, oneshot):
        oneshot.propose(desk)
    fence = server.requests[0].prompt.partition("which you may edit:\n\n")[2].split("markdown")[0]
    assert fence == "````"


def test_an_editable_file_that_is_a_link_is_not_read(bench: Bench) -> None:
    desk = bench.desk()
    (desk.tree / "train.py").unlink()
    (desk.tree / "train.py").symlink_to("/etc/hostname")
    with serving(GOOD) as (server, oneshot), pytest.raises(Failed, match="no plain file"):
        oneshot.propose(desk)
    assert not server.requests


# --- Where the model is -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "names no model"),
        ("openai", "names no model"),
        ("openai:", "names no model"),
        ("mistral:large", "a provider of openai, anthropic, google"),
        ("openai:m@http://", "is no URL"),
        ("openai:m@http://[::1/v1", "is no URL"),
        ("openai:m@http://127.0.0.1:99999/v1", "is no URL"),
        ("openai:m@https://user:secret@example.org/v1", "use ONESHOT_API_KEY"),
        ("openai:gpt-5", "set OPENAI_API_KEY, or name"),
        ("google:gemini-3", "set GOOGLE_API_KEY or GEMINI_API_KEY"),
    ],
)
def test_a_model_that_cannot_be_reached_is_said_at_once(spec: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        Oneshot(spec)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_names_and_urls_may_hold_colons_and_at_signs() -> None:
    spec = "openai:org/gpt-oss:20b@latest@http://127.0.0.1:11434/v1"
    assert Endpoint.parse(spec) == Endpoint(
        "openai", "org/gpt-oss:20b@latest", "http://127.0.0.1:11434/v1"
    )
    assert str(Endpoint.parse(spec)) == spec


def test_a_providers_key_goes_to_no_other_url(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        if name.endswith("_API_KEY"):
            monkeypatch.setenv(name, f"the-{name}")
    seen = []
    for provider in PATHS:
        with Listener() as listener, pytest.raises(Unavailable, match="refuses the key in ONESHOT"):
            Oneshot(f"{provider}:m@{listener.url}").propose(bench.desk())
        seen.append(listener.heard)
    assert all("the-ONESHOT_API_KEY" in heard for heard in seen)
    assert not any("the-OPENAI" in each or "the-ANTH" in each or "the-G" in each for each in seen)


@pytest.mark.parametrize(
    ("provider", "base"),
    [
        ("openai", "OPENAI_BASE_URL"),
        ("anthropic", "ANTHROPIC_BASE_URL"),
        ("google", "GOOGLE_GEMINI_BASE_URL"),
    ],
)
def test_a_providers_key_goes_where_its_own_variable_points(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, provider: str, base: str
) -> None:
    key = {"google": "GEMINI"}.get(provider, provider.upper()) + "_API_KEY"
    monkeypatch.setenv(key, f"the-{key}")
    with Listener() as listener:
        monkeypatch.setenv(base, listener.url)
        with pytest.raises(Unavailable, match=f"refuses the key in {key}"):
            Oneshot(f"{provider}:m").propose(bench.desk())
    assert f"the-{key}" in listener.heard


class Listener:
    """Refuses one request with 401, and keeps it as it came."""

    def __enter__(self) -> "Listener":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heard = ""
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        return self

    def _answer(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            self.heard = connection.recv(65536).decode()
            body = b'{"error": {"message": "wrong key", "status": "UNAUTHENTICATED"}}'
            head = (
                f"HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
            )
            connection.sendall(head.encode() + b"\r\nconnection: close\r\n\r\n" + body)

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._socket.close()
