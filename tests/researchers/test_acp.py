"""Protects the night from its agent: whatever an agent does, a proposal or a fault comes of it."""

import json
import math
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch import store as stores
from autoresearch.box.agentbox import obstacle
from autoresearch.budget import StudyLimits
from autoresearch.errors import Failed, Spent, Stopped, Unavailable, UserError
from autoresearch.experiment import Experiment, Usage, Verdict
from autoresearch.ledger import StudyLedger, used_by
from autoresearch.program import Program
from autoresearch.researchers import acp, boxed
from autoresearch.researchers.acp import Acp
from autoresearch.researchers.base import Desk
from autoresearch.researchers.permissions import Policy
from autoresearch.researchers.presets import Counting, Preset
from autoresearch.researchers.settings import Settings
from autoresearch.researchers.turn import Conversation, Meter
from autoresearch.store import Store
from autoresearch.testing import acp_agent

TRAIN = "RATE = 1.0\nSTEPS = 10\nprint(RATE * STEPS)\n"
PREPARE = "HELD = 1\n"
UNBOXED = Settings(boxed=False, idle_seconds=20.0)
BASELINE = Experiment(0, None, "", score=1.0, verdict=Verdict.KEEP, reason="the baseline")


@dataclass
class Book:
    """A ledger that keeps all that it is told."""

    notes: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    spent: list[Usage] = field(default_factory=list)
    limit_tokens: int | None = None

    def note(self, kind: str, text: str = "") -> None:
        self.notes.append((kind, text))

    def talk(self, text: str) -> None:
        self.words.append(text)

    def spend(self, usage: Usage, model: str = "", totals: Any = None) -> None:
        self.spent.append(usage)
        self.pending(0)

    def pending(self, tokens: int) -> None:
        used = sum(self.spent, Usage()).tokens + tokens
        if self.limit_tokens is not None and used > self.limit_tokens:
            raise Spent("no tokens left")

    def totals(self, session: str) -> None:
        return None

    def noted(self, kind: str) -> list[str]:
        return [text for each, text in self.notes if each == kind]

    def heard(self) -> Any:
        """The JSON that the agent said of what happened to it."""
        text = "".join(self.words)
        start = text.index("{", text.index("## Said"))
        return json.JSONDecoder().raw_decode(text[start:])[0]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def desk(tmp_path: Path, book: Book) -> Desk:
    tree = tmp_path / "desk"
    tree.mkdir()
    (tree / "train.py").write_text(TRAIN)
    (tree / "prepare.py").write_text(PREPARE)

    def objection() -> str:
        if (tree / "prepare.py").read_text() != PREPARE:
            return "it changed prepare.py, which is locked"
        return "it changed nothing" if (tree / "train.py").read_text() == TRAIN else ""

    return Desk(
        tree, Program(body="Be bold."), (BASELINE,), BASELINE, 4, 0,
        ledger=book, objection=objection, seconds=60.0,
    )  # fmt: skip


def agent(*words: str, settings: Settings = UNBOXED, continued: bool = False, **preset: Any) -> Acp:
    command = (sys.executable, "-m", "autoresearch.testing.acp_agent", *words)
    return Acp("fake", Preset(command, **preset), settings, continued)


def made(desk: Desk) -> str:
    return (desk.tree / "train.py").read_text()


def test_an_agent_edits_and_states_its_change(desk: Desk, book: Book) -> None:
    proposal = agent("edit").propose(desk)
    assert proposal.description == "RATE from 1.0 to 1.5"
    assert proposal.hypothesis == "the loss is lower there Expected: -0.1 (val_bpb)"
    assert proposal.details["agent"] == "acp_agent 1"
    assert made(desk) == TRAIN.replace("1.0", "1.5")
    told = "".join(book.words)
    assert "yours is number 4" in told
    assert "What about the first constant?" in told
    assert "Edit train.py" in told
    assert not book.notes


def test_a_question_is_answered_by_go_on(desk: Desk, book: Book) -> None:
    assert agent("question").propose(desk).description == "RATE from 1.0 to 1.5"
    assert book.noted("nudged") == ["it changed nothing"]
    assert "You ended with: I could raise the learning rate. Shall I go ahead?" in "".join(
        book.words
    )


