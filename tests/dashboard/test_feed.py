"""Protects what a browser hears: every event and every experiment once, whatever breaks between."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.dashboard.highlight import coloured
from autoresearch.experiment import Experiment, Verdict
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.store import now
from autoresearch.testing.long_study import HOSTILE, long_study
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.stored import write_study
from autoresearch.testing.tiny import make_tiny_lab
from autoresearch.text import clean
from tests.dashboard.parts import Feed, ask, events_of, give, store_of

pytestmark = pytest.mark.measured

Listen = Callable[..., Feed]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_lab(tmp_path_factory.mktemp("feed") / "lab")


@pytest.fixture(scope="module")
def server(lab: Path) -> Iterator[PageServer]:
    with PageServer(lab) as server:
        yield server


@pytest.fixture
def tag(lab: Path, request: pytest.FixtureRequest) -> str:
    """A study of the test's own."""
    tag = f"t{abs(hash(request.node.name))}"
    begin(lab, tag, 8)
    return tag


def begin(lab: Path, tag: str, count: int) -> None:
    history = [replace(each, commit=None) for each in long_study(count).history]  # git has none
    write_study(lab / ".autoresearch" / "autoresearch.db", tag, history)


@pytest.fixture
def listen() -> Iterator[Listen]:
    """listen(server, tag, cursor) -> a client of the feed."""
    feeds: list[Feed] = []

    def begin(server: PageServer, tag: str, cursor: str, *, by_header: bool = False) -> Feed:
        feeds.append(Feed(server, tag, cursor, by_header=by_header))
        return feeds[-1]

    yield begin
    for feed in feeds:
        feed.close()


def happen(lab: Path, tag: str, *words: str) -> list[int]:
    """Events with these words; returns their ids."""
    with store_of(lab) as store:
        before = {each.id for each in store.events(tag)}
        for each in words:
            store.event(tag, "nudged", experiment=1, text=each)
        return [each.id for each in store.events(tag) if each.id not in before]


def try_one(
    lab: Path, tag: str, verdict: Verdict = Verdict.DISCARD, score: float | None = 2.0
) -> int:
    """One more experiment with a verdict; returns its number."""
    with store_of(lab) as store:
        number = store.begin(tag, 0, "knobs").number
        store.finish(tag, number, verdict, "because", score=score, delta=0.1, seconds=1.0)
    return number


