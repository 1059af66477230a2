"""Protects the night against power cuts: whatever moment the engine dies at, no experiment is lost,
doubled or half-recorded, git and the store agree, and no process stays behind."""

import os
import pty
import random
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from autoresearch.experiment import Experiment, incumbent
from autoresearch.store import Store
from autoresearch.testing.tiny import TRAIN, make_tiny_lab
from tests.conftest import Call

KILLS = 50
STUDIES = 5  # each is killed ten times, from before its first row to after its last
EXPERIMENTS = 5
LONGEST_LIFE_SECONDS = 1.4


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def launch(
    lab: Path, tag: str, experiments: int = EXPERIMENTS, *more: str
) -> "subprocess.Popen[str]":
    words = ["run", "--experiments", str(experiments), "--tag", tag, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "autoresearch", *words],
        cwd=lab, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def experiments(lab: Path, tag: str) -> tuple[Experiment, ...]:
    path = lab / ".autoresearch" / "autoresearch.db"
    if not path.exists():
        return ()
    with Store(path) as store:
        return store.experiments(tag)


def processes_of(lab: Path) -> list[str]:
    """Living processes that name the lab in their command, environment or folder."""
    found, name = [], os.fsencode(lab)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command, where = (
                (entry / "cmdline").read_bytes(),
                os.fsencode((entry / "cwd").readlink()),
            )
            is_ours = name in command or name in (entry / "environ").read_bytes() or name in where
            if is_ours and entry.name != str(os.getpid()):
                found.append(f"{entry.name} {command.decode(errors='replace')}")
    return found


