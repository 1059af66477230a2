"""Protects `status` and its live view: everything that is ordered and waits is seen, the screen is
small, calm and cheap, and the terminal is afterwards as it was."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autoresearch import opening
from autoresearch.activity import Activity
from autoresearch.budget import StudyLimits
from autoresearch.cli.board import PLAIN, board, sparkline
from autoresearch.cli.screen import ENTER, LEAVE
from autoresearch.cli.status import Status, status_json, status_of
from autoresearch.cli.terminal import experiment_lines, result_line, status_lines
from autoresearch.experiment import Experiment, Usage, Verdict
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.runners.base import Progress
from autoresearch.steering.inbox import Inbox, Stop
from autoresearch.steering.orders import give
from autoresearch.steering.state import Steering, Words
from autoresearch.store import Store
from autoresearch.testing.tiny import make_tiny_lab

pytestmark = pytest.mark.measured

HOSTILE = "up \x1b[31mred\x1b]0;owned\x07 \u202e\nand down"
PATIENCE_SECONDS = 60.0


def row(number: int, score: float | None, verdict: Verdict = Verdict.DISCARD) -> Experiment:
    return Experiment(
        number, 0 if number else None, "then", description=f"{HOSTILE} {'深い' * 40} {number}",
        verdict=verdict, score=score, delta=None, seconds=300.0, reason=HOSTILE, researcher="me",
    )  # fmt: skip


def night(count: int = 30) -> Status:
    """A long one, with everything on it."""
    rows = [row(0, 5.0, Verdict.KEEP)]
    rows += [
        row(n, 5.0 - n / 10, Verdict.KEEP if n % 3 else Verdict.CRASH) for n in range(1, count)
    ]
    rows.append(replace(row(count, None), verdict=None))
    words = tuple(Words(n, "then", HOSTILE * 50) for n in range(1, 20))
    state = Steering(
        notes=words, ideas=words, paused=True, pid=7, given=StudyLimits(100, 3600.0),
        extensions={4: {"seconds": 1800.0}},
    )  # fmt: skip
    now = {
        "phase": "training", "experiment": count, "seconds": 30.0, "budget_seconds": 120.0,
        "loss": 2.5, "tokens_per_second": 12345.6, "pid": 7,
    }  # fmt: skip
    return Status("t", Program(), tuple(rows), state, Usage(), 60.0, True, now)


@pytest.mark.parametrize(("width", "height"), [(60, 15), (100, 40), (20, 5), (1, 1), (300, 100)])
def test_it_fits_any_screen_and_says_nothing_hostile(width: int, height: int) -> None:
    lines = board(night(), width, height)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    text = "\n".join(line.plain for line in lines)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert "owned" not in text


def test_what_matters_is_on_a_small_screen() -> None:
    text = "\n".join(line.plain for line in board(night(), 60, 15))
    for words in (
        "t: training #30; pausing after that", "25%", "loss 2.5", "12.3k tokens/s", "90 s left",
        "best 2.1000 val_bpb, #29: gain 2.9000", "left: 71 of 100 experiments", "note 1 waits: up",
        "more wait",
    ):  # fmt: skip
        assert words in text
    plain = "\n".join(line.plain for line in board(night(), 120, 30, PLAIN))
    assert "####" in plain
    assert "(30 min added)" in plain
    assert plain.count(" keep ") + plain.count(" crash ") == 10


def test_the_line_of_the_best_only_rises() -> None:
    assert sparkline([0.0, 0.0, 1.0, 4.0], 10, "abcd") == "aabd"
    assert sparkline([0.0, 0.0], 10, "abcd") == "aa"
    assert sparkline([], 10, "abcd") == ""
    assert len(sparkline([n / 7 for n in range(5000)], 32, "abcd")) == 32
    it = night()
    assert it.running_best() == sorted(it.running_best())


def test_a_study_without_anything_yet() -> None:
    it = Status("t", Program(), (), Steering(), Usage(), 0.0, False, {})
    assert [line.plain for line in board(it, 60, 15)] == ["t: not running"]
    assert status_json(it)["limits"] == dict.fromkeys(
        ("experiments", "seconds", "tokens", "cost_usd")
    )
    assert status_json(it).keys() == status_json(night()).keys()


def test_the_keys_of_status_are_documented_and_json() -> None:
    facts = status_json(night())
    assert json.loads(json.dumps(facts)) == facts
    documented = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    names = set(re.findall(r"`(\w+)`", documented))
    assert facts.keys() <= names
    text = "\n".join(status_lines(facts))
    assert "training #30; pausing after that" in text
    assert "note        1 waits: up red" in text
    assert "1.01 h" not in text or "\x1b" not in text


def test_small_scores_are_shown() -> None:
    first = replace(row(0, 3.1e-9, Verdict.KEEP), delta=None)
    best = replace(row(1, 1.05e-9, Verdict.KEEP), delta=-2.05e-9)
    it = Status("t", Program(), (first, best), Steering(), Usage(), 0.0, False, {})
    text = "\n".join(status_lines(status_json(it)))
    assert "baseline    3.1e-09 val_bpb" in text
    assert "best        1.05e-09 val_bpb, #1" in text
    assert "1.05e-09 -2.05e-09" in result_line(best).plain
    assert "best 1.05e-09 val_bpb, #1: gain 2.1e-09" in [str(each) for each in board(it, 80, 9)][1]
    shown = experiment_lines(best, Program(), Usage())
    assert [line.split()[-1] for line in shown if "e-09" in line] == ["1.05e-09", "-2.05e-09"]


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, autoresearch.cli.main, autoresearch.cli.follow; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "optuna", "matplotlib", "numpy", "acp"} & set(done.stdout.split())


# --- On a real terminal -----------------------------------------------------------------------


class Place:
    """A lab with a study, on which this process is at work or not."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab.open(make_tiny_lab(folder))
        self.store = Store(opening.store_path(self.lab))
        opened = opening.open_study(self.lab, self.store, opening.Wishes("t"))
        self.program = opened.program
        self.store.finish("t", 0, Verdict.KEEP, "baseline", score=5.0, seconds=3.0)

    def give(self, kind: str, **data: object) -> str:
        return give(self.lab, self.store, "t", kind, data)

    @contextmanager
    def engine(self) -> Iterator[Activity]:
        """As an engine is: the lock, its events, and what it does now."""
        folder = self.lab.study_folder("t")
        folder.mkdir(parents=True, exist_ok=True)
        inbox, activity = Inbox(self.store, "t", Stop()), Activity(folder, 100.0)
        with self.lab.lock():
            inbox.begin({"experiments": 5}, "x")
            yield activity
            activity.clear()
            inbox.end("its 5 experiments are done")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "lab")
    with found.store:
        yield found


