"""Protects a person's sleep: the command is told what matters, once, never runs what an experiment
wrote, and can neither hold the study up nor end it."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from autoresearch.cli.alerts import Alerts
from autoresearch.cli.terminal import PlainWatcher
from autoresearch.errors import UserError
from autoresearch.experiment import Experiment, Verdict
from autoresearch.notify import MOST_WAITING, TAIL_BYTES, Notifier, call, check
from autoresearch.program import Program
from autoresearch.store import Store
from autoresearch.testing.tiny import PROGRAM, make_tiny_lab
from autoresearch.text import split_words
from tests.conftest import Call

HOSTILE = "$(touch pwned) `touch pwned` \"; touch pwned; ' \x1b[31m\n-- X"
SAY = 'cat >> said; echo "$AUTORESEARCH_EVENT|$AUTORESEARCH_TEXT" >> texts'


def told(folder: Path) -> list[dict[str, object]]:
    with suppress(FileNotFoundError):
        return [json.loads(line) for line in (folder / "said").read_text().splitlines()]
    return []


def test_the_facts_are_variables_and_a_line_and_never_a_script(tmp_path: Path) -> None:
    facts = {"event": "best", "text": HOSTILE, "score": 0.5, "experiment": None}
    assert call(("sh", "-c", SAY), facts, tmp_path, 30.0) == ""
    assert told(tmp_path) == [facts]
    assert (tmp_path / "texts").read_text() == f"best|{HOSTILE}\n"
    assert not (tmp_path / "pwned").exists()
    assert call(("touch", "{text}"), facts, tmp_path, 30.0) == ""
    assert (tmp_path / "{text}").exists(), "words are used as they are"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo 'x", "close the quotes"),
        ("no-such-program-anywhere x", "no program 'no-such-program-anywhere'"),
        ("./nothing-here", "write its whole path"),
    ],
)
def test_what_cannot_run_is_said_in_the_evening(line: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check(split_words(line, "--notify"))
    check(split_words("", "--notify"))


def test_one_that_hangs_is_ended_with_its_children_and_said_once(tmp_path: Path) -> None:
    mark = f"77.{time.time_ns() % 10**6:06d}"
    notifier = Notifier(("sh", "-c", f"sleep {mark} & sleep {mark}"), tmp_path, seconds=2.0)
    began = time.monotonic()
    for _ in range(3):
        notifier.send({"event": "end"})
    assert time.monotonic() - began < 2.0, "nobody waited for it"
    while not (said := notifier.complaint()):
        time.sleep(0.05)
    assert said == "--notify: sh was stopped after 2 s; said once, the study goes on"
    notifier.finish()
    assert notifier.complaint() == ""
    living = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    assert not [words for words in living if mark in words]


def test_a_flood_is_not_kept_and_a_crowd_is_cut(tmp_path: Path) -> None:
    flood = "import sys; [sys.stdout.write('x' * 2**20) for _ in range(64)]; sys.exit('enough')"
    said = call((sys.executable, "-c", flood), {"event": "end"}, tmp_path, 30.0)
    assert said.startswith(f"{sys.executable} ended with exit code 1: ")
    assert len(said) < 500 < TAIL_BYTES
    notifier = Notifier(("sh", "-c", "cat >> said"), tmp_path)
    for number in range(5 * MOST_WAITING):
        notifier.send({"event": "best", "number": number})
    notifier.finish()
    assert 1 <= len(told(tmp_path)) <= 2 * MOST_WAITING
    assert notifier.complaint() == ""


def test_one_that_reads_nothing_and_one_that_is_gone(tmp_path: Path) -> None:
    assert call(("true",), {"text": "x" * 10**5}, tmp_path, 30.0) == ""
    assert "cannot be started" in call(("./gone",), {"text": "x"}, tmp_path, 30.0)
    assert call(("false",), {}, tmp_path, 30.0) == "false ended with exit code 1"


@pytest.fixture
def alerts(tmp_path: Path) -> Iterator[Alerts]:
    with Store(tmp_path / "s.db") as store:
        store.create_study("t", {}, seed=0, researcher="x", machine={})
        store.event("t", "unavailable", text="of the night before")
        store.begin("t", None, "x")
        store.finish("t", 0, Verdict.KEEP, "", score=5.0)
        notifier = Notifier(("sh", "-c", "cat >> said"), tmp_path)
        watcher = PlainWatcher(Console(quiet=True), Program())
        yield Alerts(watcher, notifier, store, "t", Program(), tmp_path)


def test_trouble_is_told_once_until_it_is_over(alerts: Alerts, tmp_path: Path) -> None:
    store = alerts.store
    for kind, data in (
        ("unavailable", {"text": "429"}),
        ("unavailable", {"text": "429 again"}),
        ("refused", {"text": "not worth it"}),
        ("pause", {}),
        ("trouble", {"what": "failures", "text": "4 failed"}),
        ("trouble", {"what": "failures", "text": "5 failed"}),
        ("trouble", {"what": "disk", "text": "full"}),
        ("back", {"text": "it is back"}),
        ("unavailable", {"text": HOSTILE}),
    ):
        store.event("t", kind, **data)
        alerts.note("something")
    alerts.finished(Experiment(1, 0, "", verdict=Verdict.DISCARD, score=6.0), None)
    store.event("t", "trouble", what="disk", text="full again")
    alerts.note("something")
    alerts.close()
    texts = [str(each["text"]) for each in told(tmp_path)]
    assert [text.removeprefix("t: ") for text in texts[:3]] == ["429", "4 failed", "full"]
    assert texts[4:] == ["t: full again"]
    assert "\x1b" not in texts[3]
    assert "\n" not in texts[3]
    assert {each["event"] for each in told(tmp_path)} == {"trouble"}


def test_a_new_best_is_told_and_a_baseline_is_none(alerts: Alerts, tmp_path: Path) -> None:
    store = alerts.store
    alerts.finished(store.experiment("t", 0), store.experiment("t", 0))
    store.begin("t", 0, "x")
    store.finish("t", 1, Verdict.KEEP, "", score=4.5, delta=-0.5)
    alerts.finished(store.experiment("t", 1), store.experiment("t", 1))
    alerts.ended("its 1 experiment is done")
    alerts.close()
    best, end = told(tmp_path)
    assert (best["event"], best["experiment"], best["score"]) == ("best", 1, 4.5)
    assert "new best 4.5000 val_bpb, #1, 0.5000 better" in str(best["text"])
    assert (end["event"], end["best"], end["tag"]) == ("end", 1, "t")
    assert str(end["text"]).endswith("its 1 experiment is done; best 4.5000, #1")


def test_a_best_of_exactly_nothing_is_told(alerts: Alerts, tmp_path: Path) -> None:
    alerts.store.begin("t", 0, "x")
    alerts.store.finish("t", 1, Verdict.KEEP, "", score=0.0, delta=-5.0)
    alerts.ended("why")
    alerts.close()
    (end,) = told(tmp_path)
    assert str(end["text"]).endswith("why; best 0.0000, #1")


def test_a_night_tells_and_a_broken_command_does_not_end_it(
    tmp_path: Path, autoresearch: Call
) -> None:
    lab = make_tiny_lab(
        tmp_path / "lab", program=PROGRAM.replace("budget:", "notify: sh -c 'cat >> said'\nbudget:")
    )
    autoresearch(lab, "run", "--experiments", "0", "--tag", "t")
    assert [each["event"] for each in told(lab)] == ["end"], "from the front matter"
    ran = autoresearch(lab, "run", "--experiments", "1", "--tag", "t", "--notify", "sh -c 'exit 9'")
    assert ran.stdout.count("--notify: sh ended with exit code 9") == 1
    assert len(told(lab)) == 1
    said = autoresearch(lab, "run", "--notify", "nothing-of-that-name", code=2).stderr
    assert "there is no program 'nothing-of-that-name'" in said


def test_a_broken_baseline_is_told(tmp_path: Path, autoresearch: Call) -> None:
    lab = make_tiny_lab(tmp_path / "lab", train="raise SystemExit('broken')\n")
    autoresearch(lab, "run", "--tag", "t", "--notify", "sh -c 'cat >> said'", code=2)
    (only,) = told(lab)
    assert only["event"] == "trouble"
    assert "the baseline does not run (crash): broken" in str(only["text"])