def eventually(check: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def finished(rows: tuple[Experiment, ...]) -> dict[int, Experiment]:
    return {each.number: each for each in rows if each.verdict is not None}


def check_whole(lab: Path, tag: str, rows: tuple[Experiment, ...], count: int) -> None:
    """What is true of a study that ran to its end, however often it was killed on the way."""
    assert [each.number for each in rows] == list(range(count + 1))
    for each in rows:
        assert each.verdict, each
        assert each.commit, each
        assert each.reason, each
        assert "\n" not in each.reason
        assert each.finished_at, each
        assert "running" not in {run.outcome for run in each.runs}
        assert [run.index for run in each.runs] == list(range(len(each.runs)))
        scored = [run for run in each.runs if run.outcome == "scored"]
        if each.score is not None:
            assert scored, each
            assert scored[-1].score == each.score
    check_agreement(lab, tag, rows)


def check_agreement(lab: Path, tag: str, rows: tuple[Experiment, ...]) -> None:
    """Git says what the store says: these attempts and no other, and the incumbent's branch."""
    listed = git(
        lab, "for-each-ref", "--format=%(refname) %(objectname)", f"refs/autoresearch/{tag}"
    )
    refs = dict(row.split() for row in listed.splitlines())
    assert refs == {f"refs/autoresearch/{tag}/{e.number}": e.commit for e in rows if e.commit}
    best = incumbent(rows, lower=True)
    if best is not None:
        assert git(lab, "rev-parse", f"refs/heads/autoresearch/{tag}") == best.commit
    for each in rows:
        assert f"experiment {tag}/{each.number}" in git(
            lab, "show", "-s", "--format=%B", each.commit or ""
        )


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks through /proc")
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    lab = make_tiny_lab(tmp_path / "the lab")
    (lab / "train.py").write_text(TRAIN + "# the person's own edit\n")
    (lab / "notes.txt").write_text("staged\n")
    git(lab, "add", "notes.txt")
    (lab / "notes.txt").write_text("and edited\n")
    index = (lab / ".git" / "index").read_bytes()
    mine = git(lab, "status", "--porcelain"), git(lab, "rev-parse", "HEAD"), git(lab, "diff")
    moments = random.Random(1)
    for tag in (f"t{number}" for number in range(STUDIES)):
        known: dict[int, Experiment] = {}
        for _ in range(KILLS // STUDIES):
            engine = launch(lab, tag)
            with suppress(subprocess.TimeoutExpired):
                engine.wait(moments.uniform(0.05, LONGEST_LIFE_SECONDS))
            engine.kill()
            assert engine.stdout is not None
            engine.stdout.close()
            engine.wait()
            rows = experiments(lab, tag)
            if (
                rows and rows[0].verdict == "crash"
            ):  # killed three times in the baseline: begun anew
                known = {}
                continue
            now = finished(rows)
            assert known.items() <= now.items(), "a finished experiment was lost or has changed"
            known = now
            assert [each.number for each in rows] == list(range(len(rows)))
            assert len(rows) - len(now) <= 1, "more than one experiment is open"
        while True:  # a baseline that was killed three times counts as broken, once
            engine = launch(lab, tag)
            output, _ = engine.communicate(timeout=60)
            assert "Traceback" not in output, output
            if engine.returncode != 2 or "the engine was stopped 3 times" not in output:
                break
        assert engine.returncode == 0, output
        rows = experiments(lab, tag)
        assert known.items() <= finished(rows).items(), "a finished experiment was lost or changed"
        check_whole(lab, tag, rows, EXPERIMENTS)
    assert eventually(lambda: not processes_of(lab), 3.0), processes_of(lab)
    assert not list((lab / ".autoresearch" / "work").glob("*/*"))
    assert (lab / ".git" / "index").read_bytes() == index
    assert (
        git(lab, "status", "--porcelain"),
        git(lab, "rev-parse", "HEAD"),
        git(lab, "diff"),
    ) == mine
    assert git(lab, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(lab, "fsck", "--no-dangling") == ""


SLOW = re.sub(r"SLEEP = [\d.]+", "SLEEP = 1.0", TRAIN)


@pytest.fixture
def slow_lab(tmp_path: Path) -> Path:
    return make_tiny_lab(tmp_path / "lab", train=SLOW)


def in_its_run(lab: Path, number: int) -> Callable[[], bool]:
    """True while the train command of an experiment is at work."""

    def check() -> bool:
        rows = experiments(lab, "t")
        run = rows[number].last_run if len(rows) > number else None
        return (
            run is not None
            and run.outcome == "running"
            and any("train.py" in p for p in processes_of(lab))
        )

    return check


def test_the_limits_outlive_a_kill(tmp_path: Path, autoresearch: Call) -> None:
    lab = make_tiny_lab(tmp_path / "lab", train=re.sub(r"SLEEP = [\d.]+", "SLEEP = 0.4", TRAIN))
    engine = launch(lab, "t", 2, "--max-cost", "1", "--max-tokens", "1M")
    assert eventually(in_its_run(lab, 1), 20)
    os.killpg(engine.pid, signal.SIGKILL)
    engine.communicate(timeout=30)
    assert "cut off" in autoresearch(lab, "log").stdout
    assert "cut off" in autoresearch(lab, "show", "1").stdout
    autoresearch(lab, "extend", "--experiments", "1")
    again = autoresearch(lab, "run").stdout
    assert "Resuming study t: 2 s of training a run, until 3 experiments or 1M tokens" in again
    assert "or $1.00\n" in again
    assert len(experiments(lab, "t")) == 4
    lifted = autoresearch(lab, "run", "--tag", "t", "--max-cost", "none", "--for", "1h").stdout
    assert "until 3 experiments or 60 min or 1M tokens\n" in lifted
    fresh = autoresearch(lab, "run", "--experiments", "0").stdout
    assert fresh.startswith("New study"), "nothing is left of the last one"


@pytest.mark.parametrize("number", [0, 1])
def test_ctrl_c_once_finishes_the_experiment_and_says_how_to_resume(
    slow_lab: Path, number: int
) -> None:
    engine = launch(slow_lab, "t")
    assert eventually(in_its_run(slow_lab, number), 20)
    os.killpg(engine.pid, signal.SIGINT)  # as a terminal does it: to the whole group
    output, _ = engine.communicate(timeout=30)
    assert engine.returncode == 0, output
    assert "stopping after this experiment" in output
    assert re.search(r"autoresearch run --experiments \d+ --tag t\n", output)
    rows = experiments(slow_lab, "t")
    assert len(rows) == number + 1
    assert rows[number].score is not None
    assert rows[number].runs[-1].outcome == "scored"
    check_resumes(slow_lab, number + 1)


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP]]
)
def test_ctrl_c_twice_or_a_sigterm_stops_now(slow_lab: Path, signals: list[signal.Signals]) -> None:
    (slow_lab / "train.py").write_text(SLOW.replace("SLEEP = 1.0", "SLEEP = 1.9"))
    engine = launch(slow_lab, "t")
    assert eventually(in_its_run(slow_lab, 0), 20)
    asked = time.monotonic()
    for number in signals:
        os.killpg(engine.pid, number)
        time.sleep(0.1)
    output, _ = engine.communicate(timeout=30)
    assert time.monotonic() - asked < 1.5, output
    assert engine.returncode in (0, 130), output
    assert "stopping now" in output
    assert re.search(r"autoresearch run --experiments \d+ --tag t\n", output)
    rows = experiments(slow_lab, "t")
    assert [(each.verdict, each.last_run.outcome) for each in rows if each.last_run] == [
        (None, "interrupted")
    ]
    asked_for = [sys.executable, "-m", "autoresearch", "status"]
    said = subprocess.run(
        asked_for, cwd=slow_lab, capture_output=True, text=True, check=True
    ).stdout
    assert "cut off     #0 baseline: the next run begins it again" in said
    check_resumes(slow_lab, 1)


