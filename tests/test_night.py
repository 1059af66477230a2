"""Protects the night: whatever a run or the power does, one verdict each, and the loop goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from autoresearch import git
from autoresearch.errors import Invalid
from autoresearch.experiment import Experiment, Proposal, Verdict, incumbent
from autoresearch.lab import Lab
from autoresearch.opening import Wishes, open_study, store_path
from autoresearch.researchers.base import Desk
from autoresearch.runners import local
from autoresearch.runners.local import LocalRunner
from autoresearch.store import Store
from autoresearch.strategies.greedy import Greedy
from autoresearch.study import Budget, Study, research
from autoresearch.terminal import PlainWatcher
from autoresearch.testing.tiny import TRAIN, make_tiny_lab

KILLS = 50
ENGINE = [sys.executable, "-m", "autoresearch", "run", "--tag", "t", "--experiments"]


def experiments(lab: Path) -> tuple[Experiment, ...]:
    with Store(store_path(Lab.open(lab))) as store:
        return store.experiments("t") if "t" in store.tags() else ()


def processes_of(lab: Path) -> list[str]:
    """Command lines of living processes that work in the lab or name it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                where = os.readlink(entry / "cwd")  # noqa: PTH115
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if where.startswith(str(lab)) or str(lab) in words:
                found.append(words.replace("\0", " "))
    return found


def gone(lab: Path, seconds: float = 5.0) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := processes_of(lab)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to look for processes")
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    lab = make_tiny_lab(tmp_path / "lab")
    rng, known, total = random.Random(7), {}, 0
    head = git.line(lab, "rev-parse", "HEAD")
    while total < KILLS:
        engine = subprocess.Popen([*ENGINE, "100000"], cwd=lab, stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.05, 1.6))
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        total += 1
        assert not gone(lab)
        now = {each.number: each for each in experiments(lab) if each.verdict is not None}
        assert {number: now[number] for number in known} == known  # finished ones never change
        known = now
    goal = len(known) + 1
    done = subprocess.run([*ENGINE, str(goal)], cwd=lab, capture_output=True, text=True, check=True)
    assert "experiments are done" in done.stdout
    final = experiments(lab)
    assert [each.number for each in final] == list(range(goal + 1))
    assert {each.number: each for each in final if each.number in known} == known
    for each in final:
        assert each.verdict is not None
        assert each.commit
        assert each.reason
        scored = [run for run in each.runs if run.outcome == "scored"]
        assert len(scored) == (each.score is not None)
        assert not [run for run in each.runs if run.outcome == "running"]
    refs = git.refs(lab, "refs/autoresearch/")
    assert refs == {f"refs/autoresearch/t/{each.number}": each.commit for each in final}
    best = incumbent(final)
    assert best is not None
    assert git.resolve(lab, "refs/heads/autoresearch/t") == best.commit
    assert git.line(lab, "rev-parse", "HEAD") == head
    assert git.line(lab, "status", "--porcelain") == ""
    assert not (lab / ".autoresearch/work/t").exists()