class Terminal:
    """A pseudo terminal, with a program in it."""

    def __init__(self, folder: Path, width: int, height: int, **env: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autoresearch", "status", "--watch"], cwd=folder,
            stdin=self.theirs, stdout=self.theirs, stderr=self.theirs,
            start_new_session=True, preexec_fn=self.take,  # noqa: PLW1509
            env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONUTF8": "1", **env},
        )  # fmt: skip

    def take(self) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, seconds: float) -> bytes:
        """What is written within so many seconds."""
        found, deadline = b"", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.ours], [], [], left)[0]:
                try:
                    found += os.read(self.ours, 65536)
                except OSError:
                    break
        self.seen += found
        return found

    def until(self, words: str) -> bytes:
        """Everything that is written until these words are."""
        found, deadline = b"", time.monotonic() + PATIENCE_SECONDS
        while words.encode() not in found:
            assert time.monotonic() < deadline, (words, found)
            found += self.read(0.1)
        return found + self.read(0.1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for each in (self.ours, self.theirs):
            os.close(each)


@pytest.fixture
def terminal(place: Place) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def make(width: int = 60, height: int = 15, **env: str) -> Terminal:
        made.append(Terminal(place.lab.root, width, height, **env))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_the_screen_is_calm_cheap_and_given_back(
    place: Place, terminal: Callable[..., Terminal]
) -> None:
    live = terminal(NO_COLOR="1")
    first = live.until("baseline 5.0000 val_bpb: nothing beats it yet")
    assert first.startswith(ENTER.encode())
    assert b"t: \x1b" in first or b"t: not running" in first
    assert not re.search(rb"\x1b\[[0-9;]*[34][0-9]", first), "a colour"
    process = psutil.Process(live.process.pid)
    used = sum(process.cpu_times()[:2])
    assert live.read(3.0) == b"", "nothing has happened"
    assert sum(process.cpu_times()[:2]) - used <= 0.06

    place.give("note", text=HOSTILE)
    change = live.until("note 2 waits: up red")
    assert b"baseline" not in change, "what stands there is not written again"
    assert b"owned" not in live.seen
    with place.engine() as activity:
        opened = place.store.begin("t", 0, "knobs")
        activity.phase("training", 1, 0)
        live.until("training #1")
        place.store.proposed("t", replace(opened, commit="c", description="X 1 -> 2"))
        time.sleep(0.6)
        activity.progress(Progress(25.0, 3, 1.5, 1000))
        drawn = live.until("75 s left")
        assert b"loss 1.5" in drawn
    live.until("not running: its 5 experiments are done")
    with place.engine() as activity:  # and started again
        activity.phase("scoring", 1, 0)
        live.until("scoring #1")
    live.resize(100, 30)
    assert b"\x1b[2J" in live.until("note 2 waits")

    os.write(live.ours, b"\x03")
    end = live.until(LEAVE)
    assert live.process.wait(PATIENCE_SECONDS) == 0
    assert end.rstrip().endswith(LEAVE.encode())
    assert b"Traceback" not in live.seen
    assert termios.tcgetattr(live.theirs) == live.before


def test_colours_where_they_are_wanted_and_q_leaves(terminal: Callable[..., Terminal]) -> None:
    live = terminal(100, 24)
    live.until("nothing beats it yet")
    assert re.search(rb"\x1b\[[0-9;]*3[0-9]m", live.seen)
    os.write(live.ours, b"q")
    assert live.process.wait(PATIENCE_SECONDS) == 0
    assert live.read(0.2).endswith(LEAVE.encode())


def test_a_program_that_ends_it_gives_the_terminal_back(
    terminal: Callable[..., Terminal],
) -> None:
    live = terminal()
    live.until("nothing beats it yet")
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    assert live.read(0.2).endswith(LEAVE.encode())
    assert termios.tcgetattr(live.theirs) == live.before


def test_a_pipe_gets_plain_lines(place: Place) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "autoresearch", "status", "--watch"], cwd=place.lab.root,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"#0    keep")
    assert process.stdout.readline() == b"t: not running\n"
    place.give("pause")
    assert b"paused" in process.stdout.readline()
    place.store.begin("t", 0, "knobs")
    place.store.finish("t", 1, Verdict.CRASH, "broke")
    assert process.stdout.readline().startswith(b"#1    crash")
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=PATIENCE_SECONDS)[0]
    assert (process.returncode, rest) == (0, b"")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")