def test_a_page_begins_with_everything_and_goes_on_from_there(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    first = happen(lab, tag, "before")
    whole = ask(server, f"/api/study/{tag}").json()
    assert [row[0] for row in whole["rows"]] == list(range(9))
    assert [each["id"] for each in whole["events"]] == first
    assert whole["study"]["metric"] == "val_bpb"
    feed = listen(server, tag, whole["cursor"])
    later, number = happen(lab, tag, "after"), try_one(lab, tag)
    feed.until(lambda it: set(later) <= set(it.events) and it.rows.get(number, [0] * 3)[2])
    assert feed.events == later
    assert list(feed.rows) == [number]


def test_two_browsers_hear_alike(server: PageServer, listen: Listen, lab: Path, tag: str) -> None:
    feeds = [listen(server, tag, "0.9"), listen(server, tag, "0.9")]
    ids = happen(lab, tag, "one") + happen(lab, tag, "two", "three")
    for feed in feeds:
        feed.until(lambda it: ids[-1] in it.events)
        assert feed.events == ids


@pytest.mark.parametrize("by_header", [True, False])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_who_comes_back_hears_exactly_what_was_missed(
    server: PageServer, listen: Listen, lab: Path, tag: str, by_header: bool, is_restarted: bool
) -> None:
    feed = listen(server, tag, "0.9")
    heard = happen(lab, tag, "heard")
    feed.until(lambda it: heard[0] in it.events)
    feed.close()
    missed, number = happen(lab, tag, "missed", "missed too"), try_one(lab, tag)
    if is_restarted:
        server.restart(signal.SIGKILL)
    again = listen(server, tag, feed.cursor, by_header=by_header)
    again.until(lambda it: missed[-1] in it.events and number in it.rows)
    assert again.events == missed
    assert list(again.rows) == [number]


def test_an_open_experiment_is_told_again_until_it_has_its_verdict(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    with store_of(lab) as store:
        number = store.begin(tag, 0, "knobs").number
        feed = listen(server, tag, "0.9")
        feed.until(lambda it: number in it.rows)
        cursor = feed.cursor
        assert cursor.endswith(f".{number}")
        feed.close()
        words = {"started_at": now(), "commit": "c" * 40, "description": "wider"}
        store.proposed(tag, Experiment(number, 0, **words))
        again = listen(server, tag, cursor)
        again.until(lambda it: it.rows.get(number, [""] * 7)[6] == "wider")
        store.finish(tag, number, Verdict.KEEP, "better", score=1.0, delta=-1.0)
        again.until(lambda it: it.rows[number][2] == "keep")


def test_a_veto_is_heard_with_what_was_built_on_it(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    kept = try_one(lab, tag, Verdict.KEEP, 1.0)
    with store_of(lab) as store:
        child = store.begin(tag, kept, "knobs").number
        store.finish(tag, child, Verdict.KEEP, "better", score=0.9, delta=-0.1)
    feed = listen(server, tag, f"0.{child + 1}")
    said = give(server, "veto", {"experiment": kept}, tag=tag)
    assert said.code == 200, said.body
    feed.until(lambda it: it.latest("vetoed") == [kept])
    assert feed.latest("undone") == [kept, child]
    assert not feed.rows  # the marks are enough
    give(server, "restore", {"experiment": kept}, tag=tag, key="another-key")
    feed.until(lambda it: it.latest("undone") == [])


def test_an_order_that_is_sent_twice_is_done_once(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    feed = listen(server, tag, "0.9")
    for _ in range(3):
        assert (
            give(server, "note", {"text": "try a wider MLP"}, tag=tag, key="the-same-key").code
            == 200
        )
    server.restart()
    assert (
        give(server, "note", {"text": "try a wider MLP"}, tag=tag, key="the-same-key").code == 200
    )
    assert [each.data["text"] for each in events_of(lab, "note", tag=tag)] == ["try a wider MLP"]
    again = listen(server, tag, feed.cursor or "0.9")
    again.until(lambda it: it.latest("orders"))
    assert [each["text"] for each in again.latest("orders")["notes"]] == ["try a wider MLP"]


def test_an_engine_that_begins_and_dies_is_noticed(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    feed, opened = listen(server, tag, "0.9"), Lab.open(lab)
    feed.until(lambda it: it.latest("engine"))
    assert feed.latest("engine")["is_running"] is False
    folder = opened.study_folder(tag)
    folder.mkdir(parents=True, exist_ok=True)
    with opened.lock(), store_of(lab) as store:
        limits = {"experiments": 20, "seconds": 3600.0, "tokens": None, "cost_usd": None}
        store.event(tag, "started", pid=os.getpid(), researcher="knobs", **limits)
        facts = {"pid": os.getpid(), "phase": "training", "experiment": 9, "loss": 1.5, "step": 3}
        (folder / "now.json").write_text(json.dumps(facts))
        feed.until(lambda it: it.latest("engine")["now"].get("loss") == 1.5)
        assert feed.latest("engine")["is_running"]
        feed.until(lambda it: it.latest("study")["limits"]["experiments"] == 20)
        give(server, "extend", {"experiments": 5}, tag=tag)
        feed.until(lambda it: it.latest("study")["limits"]["experiments"] == 25)
    feed.until(lambda it: not it.latest("engine")["is_running"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "phase": "<b>", "loss": NaN}', "\0"])
def test_a_now_file_that_makes_no_sense_is_borne(
    server: PageServer, listen: Listen, lab: Path, tag: str, text: str
) -> None:
    opened = Lab.open(lab)
    folder = opened.study_folder(tag)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "now.json").write_text(text)
    with opened.lock():
        feed = listen(server, tag, "0.9")
        feed.until(lambda it: it.latest("engine"))
        assert feed.latest("engine")["now"].get("loss") is None


def test_the_curve_grows_and_begins_anew_with_the_next_run(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    with store_of(lab) as store:
        number = store.begin(tag, 0, "knobs").number
    path = Lab.open(lab).study_folder(tag) / "curves" / f"{number:04d}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("[0.5, 1, 3.0, 8]\n[1.0, 2, 2.5, 16]\n[1.5, ")
    feed = listen(server, tag, "0.9")
    feed.until(lambda it: (it.latest("curve") or {}).get("points"))
    assert feed.latest("curve") == {
        "experiment": number,
        "from": 0,
        "points": [[0.5, 3.0], [1.0, 2.5]],
    }
    with path.open("a") as file:
        file.write("3, 2.0, 24]\nnonsense\n[2.0, 4, NaN, 32]\n[2.5, 5, 1.5, 40]\n")
    feed.until(lambda it: it.latest("curve")["from"] == 2)
    assert feed.latest("curve")["points"] == [[1.5, 2.0], [2.5, 1.5]]
    path.write_text("[0.1, 1, 9.0, 8]\n" + "[0.2, 2, 8.0, 16]\n" * 20)
    feed.until(lambda it: it.latest("curve")["from"] == 0)
    assert feed.latest("curve")["points"][0] == [0.1, 9.0]
    said = ask(server, f"/api/study/{tag}/curves/{number},7,x,-1").json()
    assert len(said[str(number)]) == 21
    assert said["7"] == []


def test_a_study_that_is_begun_anew_is_sent_anew(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    """As it is when its baseline has failed: the same number, another experiment."""
    feed = listen(server, tag, "0.9")
    feed.until(lambda it: it.latest("study"))
    with store_of(lab) as store:
        store.forget(tag)
        store.create_study(tag, Program().contract(), seed=0, researcher="knobs", machine={})
        store.begin(tag, None, "baseline")
    feed.until(lambda it: it.latest("anew") and it.rows[0][2] is None)
    late = listen(server, tag, "0.1")  # who had heard of the one before
    late.until(lambda it: it.latest("anew") and it.rows[0][2] is None)
    with store_of(lab) as store:
        store.finish(tag, 0, Verdict.CRASH, "it broke")
    for each in (feed, late):
        each.until(lambda it: it.rows[0][7] == "it broke")


def test_words_are_harmless_before_they_leave(server: PageServer, lab: Path, tag: str) -> None:
    with store_of(lab) as store:
        number = store.begin(tag, 0, HOSTILE[0]).number
        words = {"started_at": now(), "description": HOSTILE[0], "hypothesis": "\n".join(HOSTILE)}
        store.proposed(tag, Experiment(number, 0, details={HOSTILE[0]: HOSTILE[0]}, **words))
        store.event(tag, "nudged", experiment=number, text=HOSTILE[0])
        store.finish(tag, number, Verdict.CRASH, HOSTILE[0], score=float("inf"), delta=float("nan"))
    folder = Lab.open(lab).study_folder(tag)
    for name in ("logs", "talks"):
        (folder / name).mkdir(parents=True)
    (folder / "logs" / f"{number:04d}.txt").write_bytes(
        b"\xff\x1b[2J\rbar\r\n" + HOSTILE[0].encode()
    )
    (folder / "talks" / f"{number:04d}.md").write_text(HOSTILE[0] * 20_000)
    for path in ("", f"/experiments/{number}"):
        said = ask(server, f"/api/study/{tag}{path}")
        assert said.code == 200
        text = json.dumps(said.json(), ensure_ascii=False)
        assert clean(text) == text
    facts = ask(server, f"/api/study/{tag}/experiments/{number}").json()
    assert facts["score"] is None
    assert facts["talk"]["cut"] is True
    assert facts["log"]["text"].endswith("red and esrever, hidden")


@pytest.mark.parametrize("width", [900, 60_000])
def test_no_edit_can_hold_up_the_page_by_its_colours(width: int) -> None:
    """Pygments takes the square of the spaces behind `match`: minutes for a file of one line."""
    line = f"match{' ' * width}x:\n"
    began = time.monotonic()
    coloured("train.py", (line * (64_000 // len(line))).encode())
    assert time.monotonic() - began < 10


def test_a_store_that_was_moved_away_is_noticed(
    server: PageServer, listen: Listen, lab: Path, tag: str
) -> None:
    feed = listen(server, tag, "0.9")
    feed.until(lambda it: it.latest("study"))
    for name in ("autoresearch.db", "autoresearch.db-wal", "autoresearch.db-shm"):
        path = lab / ".autoresearch" / name
        if path.exists():
            path.rename(path.with_suffix(".old"))
    begin(lab, tag, 3)
    again = listen(server, tag, "0.9")
    again.until(lambda it: it.latest("anew") and 3 in it.rows)


def test_the_page_ends_at_once_while_browsers_look(
    server: PageServer, listen: Listen, tag: str
) -> None:
    feeds = [listen(server, tag, "0.9") for _ in range(3)]
    for feed in feeds:
        feed.until(lambda it: it.latest("study"))
    began = time.monotonic()
    assert "Traceback" not in server.stop(signal.SIGINT)
    assert time.monotonic() - began < 30