def interrupted(lab: Path, *signals: int) -> subprocess.CompletedProcess[str]:
    """An engine that gets signals while its first experiment after the baseline trains."""
    argv = [*ENGINE, "100"]
    engine = subprocess.Popen(
        argv, cwd=lab, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(experiments(lab)) < 2 or not experiments(lab)[-1].runs:
        time.sleep(0.05)
    for number in signals:
        engine.send_signal(number)
        time.sleep(0.3)
    out, err = engine.communicate(timeout=60)
    return subprocess.CompletedProcess(argv, engine.returncode, out, err)


@pytest.fixture
def slow_lab(tmp_path: Path) -> Path:
    return make_tiny_lab(tmp_path / "lab", train=TRAIN.replace("SLEEP = 0.02", "SLEEP = 1.5"))


def test_one_ctrl_c_finishes_the_experiment(slow_lab: Path) -> None:
    done = interrupted(slow_lab, signal.SIGINT)
    assert "autoresearch run --tag t" in done.stdout
    assert done.returncode == 0
    assert all(each.verdict is not None for each in experiments(slow_lab))


@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_a_second_ctrl_c_stops_now_and_it_is_resumed(
    slow_lab: Path, signals: tuple[int, ...]
) -> None:
    done = interrupted(slow_lab, *signals)
    assert "autoresearch run --tag t" in done.stdout
    left = experiments(slow_lab)
    assert left[-1].verdict is None
    assert not gone(slow_lab)
    subprocess.run([*ENGINE, "1"], cwd=slow_lab, check=True, capture_output=True)
    taken_up = experiments(slow_lab)[-1]
    assert taken_up.commit == left[-1].commit
    assert [run.outcome for run in taken_up.runs] == ["interrupted", "scored"]


class Scripted:
    """Proposes these contents of train.py, one after the other."""

    def __init__(self, *texts: str | Callable[[Path], None]) -> None:
        self.texts = list(texts)

    def propose(self, desk: Desk) -> Proposal:
        made = self.texts[desk.number - 1]
        if callable(made):
            made(desk.tree)
        else:
            (desk.tree / "train.py").write_text(made)
        return Proposal(f"idea {desk.number}")


Night = Callable[..., tuple[Experiment, ...]]
GOOD = TRAIN.replace("X = 1.0", "X = 3.0")


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """night(text, ...) -> the experiments after the baseline."""
    monkeypatch.setattr(local, "OVERTIME_SECONDS", 0.5)

    def run(
        *texts: str | Callable[[Path], None], folder: Path | None = None
    ) -> tuple[Experiment, ...]:
        program = PROGRAM if folder is None else PROGRAM.replace("500MB", "200MB")
        lab = Lab.open(make_tiny_lab(folder or tmp_path / "lab", program=program))
        with lab.lock(), Store(store_path(lab)) as store:
            opened = open_study(lab, store, Wishes("t"))
            watcher = PlainWatcher(Console(quiet=True), opened.program)
            study = Study(
                "t", lab, store, opened.program, Scripted(*texts), "scripted", Greedy(),
                LocalRunner(), watcher, sys.executable, 0,
            )  # fmt: skip
            research(study, Budget(experiments=len(texts)))
            return store.experiments("t")[1:]

    return run


PROGRAM = """\
---
budget: 1s
limits: {startup: 3s, scoring: 20s, log: 1MB, memory: 500MB, artifact: 20MB, editable_size: 64KB}
---
"""
BODY = 'if __name__ == "__main__":\n'


def in_body(*lines: str) -> str:
    """The tiny train.py with some lines run before anything else."""
    return TRAIN.replace(BODY, BODY + "".join(f"    {line}\n" for line in lines))


def instead_of_submit(*lines: str) -> str:
    text = "".join(f"    {line}\n" for line in lines)
    return TRAIN.replace("    prepare.submit(harness, X, X=X, Y=Y)\n", text)


FAULTS = {
    "syntax error": ("def broken(:\n", Verdict.CRASH, "SyntaxError"),
    "exception": (in_body("raise RuntimeError('no luck')"), Verdict.CRASH, "no luck"),
    "exit 0 before it is ready": (in_body("raise SystemExit(0)"), Verdict.CRASH, "before it was ready"),
    "exit 0 without artifact": (instead_of_submit("pass"), Verdict.CRASH, "without a complete artifact"),
    "hangs before it is ready": (in_body("time.sleep(99)"), Verdict.TIMEOUT, "not ready to train"),
    "hangs in training": (instead_of_submit("time.sleep(99)"), Verdict.TIMEOUT, "still training"),
    "late": (TRAIN.replace("SLEEP = 0.02", "SLEEP = 1.8"), Verdict.TIMEOUT, "still training"),
    "memory": (in_body("x = [b'1' * 10**7 + bytes([i % 7]) * 10**7 for i in range(10**6)]"), Verdict.CRASH, "memory"),
    "a gigabyte of log": (in_body("for _ in range(1000): print('x' * 10**6)"), Verdict.CRASH, "printed more"),
    "killed": (in_body("import os", "os.kill(os.getpid(), 9)"), Verdict.CRASH, "signal 9"),
    "not a number": (TRAIN.replace("prepare.submit(harness, X,", "prepare.submit(harness, float('nan'),"), Verdict.INVALID, "not a finite number"),
    "link as artifact": (
        instead_of_submit(
            "import os, pathlib", "a = pathlib.Path(os.environ['AUTORESEARCH_ARTIFACT'])", "a.mkdir()",
            "(a / 'model.json').symlink_to('/etc/passwd')",
            "harness.sendall(b'{\"type\": \"done\"}\\n')",
        ), Verdict.INVALID, "no plain file"),
    "floods the socket": (in_body("h, _ = prepare.start()", "while True: h.sendall(b'x' * 65536)"), Verdict.INVALID, "message without end"),
    "nonsense on the socket": (in_body("h, _ = prepare.start()", "h.sendall(b'[1]\\n{\\n\\xff\\n')", "raise SystemExit(5)"), Verdict.CRASH, "exit code 5"),
    "an artifact too large": (in_body("import os, pathlib", "a = pathlib.Path(os.environ['AUTORESEARCH_ARTIFACT'])", "a.mkdir()", "(a / 'x').write_bytes(bytes(30 * 10**6))"), Verdict.CRASH, "large"),
    "too much source": (TRAIN + "#" * 70_000, Verdict.INVALID, "more than 65,536"),
    "no change": (TRAIN, Verdict.FAILED, "changes nothing"),
    "a locked file": (lambda tree: (tree / "prepare.py").write_text("x"), Verdict.INVALID, "prepare.py, which is locked"),
    "a link for a file": (lambda tree: ((tree / "train.py").unlink(), (tree / "train.py").symlink_to("/etc/passwd")), Verdict.INVALID, "symbolic link"),
    "removed": (lambda tree: (tree / "train.py").unlink(), Verdict.INVALID, "removed train.py"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_verdict_with_its_reason(night: Night, tmp_path: Path, name: str) -> None:
    text, verdict, reason = FAULTS[name]
    fault, after = night(text, GOOD)
    assert (fault.verdict, fault.score) == (verdict, None)
    assert reason in fault.reason
    assert "\n" not in fault.reason
    assert (after.verdict, after.score) == (Verdict.KEEP, 1.0)
    assert not gone(tmp_path)


def test_a_model_that_comes_late_is_invalid() -> None:
    local.check_in_time(300.0 + 2.9, 300.0)
    with pytest.raises(Invalid, match=r"3\.1 s after its 300 s"):
        local.check_in_time(300.0 + 3.1, 300.0)


def test_a_child_that_leaves_its_session_does_not_outlive_the_run(
    night: Night, tmp_path: Path
) -> None:
    escape = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\ntime.sleep(99)"
    text = in_body(f"exec(\"if not __import__('os').fork():\\n exec({escape!r})\")")
    assert night(text.replace("X = 1.0", "X = 2.0"))[0].score == 2.0
    assert not gone(tmp_path)


def test_a_full_disk_ends_the_experiment_not_the_night(night: Night, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount the small disk that this test fills")
    try:
        fill = in_body(
            "f = [open(f'fill{i}', 'wb') for i in range(20)]",
            "for each in f: each.write(bytes(15 * 10**6)); each.flush()",
        )
        full, after = night(fill, GOOD, folder=folder / "lab")
        assert full.verdict is Verdict.CRASH
        assert "No space left" in full.reason or "full" in full.reason
        assert after.score == 1.0
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