def test_an_agent_that_stops_is_told_so_a_few_times(desk: Desk, book: Book) -> None:
    settings = replace(UNBOXED, nudges=2)
    with pytest.raises(
        Failed, match="told to go on 2 times, and still: it changed nothing"
    ) as error:
        agent("stop", settings=settings).propose(desk)
    assert not isinstance(error.value, Unavailable)
    assert len(book.noted("nudged")) == 2


def test_a_statement_that_is_missing_is_asked_for(desk: Desk, book: Book) -> None:
    assert agent("silent").propose(desk).description == "RATE from 1.0 to 1.5"
    assert not book.noted("nudged")


@pytest.mark.parametrize("behaviour", ["locked", "locked-unasked"])
def test_an_edit_of_a_locked_file_is_refused_and_said_so(
    desk: Desk, book: Book, behaviour: str
) -> None:
    assert agent(behaviour).propose(desk).description == "RATE from 1.0 to 1.5"
    assert (desk.tree / "prepare.py").read_text() == PREPARE
    if behaviour == "locked":
        assert "prepare.py may not be edited, only train.py" in book.noted("refused")[0]
        assert "You were not allowed this: Edit prepare.py" in "".join(book.words)
    else:
        assert book.noted("nudged") == ["it changed prepare.py, which is locked"]