def test_a_sigterm_to_all_processes_is_no_crash(slow_lab: Path) -> None:
    """As systemd, a shutdown and batch systems do it."""
    engine = launch(slow_lab, "t", 0)
    assert eventually(in_its_run(slow_lab, 0), 20)
    for each in psutil.Process(engine.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            each.terminate()
    time.sleep(0.1)
    engine.terminate()
    output, _ = engine.communicate(timeout=30)
    assert engine.returncode == 0, output
    (row,) = experiments(slow_lab, "t")
    assert row.verdict is None
    assert [each.outcome for each in row.runs] == ["interrupted"]


def launch_to(theirs: int, lab: Path, experiments: int) -> "subprocess.Popen[bytes]":
    words = ["run", "--experiments", str(experiments), "--tag", "t"]
    return subprocess.Popen(
        [sys.executable, "-m", "autoresearch", *words],
        cwd=lab, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip


@pytest.mark.parametrize("reader", ["pipe", "terminal", "stopped terminal"])
def test_a_night_goes_on_when_nobody_reads_any_more(tmp_path: Path, reader: str) -> None:
    """`run | tee log` whose tee is gone, a terminal that was closed behind `disown`, Ctrl-S."""
    lab = make_tiny_lab(tmp_path / "lab")
    ours, theirs = os.pipe() if reader == "pipe" else pty.openpty()
    engine = launch_to(theirs, lab, 3)
    try:
        assert eventually(lambda: len(experiments(lab, "t")) > 1, 20)
        if reader == "stopped terminal":
            termios.tcflow(theirs, termios.TCOOFF)
        else:
            os.close(ours)
        assert engine.wait(timeout=60) == 0
    finally:
        engine.kill()
        os.close(theirs)
    check_whole(lab, "t", experiments(lab, "t"), 3)
    with Store(lab / ".autoresearch" / "autoresearch.db") as store:
        assert [each.data["why"] for each in store.events("t") if each.kind == "over"] == [
            "its 3 experiments are done"
        ]


def test_a_sigterm_does_not_wait_for_a_terminal(slow_lab: Path) -> None:
    _, theirs = pty.openpty()
    engine = launch_to(theirs, slow_lab, 0)
    try:
        assert eventually(in_its_run(slow_lab, 0), 20)
        termios.tcflow(theirs, termios.TCOOFF)
        time.sleep(0.5)  # the live line is drawn four times a second
        engine.terminate()
        assert engine.wait(timeout=20) == 0
    finally:
        engine.kill()
        os.close(theirs)
    assert [each.verdict for each in experiments(slow_lab, "t")] == [None]


TALKATIVE = """\
import click
from autoresearch.cli.terminal import never_blocking
print("before", flush=True)
with never_blocking():
    for number in range(300):
        click.echo(f"{number} {'x' * 400}", err=bool(number % 2))
print("after")
"""


@pytest.mark.parametrize("reader", ["pipe", "terminal"])
def test_who_reads_late_reads_all_of_it_in_order(reader: str) -> None:
    ours, theirs = os.pipe() if reader == "pipe" else pty.openpty()
    with subprocess.Popen([sys.executable, "-c", TALKATIVE], stdout=theirs, stderr=theirs):
        os.close(theirs)
        time.sleep(1)
        shown = b""
        with suppress(OSError):  # a terminal whose other side is closed
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
    numbers = [line.split()[0].decode() for line in shown.splitlines()]
    assert numbers == ["before", *map(str, range(300)), "after"]


def test_nohup_is_respected(slow_lab: Path) -> None:
    """Who closes the terminal then does not mean the study."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does it: it is inherited
    try:
        engine = launch(slow_lab, "t", 1)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert eventually(in_its_run(slow_lab, 0), 20)
    os.killpg(engine.pid, signal.SIGHUP)
    output, _ = engine.communicate(timeout=60)
    assert engine.returncode == 0, output
    assert "stopping" not in output
    check_whole(slow_lab, "t", experiments(slow_lab, "t"), 1)


def test_ctrl_c_at_any_moment_leaves_no_traceback_and_no_crash(tmp_path: Path) -> None:
    lab = make_tiny_lab(tmp_path / "lab")
    moments = random.Random(2)
    for _ in range(4):
        engine = launch(lab, "t", 30)
        assert engine.stdout is not None
        engine.stdout.readline()  # the study is open: from here on signals are ours
        time.sleep(moments.uniform(0.2, 0.8))
        os.killpg(engine.pid, signal.SIGINT)
        output, _ = engine.communicate(timeout=30)
        assert engine.returncode in (0, 130), output
        assert "Traceback" not in output, output
    rows = experiments(lab, "t")
    assert all(each.score is not None for each in rows), rows
    check_agreement(lab, "t", rows)


def check_resumes(lab: Path, count: int) -> None:
    assert eventually(lambda: not processes_of(lab), 3.0), processes_of(lab)
    before = finished(experiments(lab, "t"))
    engine = launch(lab, "t", count)
    output, _ = engine.communicate(timeout=60)
    assert engine.returncode == 0, output
    rows = experiments(lab, "t")
    assert before.items() <= finished(rows).items()
    check_whole(lab, "t", rows, count)


def test_a_study_that_was_killed_before_its_first_commit_begins_anew(tmp_path: Path) -> None:
    lab = make_tiny_lab(tmp_path / "lab")
    with Store(lab / ".autoresearch" / "autoresearch.db") as store:
        store.create_study("t", {}, seed=0, researcher="knobs", machine={})
        store.begin("t", None, "baseline")
    check_resumes(lab, 1)