def test_it_holds_up_in_tmux(place: Place, tmp_path: Path) -> None:
    def tmux(*words: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(tmp_path / "tmux"), *words],
            capture_output=True, text=True, check=True, env={**os.environ, "LANG": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout

    def shows(words: str) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in (shown := tmux("capture-pane", "-p")):
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return shown

    script = tmp_path / "w"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -m autoresearch status --watch\n")
    script.chmod(0o755)
    words = f"cd {place.lab.root}; PS1='$ ' sh"
    tmux("new-session", "-d", "-x", "80", "-y", "20", words)
    try:
        shows("$")
        tmux("send-keys", "../w", "Enter")
        shows("nothing beats it yet")
        place.give("note", text="stay away from Y")
        shown = shows("note 2 waits: stay away from Y")
        assert "../w" not in shown
        tmux("resize-window", "-x", "60", "-y", "15")
        assert max(map(len, shows("nothing beats it yet").splitlines())) <= 60
        tmux("send-keys", "C-c")
        assert "nothing beats it yet" not in shows("../w")
    finally:
        tmux("kill-server")


def test_a_glance_does_not_take_another_studys_engine_for_its_own(place: Place) -> None:
    place.store.create_study("u", place.program.contract(), seed=0, researcher="x", machine={})
    with place.engine() as activity:
        activity.phase("training", 1, 0)
        it, other = (
            status_of(place.lab, place.store, tag, place.program, place.store.experiments(tag))
            for tag in ("t", "u")
        )
    assert (it.is_busy, it.words) == (True, "training #1")
    assert (other.is_busy, dict(other.now)) == (False, {})