def test_what_lies_outside_the_desk_is_neither_read_nor_written(
    desk: Desk, book: Book, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    agent("outside", str(secret)).propose(desk)
    tried = book.heard()
    assert [tried[name] for name in ("cat", "label", "web", "up")] == ["no"] * 4
    for name in ("passwd", "link", "write prepare.py", "write link", "write ../x"):
        assert tried[name].startswith("refused: "), name
    assert secret.read_text() == "key"
    assert not (tmp_path / "x").exists()
    assert any("/etc/passwd" in text for text in book.noted("outside"))
    assert len(book.noted("refused")) == 9
    assert made(desk) != TRAIN


def test_files_are_read_and_written_through_us(desk: Desk, book: Book) -> None:
    assert agent("client-files").propose(desk).description == "RATE from 1.0 to 1.5"
    assert "Line 2 is 'STEPS = 10\\n'" in "".join(book.words)
    assert made(desk) == TRAIN.replace("1.0", "1.5")


def test_permissions_are_answered_by_kind_and_never_for_good(desk: Desk, book: Book) -> None:
    agent("permissions").propose(desk)
    terminal = book.heard().pop("terminal")
    assert "Method not found" in terminal
    chosen = book.heard()
    assert chosen == {
        "only an id": "yes",
        "two": "x",
        "always": "no",
        "only always": "cancelled",
        "ids": "reject",
        "never": "never",
        "unknown": "yes",
        "bash": "yes",
        "elicitation": "decline",
        "terminal": terminal,
    }


def test_tokens_and_money_are_counted_once(desk: Desk, book: Book) -> None:
    agent("usage").propose(desk)
    assert sum(book.spent, Usage()) == Usage(2500, 100, 2000, pytest.approx(0.025))
    book.spent.clear()
    (desk.tree / "train.py").write_text(TRAIN)
    agent("usage", counting=Counting.CALL).propose(replace(desk, number=5))
    assert (
        sum(book.spent, Usage()).tokens == 2600
    )  # its last call alone took more than both contexts


def test_an_agent_stops_when_the_tokens_are_spent(desk: Desk, book: Book) -> None:
    book.limit_tokens = 2000
    with pytest.raises(Spent):
        agent("usage").propose(desk)


def test_a_silent_agent_is_stopped_with_all_that_it_started(
    desk: Desk, book: Book, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"hangs: nothing came for 0\.5 s"):
        agent("hang", str(tmp_path / "pid"), settings=replace(UNBOXED, idle_seconds=0.5)).propose(
            desk
        )
    assert time.monotonic() - began < 6
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_an_agent_that_never_answers_is_stopped(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="hangs"):
        agent("mute", settings=replace(UNBOXED, start_seconds=0.3)).propose(desk)


def test_a_proposal_takes_as_long_as_it_may(desk: Desk) -> None:
    patient = replace(UNBOXED, nudges=10**6)
    with pytest.raises(Unavailable, match=r"hangs: not done after 0\.5 s; it changed nothing"):
        agent("stop", settings=patient).propose(replace(desk, seconds=0.5))
    with pytest.raises(Unavailable, match="hangs: not done after 1 s"):
        agent("mute").propose(replace(desk, seconds=1.0))


@pytest.mark.parametrize("behaviour", ["hang", "mute", "stop"])
def test_a_person_who_stops_it_does_not_wait(desk: Desk, behaviour: str) -> None:
    began, times = time.monotonic(), 0

    def tick() -> None:
        nonlocal times
        times += 1
        if time.monotonic() - began > 0.5:
            raise Stopped

    patient = replace(UNBOXED, nudges=10**6)
    with pytest.raises(Stopped):
        agent(behaviour, settings=patient).propose(replace(desk, tick=tick))
    assert time.monotonic() - began < 2.0
    assert times >= 3


def test_an_agent_that_dies_is_started_once_more(desk: Desk, book: Book, tmp_path: Path) -> None:
    proposal = agent("die", str(tmp_path / "mark")).propose(desk)
    assert proposal.description == "RATE from 1.0 to 1.5"
    assert book.noted("died") == ["fake: it ended by itself with exit code 3: Error: out of luck"]
    assert "You were started once more" in "".join(book.words)


def test_an_agent_that_always_dies_cannot_be_reached(desk: Desk, book: Book) -> None:
    with pytest.raises(Unavailable, match="exit code 3: Error: out of luck"):
        agent("die").propose(desk)
    assert len(book.noted("died")) == 2


def test_a_loop_of_tools_is_ended(desk: Desk, book: Book) -> None:
    few = replace(UNBOXED, tool_calls=20)
    with pytest.raises(Failed, match="used tools more than 20 times; it changed nothing"):
        agent("loop", settings=few).propose(desk)
    with pytest.raises(Failed, match="used tools more than 20 times; it changed nothing"):
        agent("mute-loop", settings=few).propose(desk)
    for words in (("ask-loop",), ("ask-loop", "files")):
        with pytest.raises(Failed, match="used tools more than 20 times; it changed nothing"):
            agent(*words, settings=few).propose(desk)
    assert agent("loop", "edit", settings=few).propose(desk).description == "RATE from 1.0 to 1.5"
    assert len(book.noted("broken-off")) == 5


@pytest.mark.parametrize("words", [("odd-end",), ("odd-end", "whatever_new")])
def test_an_end_that_nobody_knows_is_an_end(desk: Desk, words: Sequence[str]) -> None:
    assert agent(*words).propose(desk).description == "RATE from 1.0 to 1.5"


@pytest.mark.parametrize("words", [("flood",), ("big-line", "5"), ("big-line", "17")])
def test_a_flood_of_words_is_ended(desk: Desk, book: Book, words: Sequence[str]) -> None:
    began = time.monotonic()
    with pytest.raises(Failed, match="said more than anyone could read") as error:
        agent(*words).propose(desk)
    assert not isinstance(error.value, Unavailable)
    assert time.monotonic() - began < 8
    assert sum(map(len, book.words)) < 5 * 2**20


def test_what_is_no_message_does_no_harm(
    desk: Desk, book: Book, capfd: pytest.CaptureFixture[str]
) -> None:
    assert agent("noise").propose(desk).description == "RATE from 1.0 to 1.5"
    assert capfd.readouterr() == ("", "")  # the SDK would print a traceback for each


def test_an_outage_is_known_with_the_time_to_wait(desk: Desk) -> None:
    with pytest.raises(Unavailable, match=r"fake: rate limit: .*429") as error:
        agent("limited").propose(desk)
    assert error.value.retry_seconds == 125.0
    with pytest.raises(Unavailable, match=r"fake: server error: .*503") as error:
        agent("error-text").propose(desk)
    assert error.value.retry_seconds is None
    with pytest.raises(Failed, match=r"answered with an error: .*no such model") as other:
        agent("limited", "no such model").propose(desk)
    assert not isinstance(other.value, Unavailable)


def test_an_agent_that_is_not_signed_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"not signed in .*sign in with it once, or set its key"):
        agent("report", "login").propose(desk)
    monkeypatch.setenv("FAKE_KEY", "1")
    agent("report", "login", login="key", login_keys=("FAKE_KEY",)).propose(desk)
    assert made(desk) != TRAIN


def test_the_end_of_the_input_is_not_waited_for_long(desk: Desk) -> None:
    began = time.monotonic()
    agent("deaf").propose(desk)
    assert time.monotonic() - began < 4


def test_what_an_agent_is_given(desk: Desk, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", "1")
    monkeypatch.setenv("OTHER_API_KEY", "1")
    agent("report", keys=("FAKE_KEY",), settings=UNBOXED, modes=("wary", "asking")).propose(desk)
    heard = book.heard()
    assert heard["cwd"] == str(desk.tree)
    assert heard["mode"] == "asking"
    assert "FAKE_KEY" in heard["names"]
    assert "OTHER_API_KEY" not in heard["names"]
    assert not book.notes


def test_a_mode_that_an_agent_does_not_have_is_noted(desk: Desk, book: Book) -> None:
    agent("edit", modes=("wary",)).propose(desk)
    assert book.noted("mode") == ["fake stays in its mode free: there is none of wary"]


def test_a_session_is_taken_up_again(desk: Desk, book: Book) -> None:
    researcher = agent("report", continued=True)
    first = researcher.propose(desk)
    assert book.heard()["turn"] == 1
    session = first.details["session"]
    book.words.clear()
    (desk.tree / "train.py").write_text(TRAIN)
    done = replace(BASELINE, number=4, verdict=Verdict.DISCARD, details=first.details)
    later = replace(desk, number=5, history=(BASELINE, done))
    second = agent("report", continued=True).propose(later)  # as after a restart of the engine
    assert second.description == "RATE from 1.0 to 1.625"  # not what was told once more
    assert book.heard()["session"] == session == second.details["session"]
    told = "".join(book.words)
    assert "Experiment 4, the last one, ended as discard" in told
    assert "Be bold." not in told


def test_an_agent_that_is_not_installed(desk: Desk) -> None:
    with pytest.raises(
        UserError, match=r"no program `no-such-agent` on your PATH\.\nInstall it: get it"
    ):
        Acp("fake", Preset(("no-such-agent", "--acp"), install="get it"), UNBOXED)


def test_nothing_is_left_of_an_agent(desk: Desk) -> None:
    before, folder = set(Path("/proc/self/fd").iterdir()), Path.cwd()
    agent("edit").propose(desk)
    agent("die")
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert Path.cwd() == folder
    assert sorted(path.name for path in desk.tree.iterdir()) == ["prepare.py", "train.py"]


@pytest.mark.skipif(bool(obstacle()), reason=f"no box: {obstacle()}")
def test_in_its_box_an_agent_writes_nothing_but_the_editable_files(
    desk: Desk, book: Book, tmp_path: Path
) -> None:
    (desk.tree / "history").mkdir()
    (desk.tree / "history" / "README.md").write_text("nothing yet")
    (tmp_path / "lab").mkdir()
    target = tmp_path / "lab" / "store.db"
    settings = replace(UNBOXED, boxed=True, grants=(Path(acp_agent.__file__).parents[2],))
    assert agent("escape", str(target), settings=settings).propose(desk).description
    tried = book.heard()
    assert "written" not in {tried[path] for path in ("prepare.py", "history/README.md")}
    assert not target.exists()
    assert not (tmp_path / "mine").exists()
    assert (desk.tree / "prepare.py").read_text() == PREPARE
    assert made(desk) == TRAIN.replace("1.0", "1.5")


def test_in_the_evening_an_agent_says_who_it_is(tmp_path: Path) -> None:
    (line,) = agent("edit").check(tmp_path)
    assert line == "acp_agent 1 answers, and works WITHOUT a box: it was not asked for"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("edit", "login"), "fake is not signed in .*: sign in with it once, or set its key"),
        (("closed", "no disk left"), "answered with an error: .*no disk left"),
        (("mute",), "hangs: not done after 2 s, and opened no session"),
    ],
)
def test_in_the_evening_an_agent_that_cannot_work_is_refused(
    words: Sequence[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acp, "CHECK_SECONDS", 2.0)
    with pytest.raises(UserError, match=why):
        agent(*words).check(tmp_path)


def test_in_the_evening_a_program_that_is_no_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fake does not start: it ended by itself with exit code 1"):
        Acp("fake", Preset(("false",)), UNBOXED).check(tmp_path)


def test_in_the_evening_an_outage_is_no_reason_to_give_up(tmp_path: Path) -> None:
    (line,) = agent("closed", "503 Service Unavailable").check(tmp_path)
    assert line.startswith("fake cannot be reached yet, and is asked again: server error")


GRIEF = """\
import os, sys, time
from autoresearch.testing import acp_agent
from autoresearch.testing.acp_agent import RpcError

def result_of(agent, method, params, plain=acp_agent.result_of):
    agent.is_old = getattr(agent, "is_old", False) or method == "session/load"
    if agent.is_old and method == "{at}":
        {then}
    return plain(agent, method, params)

acp_agent.result_of = result_of
sys.argv[1:] = ["edit"]
acp_agent.main()
"""
TOO_LONG = "raise RpcError('prompt is too long: 210000 tokens')"


@pytest.mark.parametrize(
    ("at", "then", "settings"),
    [
        ("session/prompt", TOO_LONG, UNBOXED),
        (
            "session/prompt",
            "agent.say('Prompt is too long'); return {'stopReason': 'end_turn'}",
            UNBOXED,
        ),
        ("session/prompt", "os._exit(3)", UNBOXED),
        ("session/load", "os._exit(3)", UNBOXED),
        ("session/load", "time.sleep(60)", replace(UNBOXED, start_seconds=2.0)),
    ],
)
def test_a_session_that_came_to_grief_is_taken_up_once(
    at: str, then: str, settings: Settings, desk: Desk, book: Book
) -> None:
    """The next one is new: in the second life, or else in the next proposal."""
    command = (sys.executable, "-c", GRIEF.format(at=at, then=then))
    researcher = Acp("fake", Preset(command), settings, continued=True)
    first = researcher.propose(desk)
    done = replace(BASELINE, number=4, verdict=Verdict.DISCARD, details=first.details)
    later = replace(desk, number=5, history=(BASELINE, done))
    (desk.tree / "train.py").write_text(TRAIN)
    researcher = Acp("fake", Preset(command), settings, continued=True)  # after a restart
    try:
        second = researcher.propose(later)
    except Failed:
        second = researcher.propose(later)
    assert second.details["session"] not in ("", first.details["session"])
    assert len(book.noted("session")) == 1
    assert "gives up its earlier session" in book.noted("session")[0]
    assert "Be bold." in "".join(book.words[-10:])  # a new one is told everything


def test_an_outage_costs_no_session(desk: Desk, book: Book, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.touch()
    then = f"if os.path.exists({str(out)!r}): raise RpcError('503 Service Unavailable')"
    command = (sys.executable, "-c", GRIEF.format(at="session/prompt", then=then))
    researcher = Acp("fake", Preset(command), UNBOXED, continued=True)
    first = researcher.propose(desk)
    (desk.tree / "train.py").write_text(TRAIN)
    with pytest.raises(Unavailable, match="server error"):
        researcher.propose(replace(desk, number=5))
    out.unlink()
    assert (
        researcher.propose(replace(desk, number=5)).details["session"] == first.details["session"]
    )
    assert not book.noted("session")


def test_an_agent_that_removes_its_desk_has_failed(desk: Desk, book: Book) -> None:
    code = f"import os, shutil; shutil.rmtree({str(desk.tree)!r}); os._exit(3)"
    gone = replace(desk, objection=lambda: "it removed train.py")
    with pytest.raises(Failed, match="fake removed its desk") as error:
        Acp("fake", Preset((sys.executable, "-c", code)), UNBOXED).propose(gone)
    assert not isinstance(error.value, Unavailable)
    assert len(book.noted("died")) == 1


@pytest.mark.skipif(bool(obstacle()), reason=f"no box: {obstacle()}")
def test_a_program_or_a_grant_that_is_gone_at_night_ends_no_study(
    desk: Desk, tmp_path: Path
) -> None:
    grant, program = tmp_path / "grant", tmp_path / "agent"
    grant.touch()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    settings = replace(UNBOXED, boxed=True, grants=(grant,))
    researcher = Acp("fake", Preset((str(program),)), settings)
    grant.unlink()
    with pytest.raises(Unavailable, match=r"fake: an agent cannot be shown .*grant"):
        researcher.propose(desk)
    with pytest.raises(UserError, match=r"cannot be shown .*grant"):  # in the evening
        researcher.check(desk.tree)
    grant.touch()
    program.unlink()
    with pytest.raises(Unavailable, match="is not there: install it"):
        researcher.propose(desk)


@pytest.mark.parametrize(
    ("code", "cap", "limit"),
    [
        ("open('big', 'wb').write(b'x' * 2**24); time.sleep(60)", "disk", 2**23),
        ("[os.fork() for _ in range(5)]; time.sleep(60)", "processes", 20),
    ],
)
def test_an_agent_has_no_more_disk_and_processes_than_a_command(
    code: str, cap: str, limit: int, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (boxed.DISK_BYTES, boxed.PROCESSES) == (2 * 2**30, 512)
    monkeypatch.setattr(boxed, {"disk": "DISK_BYTES", "processes": "PROCESSES"}[cap], limit)
    command = (sys.executable, "-c", f"import os, time; {code}")
    with pytest.raises(Unavailable, match=f"fake: it was stopped: too much of {cap}"):
        Acp("fake", Preset(command), replace(UNBOXED, start_seconds=5.0)).propose(desk)


@pytest.mark.parametrize(
    ("code", "seconds", "idle", "why"),
    [
        ("import os\nwhile True: os.write(1, b'x' * 2**16)", 20.0, 20.0, "said more than anyone"),
        ("import time; time.sleep(60)", 20.0, 0.3, r"hangs: nothing came for 0\.3 s"),
        ("import time; time.sleep(60)", 0.5, 20.0, r"hangs: not done after 0\.5 s"),
    ],
)
def test_in_the_evening_it_is_said_why_no_session_was_opened(
    code: str, seconds: float, idle: float, why: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(acp, "CHECK_SECONDS", seconds)
    settings = replace(UNBOXED, start_seconds=idle)
    with pytest.raises(UserError, match=f"fake {why}.*, and opened no session: start it once"):
        Acp("fake", Preset((sys.executable, "-c", code)), settings).check(tmp_path)


def test_without_a_box_it_is_said_once_and_not_to_the_evening(
    desk: Desk, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", "1")
    researcher = agent("edit", settings=replace(UNBOXED, boxed=True))
    researcher.check(desk.tree)
    for number in (4, 5):
        (desk.tree / "train.py").write_text(TRAIN)
        researcher.propose(replace(desk, number=number))
    (note,) = book.noted("unboxed")
    assert note.startswith("fake runs without a box: AUTORESEARCH_TIER=1")


def scripted(folder: Path, script: str) -> Acp:
    """The agent of the tests, with something more to it, as the behaviour `more`."""
    file = folder / "scripted.py"
    start = "from autoresearch.testing import acp_agent as its\nfrom pathlib import Path\n"
    file.write_text(f"{start}{script}\nits.BEHAVIOURS['more'] = more\nits.main()\n")
    return Acp("fake", Preset((sys.executable, str(file), "more")), UNBOXED)


def test_paths_and_commands_that_make_no_sense_do_not_end_the_night(
    desk: Desk, book: Book, tmp_path: Path
) -> None:
    script = """
def more(agent):
    for path in ("train.py\\0", "src/\\0", "\\ud800"):
        try:
            agent.ask("fs/read_text_file", path=str(agent.cwd / path))
        except its.RpcError as error:
            agent.say(f"no: {error}. ")
    line = "cat" + " " * 70_000 + "x"
    agent.say(agent.may(agent.tool("execute", "Look", rawInput={"command": line})))
    return its.edit(agent)
"""
    began = time.monotonic()
    assert scripted(tmp_path, script).propose(desk).description == "RATE from 1.0 to 1.5"
    assert time.monotonic() - began < 10
    assert "".join(book.words).count("no: ") == 3
    assert "too long to be looked at" in book.noted("refused")[-1]
    assert "too long to be looked at" in book.noted("outside")[-1]


def test_only_an_error_of_ours_ends_what_an_agent_asked_for(
    desk: Desk, book: Book, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def note(kind: str, text: str = "") -> None:
        raise ValueError(text)

    monkeypatch.setattr(book, "note", note)
    script = """
def more(agent):
    try:
        agent.ask("fs/read_text_file", path="/etc/passwd")
    except its.RpcError as error:
        agent.say(f"no: {error}. ")
    return its.edit(agent)
"""
    assert scripted(tmp_path, script).propose(desk).description == "RATE from 1.0 to 1.5"
    assert "no: Internal error" in "".join(book.words)


def test_an_error_whose_code_is_a_word_is_an_error(desk: Desk, tmp_path: Path) -> None:
    script = """
def more(agent):
    error = {"code": "rate_limited", "message": "429 Too Many Requests"}
    agent.send(id=agent.prompt_id, error=error)
    return "end_turn"
answer = its.answer
def noting(agent, message):
    agent.prompt_id = message.get("id")
    answer(agent, message)
its.answer = noting
"""
    with pytest.raises(Unavailable, match=r"fake: rate limit: .*429"):
        scripted(tmp_path, script).propose(desk)


def test_a_session_that_is_none_is_begun_anew(desk: Desk, book: Book, tmp_path: Path) -> None:
    script = """
more, result_of = its.edit, its.result_of
def odd(agent, method, params):
    return [1] if method == "session/load" else result_of(agent, method, params)
its.result_of = odd
"""
    researcher = scripted(tmp_path, script)
    researcher.continued = True
    done = replace(BASELINE, number=3, details={"acp": "fake", "session": "1-1"})
    later = replace(desk, history=(BASELINE, done))
    assert researcher.propose(later).description == "RATE from 1.0 to 1.5"
    assert book.noted("session") == [
        "could not be taken up again: its answer is no NewSessionResponse"
    ]


COUNTS = """\
import sys, time
from pathlib import Path
from autoresearch.testing import acp_agent

def tell(agent, used, cost=None):
    priced = {{}} if cost is None else {{"cost": {{"amount": cost, "currency": "USD"}}}}
    agent.update("usage_update", used=used, size=10**6, **priced)

def work(agent):
{work}
    return acp_agent.edit(agent)

def result_of(agent, method, params, plain=acp_agent.result_of):
    if method == "session/load" and {forgets}:
        raise acp_agent.RpcError("no such session")
    result = plain(agent, method, params)
    if method == "session/prompt" and {sums}:
        count = 100 * agent.turn
        counts = {{"inputTokens": count, "outputTokens": 0, "totalTokens": count}}
        return {{**result, "usage": counts}}
    return result

acp_agent.BEHAVIOURS["work"], acp_agent.result_of = work, result_of
sys.argv[1:] = ["work"]
acp_agent.main()
"""


def counting(work: str, forgets: bool = False, sums: bool = False, **preset: Any) -> Acp:
    """An agent that tells its tokens as its work says; `sums`: of its session, in its answer."""
    lines = "\n".join(f"    {line}" for line in work.splitlines())
    code = COUNTS.format(work=lines, forgets=forgets, sums=sums)
    return Acp("fake", Preset((sys.executable, "-c", code), **preset), UNBOXED, continued=True)


GROWING = "for i in range(900):\n    tell(agent, 1000 + 20 * i)\n    time.sleep(0.01)"


def test_a_turn_of_many_calls_ends_when_the_tokens_are_spent(desk: Desk, book: Book) -> None:
    book.limit_tokens = 50_000
    with pytest.raises(Spent):
        counting(GROWING).propose(desk)
    assert 50_000 < sum(book.spent, Usage()).tokens < 200_000  # all of it: over 4,500,000


def test_what_a_stopped_turn_took_is_counted(desk: Desk, book: Book) -> None:
    began = time.monotonic()

    def tick() -> None:
        if time.monotonic() - began > 1.0:
            raise Stopped

    with pytest.raises(Stopped):
        counting("tell(agent, 700)\ntime.sleep(60)").propose(replace(desk, tick=tick))
    assert sum(book.spent, Usage()).tokens == 700
    book.limit_tokens, began = 100, math.inf  # now it is the limit of tokens that ends it
    with pytest.raises(Spent):
        counting("tell(agent, 700)\ntime.sleep(60)").propose(replace(desk, tick=tick))
    assert sum(book.spent, Usage()).tokens == 1400


def test_a_session_that_is_taken_up_is_paid_for_once(desk: Desk, book: Book) -> None:
    """It goes on counting money, and with some agents tokens, where it was."""
    work = "tell(agent, 1, cost=0.25 * agent.turn)"
    at_first = counting(work, sums=True, counting=Counting.SESSION)
    details = at_first.propose(desk).details
    assert sum(book.spent, Usage()) == Usage(100, 0, 0, 0.25)
    done = replace(BASELINE, number=4, verdict=Verdict.DISCARD, details=details)
    later = replace(desk, number=5, history=(BASELINE, done))
    restarted = counting(work, sums=True, counting=Counting.SESSION)
    for researcher in (restarted, at_first):
        (desk.tree / "train.py").write_text(TRAIN)
        book.spent.clear()
        researcher.propose(later)
        assert sum(book.spent, Usage()) == Usage(100, 0, 0, 0.25)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(stores, "BUSY_SECONDS", 0.05)
    with Store(tmp_path / "s.db") as opened:
        opened.create_study("t", {}, seed=0, researcher="x", machine={})
        yield opened


def written(store: Store, folder: Path) -> StudyLedger:
    """The ledger of a study without limits."""
    return StudyLedger(store, "t", 5, "fake", folder, StudyLimits, print, lambda used: None)


def test_a_session_whose_proposal_was_killed_is_paid_for_once(
    desk: Desk, store: Store, tmp_path: Path
) -> None:
    """It told all that came of it, and nothing but the ledger knows."""
    work = f"tell(agent, 1, cost=float(open({str(tmp_path / 'cost')!r}).read()))"
    desk = replace(desk, ledger=written(store, tmp_path))
    for cost in (0.25, 0.5, 0.75):
        (tmp_path / "cost").write_text(str(cost))
        (desk.tree / "train.py").write_text(TRAIN)
        details = counting(work).propose(desk).details
        assert used_by(store, "t").cost_usd == cost
        if desk.number == 4:
            done = replace(BASELINE, number=4, verdict=Verdict.DISCARD, details=details)
            desk = replace(desk, number=5, history=(BASELINE, done))


def test_money_that_cannot_be_written_down_is_no_secret(
    desk: Desk, store: Store, tmp_path: Path
) -> None:
    """The proposal ends of it, and what was told meanwhile is counted as soon as it can be."""
    desk = replace(desk, ledger=written(store, tmp_path))
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            counting("tell(agent, 1, cost=9)").propose(desk)
        talk = Conversation(desk.ledger, Policy(desk.tree, (), ()), Meter(Counting.TURN), 10)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            talk.counted(1, 2.0)
        other.execute("ROLLBACK")
        talk.end(None)
        talk.counted(1, 2.5)
        assert used_by(store, "t") == Usage(1, cost_usd=2.5)


def test_a_new_session_is_paid_for_in_full(desk: Desk, book: Book) -> None:
    work = "tell(agent, 1, cost=0.25 * agent.number)"
    researcher = counting(work, forgets=True)
    for number in (4, 5):
        (desk.tree / "train.py").write_text(TRAIN)
        researcher.propose(replace(desk, number=number))
    assert sum(book.spent, Usage()).cost_usd == 0.25 * 4 + 0.25 * 5


def test_a_context_that_is_told_as_a_call_begins_and_ends_is_counted_once() -> None:
    meter = Meter(Counting.TURN)
    for begun, ended in ((1000, 1100), (1500, 1550)):
        meter.call(begun, is_paid=False)
        meter.call(ended, is_paid=False)
        meter.acted()
    assert meter.pending == 1100 + 1550
    for context in (1600, 1700, 1800):  # told once each
        meter.call(context, is_paid=False)
        meter.acted()
    assert meter.pending == 1100 + 1550 + 1600 + 1700 + 1800


def test_a_tool_ends_a_call_of_the_model(desk: Desk, book: Book) -> None:
    tool = 'agent.tool("read", "x")'
    done = f'agent.update("tool_call_update", toolCallId={tool}, status="completed")'
    counting(f"for i in range(4):\n    tell(agent, 1000 + i)\n    {done}").propose(desk)
    assert sum(book.spent, Usage()).tokens == 1000 + 1001 + 1002 + 1003
