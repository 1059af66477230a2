"""Protects the night against bad edits and bad machines: each ends as one recorded experiment with
a verdict and a one-line reason, and the next experiment scores."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch import execution, keep, opening, records, resilience
from autoresearch import store as stores
from autoresearch.budget import StudyLimits
from autoresearch.context import Study
from autoresearch.errors import Failed, LabError
from autoresearch.experiment import Experiment, Proposal, Usage, Verdict
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.report import build
from autoresearch.researchers.base import Desk, Researcher
from autoresearch.runners import local
from autoresearch.runners.base import Progress
from autoresearch.steering import orders
from autoresearch.store import Store
from autoresearch.study import research
from autoresearch.testing.tiny import PREPARE, TRAIN, make_tiny_lab

Edit = str | bytes | Callable[[Path], None]
FAST = """\
---
budget: 1s
limits: {startup: 2s, scoring: 5s, log: 1MB, memory: 500MB, artifact: 4MB, editable_size: 16KB}
---
Find the X with the lowest loss.
"""
READY = "import json, os, pathlib, sys, time\nimport prepare\nharness, budget = prepare.start()\n"
ARTIFACT = 'pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])'


class Scripted:
    """Proposes these edits of train.py one after the other, by the experiment's number."""

    def __init__(self, edits: list[Edit]) -> None:
        self.edits = edits

    def propose(self, desk: Desk) -> Proposal:
        edit = self.edits[desk.number - 1]
        if callable(edit):
            edit(desk.tree)
        else:
            content = edit.encode() if isinstance(edit, str) else edit
            (desk.tree / "train.py").write_bytes(content)
        return Proposal(f"edit {desk.number}")


class Notes:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def began(self, experiment: Experiment) -> None: ...
    def spent(self, experiment: Experiment, used: Usage) -> None: ...
    def proposed(self, experiment: Experiment) -> None: ...
    def progress(self, experiment: Experiment, progress: Progress) -> None: ...
    def scoring(self, experiment: Experiment) -> None: ...
    def finished(self, experiment: Experiment, best: Experiment | None) -> None: ...
    def stop(self) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def study_in(
    folder: Path,
    edits: list[Edit],
    watcher: Notes | None = None,
    researcher: Researcher | None = None,
) -> tuple[Experiment, ...]:
    """Run the baseline and these edits as one study; returns its experiments."""
    lab = Lab.open(folder)
    with lab.lock(), Store(opening.store_path(lab)) as store:
        opened = opening.open_study(lab, store, opening.Wishes("t"))
        study = Study(
            tag="t",
            lab=lab,
            store=store,
            program=opened.program,
            researcher=researcher or Scripted(edits),
            researcher_name="scripted",
            watcher=watcher or Notes(),
            python=sys.executable,
            seed=0,
            rule=keep.Greedy(),
        )
        research(study, StudyLimits(experiments=len(edits)))
        return store.experiments("t")


def good(number: int) -> str:
    return TRAIN.replace("X = 1.0", f"X = {1 + number / 100}")


def check_one(rows: tuple[Experiment, ...], verdict: str, reason: str) -> None:
    """Baseline, the fault, a good one."""
    assert [each.number for each in rows] == [0, 1, 2]
    first, fault, after = rows
    assert first.verdict == "keep"
    assert fault.verdict == verdict, fault
    assert reason in fault.reason, fault
    assert "\n" not in fault.reason
    assert 0 < len(fault.reason) <= 300
    assert fault.score is None
    assert all(run.outcome == verdict for run in fault.runs)
    assert after.verdict == "keep", after
    assert after.parent == 0


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_tiny_lab(tmp_path / "lab", program=FAST)


@pytest.fixture(autouse=True)
def short_overtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "OVERTIME_SECONDS", 1.0)
    monkeypatch.setattr(resilience, "DISK_POLL_SECONDS", 0.2)


RUNS = {
    "hangs before ready": ("import time\ntime.sleep(60)\n", "timeout", "not ready to train after"),
    "hangs after ready": (READY + "time.sleep(60)\n", "timeout", "still training"),
    "ignores signals": (
        READY + "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n",
        *("timeout", "still training"),
    ),
    "exit 0 before ready": ("print('all well')\n", "crash", "before it was ready"),
    "exit 0 after ready": (READY, "crash", "without a complete artifact"),
    "done without artifact": (
        READY + "harness.sendall(b'{\"type\": \"done\"}\\n')\n",
        *("crash", "without an artifact"),
    ),
    "kills itself": (READY + "os.kill(os.getpid(), 9)\n", "crash", "killed by signal 9"),
    "allocates": (
        READY + "held = []\nwhile True: held.append(bytearray(b'x' * 2**24)); time.sleep(0.005)\n",
        *("crash", "more memory"),
    ),
    "allocates in an orphan": (
        READY + "if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        "    held = []\n    while True: held.append(bytearray(b'x' * 2**24)); time.sleep(0.005)\n"
        "time.sleep(60)\n",
        *("crash", "more memory"),
    ),
    "prints a gigabyte": (
        READY + "for _ in range(1024): sys.stdout.write('x' * 2**20)\n",
        *("crash", "printed more than 1 MB"),
    ),
    "raises a hostile message": (
        READY + "raise ValueError('\\x1b]0;title\\x07\\u202e' + 'y' * 1000)\n",
        *("crash", "ValueError"),
    ),
    "artifact is a link": (
        READY + f"{ARTIFACT}.symlink_to('/')\nharness.sendall(b'{{\"type\": \"done\"}}\\n')\n",
        *("crash", "without an artifact"),
    ),
    "link in the artifact": (
        READY + f"{ARTIFACT}.mkdir()\n({ARTIFACT} / 'model.json').symlink_to('/etc/passwd')\n"
        "harness.sendall(b'{\"type\": \"done\"}\\n')\n",
        *("invalid", "no plain file"),
    ),
    "pipe in the artifact": (
        READY + f"{ARTIFACT}.mkdir()\nos.mkfifo({ARTIFACT} / 'model.json')\n"
        "harness.sendall(b'{\"type\": \"done\"}\\n')\n",
        *("invalid", "no plain file"),
    ),
    "artifact too large": (
        READY + f"{ARTIFACT}.mkdir()\nfor i in 'ab': ({ARTIFACT} / i).write_bytes(bytes(3 << 20))\n"
        "prepare.submit(harness, 1.0)\n",
        *("invalid", "more than 4,194,304"),
    ),
    "artifact deeper than a path may be long": (
        READY + f"os.makedirs({ARTIFACT})\nhere = os.getcwd()\nos.chdir({ARTIFACT})\n"
        "for _ in range(17):\n    os.mkdir('d' * 250)\n    os.chdir('d' * 250)\n"
        "open('f', 'w').close()\nos.chdir(here)\nprepare.submit(harness, 1.0)\n",
        *("invalid", "cannot be looked through: File name too long"),
    ),
    "score NaN": (READY + "prepare.submit(harness, float('nan'))\n", "invalid", "not a finite"),
    "score infinite": (READY + "prepare.submit(harness, 1e999)\n", "invalid", "not a finite"),
    "score beyond floats": (
        READY + "prepare.submit(harness, 10**200)\n", *("invalid", "not a finite"),
    ),
    "model is no number": (READY + "prepare.submit(harness, 'a')\n", "crash", "TypeError"),
    "nobody is left to end it": (
        READY + "os.kill(os.getppid(), 9)\nprepare.submit(harness, 3.0)\n",
        *("crash", "its supervisor was killed"),
    ),
    "late": (
        READY + "time.sleep(1.8)\nprepare.submit(harness, 3.0)\n", *("invalid", "after its 1 s"),
    ),
    "message without end": (
        READY + "while True: harness.sendall(b'x' * 65536)\n", *("invalid", "without end"),
    ),
    "floods with garbage": (
        READY + "while True: harness.sendall(b'[]\\n' * 20000)\n", *("timeout", "still training"),
    ),
    "floods before ready": (
        "import os, socket\nfileno = int(os.environ['AUTORESEARCH_HARNESS'])\n"
        "harness = socket.socket(fileno=fileno)\n"
        "while True: harness.sendall(b'{\"type\": \"progress\"}\\n' * 2000)\n",
        *("timeout", "not ready"),
    ),
    "floods with nesting": (
        READY + "harness.sendall(b'[' * 100000 + b'\\n' + b'{\"a\":' * 50000 + b'\\n')\n",
        *("crash", "without a complete artifact"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_bad_run_is_one_experiment(lab: Path, name: str) -> None:
    train, verdict, reason = RUNS[name]
    rows = study_in(lab, [train, good(2)])
    check_one(rows, verdict, reason)
    assert rows[1].commit
    assert not list((lab / ".autoresearch" / "work").glob("*/*"))
    logs = list((lab / ".autoresearch" / "studies" / "t" / "logs").iterdir())
    assert all(path.stat().st_size < 2 * 2**20 for path in logs)


def link_train(tree: Path) -> None:
    (tree / "train.py").unlink()
    (tree / "train.py").symlink_to("/etc/hostname")


def change_locked(tree: Path) -> None:
    (tree / "prepare.py").write_text(PREPARE + "\n")
    (tree / "train.py").write_text(good(1))


def remove_locked(tree: Path) -> None:
    (tree / "prepare.py").unlink()


def give_up(tree: Path) -> None:
    raise Failed("no idea left")


def make_folder(tree: Path) -> None:
    (tree / "train.py").unlink()
    (tree / "train.py").mkdir()


EDITS: dict[str, tuple[Edit, str, str]] = {
    "changed locked": (change_locked, "invalid", "changed prepare.py, which is locked"),
    "removed locked": (remove_locked, "invalid", "removed prepare.py"),
    "linked": (link_train, "invalid", "symbolic link"),
    "folder": (make_folder, "invalid", "plain file"),
    "removed": (lambda tree: (tree / "train.py").unlink(), "invalid", "removed train.py"),
    "too large": (TRAIN + "#" * 20000, "invalid", "more than 16,384"),
    "syntax error": (TRAIN + "def (:\n", "failed", "line 15 is no Python: invalid syntax"),
    "zero bytes": (TRAIN.encode() + b"\0", "failed", "cannot contain null bytes"),
    "no text": (b"\xff\xfe" * 50, "failed", "'utf-8' codec can't decode"),
    "nested": ("X = " + "(" * 5000 + ")" * 5000, "failed", "too many nested parentheses"),
    "empty": ("\n", "failed", "there is nothing left in train.py"),
    "nothing changed": (TRAIN, "failed", "changes nothing"),
    "gave up": (give_up, "failed", "no idea left"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_bad_edit_is_one_experiment_that_never_ran(lab: Path, name: str) -> None:
    edit, verdict, reason = EDITS[name]
    rows = study_in(lab, [edit, good(2)])
    check_one(rows, verdict, reason)
    assert rows[1].runs == ()


SCORED = {
    "large last message, then gone": READY
    + "prepare.submit(harness, 1.1, notes='x' * 200000)\nos._exit(0)\n",
    "flood of progress": READY
    + "line = b'{\"type\": \"progress\", \"step\": 1, \"loss\": 2.0, \"tokens\": 1}\\n'\n"
    "for _ in range(60): harness.sendall(line * 1000)\nprepare.submit(harness, 1.1)\n",
    "odd configuration": READY
    + "deep = 1\nfor _ in range(200): deep = [deep]\n"
    "prepare.submit(harness, 1.1, a=float('nan'), b=10**400, c='\\ud800\\x1b', d=deep)\n",
    "deep folders left": READY
    + "for _ in range(1500): os.mkdir('d'); os.chdir('d')\nprepare.submit(harness, 1.1)\n",
    "read-only artifact": READY
    + f"{ARTIFACT}.mkdir()\n({ARTIFACT} / 'model.json').write_text('1.1')\n"
    f"os.chmod({ARTIFACT}, 0o555)\nharness.sendall(b'{{\"type\": \"done\"}}\\n')\n",
    "compile cache without permission": "import os\n"
    "os.chmod(os.environ['TORCHINDUCTOR_CACHE_DIR'], 0)\n" + READY
    + "prepare.submit(harness, 1.1)\n",
    "folders without permission": READY
    + "os.makedirs('a/b')\nos.chmod('a', 0)\nprepare.submit(harness, 1.1)\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SCORED)
def test_an_odd_run_is_scored_all_the_same(
    lab: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LATE_SECONDS", 9.0)  # the machine may be busy with other things
    monkeypatch.setattr(local, "OVERTIME_SECONDS", 10.0)
    rows = study_in(lab, [SCORED[name], good(2)])
    assert [each.score is not None for each in rows] == [True, True, True], rows[1].reason
    assert not list((lab / ".autoresearch" / "work").glob("*/*"))
    curve = lab / ".autoresearch" / "studies" / "t" / "curves" / "0001.jsonl"
    assert len(curve.read_text().splitlines()) <= records.MOST_POINTS + 1


def test_a_model_that_is_scored_for_too_long_may_have_learned_meanwhile(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "SCORING_FACTOR", 0)
    monkeypatch.setattr(execution, "SCORING_SECONDS", 0.001)
    baseline, first = study_in(lab, [good(2)])
    assert baseline.score is not None
    assert first.verdict is Verdict.INVALID
    assert "a model learns before it is scored" in first.reason


def test_a_child_that_leaves_its_session_is_killed(lab: Path) -> None:
    pid_file = lab.parent / "pid"
    train = READY + (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        f"    pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n    time.sleep(60)\n"
        f"while not os.path.exists({str(pid_file)!r}): time.sleep(0.01)\n"
        "time.sleep(0.05)\nprepare.submit(harness, 1.1)\n"
    )
    rows = study_in(lab, [train, good(2)])
    assert [each.verdict for each in rows] == ["keep", "keep", "discard"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


CACHED = PREPARE.replace(
    'if __name__ == "__main__" and',
    """def prepare():
    cache = pathlib.Path(os.environ["AUTORESEARCH_LAB"], os.environ["AUTORESEARCH_CACHE"])
    if not cache.exists() or cache.read_text() != "good data":
        print("prepare: making the data again")
        cache.write_text("good data")
        with open(str(cache) + ".times", "a") as times:
            times.write("x")
    facts = {"manifest": "here", "handover": [str(cache)]}
    pathlib.Path(os.environ["AUTORESEARCH_RESULT"]).write_text(json.dumps(facts))

if __name__ == "__main__" and sys.argv[1:] == []:
    prepare()

if __name__ == "__main__" and""",
)


@pytest.mark.parametrize("damage", ["deleted", "truncated", "corrupted"])
def test_damaged_data_is_mended_before_the_next_experiment(
    lab: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = lab.parent / "cache"
    monkeypatch.setenv("AUTORESEARCH_CACHE", "../cache")
    (lab / "prepare.py").write_text(CACHED)

    def harm(tree: Path) -> None:
        (tree / "train.py").write_text(good(1))
        if damage == "deleted":
            cache.unlink()
        else:
            cache.write_text("good" if damage == "truncated" else "gOOd data")

    rows = study_in(lab, [harm, good(2), good(3)])
    assert rows[0].verdict == rows[2].verdict == rows[3].verdict == "keep"
    assert rows[1].verdict in ("keep", "crash"), rows[1]
    assert cache.read_text() == "good data"
    assert (lab.parent / "cache.times").read_text() == "xx"


def test_data_that_went_during_a_run_is_one_crash(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = lab.parent / "cache"
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    (lab / "prepare.py").write_text(CACHED)
    train = f"import os\nos.unlink({str(cache)!r})\n" + READY
    check_one(study_in(lab, [train, good(2)]), "crash", "prepared data is damaged")


def test_a_prepare_that_fails_once_is_one_crash(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = lab.parent / "broken"
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(broken))
    (lab / "prepare.py").write_text(
        PREPARE + "\nif sys.argv[1:] == [] and __name__ == '__main__':\n"
        "    path = pathlib.Path(os.environ['AUTORESEARCH_CACHE'])\n"
        "    if path.exists():\n        path.unlink()\n        sys.exit('the mirror is down')\n"
    )
    start = TRAIN.replace("import prepare\n", f"import prepare\nopen({str(broken)!r}, 'w')\n")
    rows = study_in(lab, [start, good(2), good(3)])
    assert [each.verdict for each in rows] == ["keep", "discard", "crash", "keep"], rows
    assert "the mirror is down" in rows[2].reason


def test_somebody_who_holds_the_store_is_waited_for(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a database editor does with an edit that is not written yet."""
    for name in ("ASK_SECONDS", "BUSY_SECONDS"):
        monkeypatch.setattr(stores, name, 0.05)
    path = lab / ".autoresearch" / "autoresearch.db"

    def hold(tree: Path) -> None:
        editor = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        editor.execute("BEGIN IMMEDIATE")
        (tree / "train.py").write_text(good(1))
        threading.Timer(1.0, editor.close).start()

    watcher = Notes()
    rows = study_in(lab, [hold], watcher)
    assert [each.verdict for each in rows] == ["keep", "keep"]
    assert watcher.notes == ["another program writes to the store and has locked it: waiting"]


def test_a_lock_on_the_branch_is_no_matter(lab: Path) -> None:
    """The branch follows after the next experiment."""
    lock = lab / ".git/refs/heads/autoresearch/t.lock"

    def hold(tree: Path) -> None:
        lock.touch()
        (tree / "train.py").write_text(good(1))

    def let_go(tree: Path) -> None:
        lock.unlink()
        (tree / "train.py").write_text(good(-2))

    watcher = Notes()
    rows = study_in(lab, [hold, let_go], watcher)
    assert [each.verdict for each in rows] == ["keep", "keep", "discard"]
    (note,) = watcher.notes
    assert note.startswith("git's branch follows after the next experiment: git update-ref failed")
    branch = lab / ".git/refs/heads/autoresearch/t"
    assert branch.read_text() == f"{rows[1].commit}\n"


def test_models_are_on_the_disk_before_the_store_has_their_score(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, fsync = dict[int, int](), os.fsync
    database = lab / ".autoresearch" / "autoresearch.db"

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        with closing(sqlite3.connect(database)) as reader:
            (count,) = reader.execute("SELECT count(*) FROM runs WHERE score > 0").fetchone()
        synced.setdefault(os.fstat(descriptor).st_ino, count)

    monkeypatch.setattr(os, "fsync", watched)
    study_in(lab, [good(1)])
    models = lab / ".autoresearch" / "studies" / "t" / "models"
    assert len([*models.rglob("model.json")]) == 2
    for number, count in (("0", 0), ("1", 1)):
        folder = models / number / "0"
        for path in (folder, *folder.rglob("*"), folder.parent):
            assert synced[path.stat().st_ino] == count, path
    assert models.stat().st_ino in synced


def lose(lab: Path, row: Experiment) -> None:
    """As a power cut does: the object of an experiment's commit, and its ref."""
    assert row.commit is not None
    (lab / ".git" / "objects" / row.commit[:2] / row.commit[2:]).unlink()
    (lab / ".git" / "refs" / "autoresearch" / "t" / str(row.number)).unlink()
    (lab / ".autoresearch/studies/t/history" / f"{row.number:04d}.json").unlink(missing_ok=True)


def test_commits_that_git_has_lost_are_no_matter(lab: Path) -> None:
    """A discarded one, and one that was about to run."""
    lose(lab, study_in(lab, [good(-2)])[1])
    opened, program, watcher = Lab.open(lab), Program.load(lab / "program.md"), Notes()
    with Store(opening.store_path(opened)) as store:
        row = store.begin("t", 0, "scripted")
        row = replace(row, commit=opened.snapshot({"train.py": b"X = 2"}, "x", opened.head()))
        opened.record_attempt("t", 2, row.commit or "")
        store.proposed("t", row)
        lose(lab, row)
        rows = study_in(lab, [good(-2), good(2), good(3)], watcher)
        view = build.view(opened, store, "t", program)
    assert [each.verdict for each in rows] == ["keep", "discard", "crash", "keep"]
    assert rows[2].reason == "git has lost its commit"
    assert watcher.notes == [f"git has lost the commit of experiment #{n}" for n in (1, 2)]
    assert view.diffs.keys() == view.themes.keys() == {3}


def test_the_best_commit_that_git_has_lost_is_said_with_the_way_out(lab: Path) -> None:
    lose(lab, study_in(lab, [good(1)])[1])
    with pytest.raises(LabError, match=r"#1 .* the best so far: .* `autoresearch veto 1 --tag t`"):
        study_in(lab, [good(1), good(2)])
    opened = Lab.open(lab)
    with Store(opening.store_path(opened)) as store:
        assert not build.view(opened, store, "t", Program.load(lab / "program.md")).best_diff
        orders.give(opened, store, "t", "veto", {"experiment": 1})
    row = study_in(lab, [good(1), good(2)])[2]
    assert (row.verdict, row.parent) == ("keep", 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 MB: room for a study, and soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=80m", "autoresearch-test", str(folder)]
    try:
        subprocess.run(options, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", None) or error
        pytest.skip(f"NO FULL DISK TESTED: a small tmpfs cannot be mounted here ({words})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: str) -> str:
    """Code that writes zeros until the disk is full, and goes on."""
    return (
        f"import os\nwith open({path!r}, 'wb', buffering=0) as out:\n    try:\n"
        "        while out.write(bytes(65536)) == 65536: pass\n"
        "        while out.write(b'0'): pass\n"
        "    except OSError: pass\n"
    )


class Buyer:
    """Pays for a proposal while the disk is full."""

    def __init__(self, disk: Path) -> None:
        self.filler = disk / "filler"

    def propose(self, desk: Desk) -> Proposal:
        exec(fill(str(self.filler)), {})  # noqa: S102
        try:
            desk.ledger.spend(Usage(1000, 100, 0, 9.0))
        finally:
            self.filler.unlink()
        (desk.tree / "train.py").write_text(good(1))
        return Proposal("bought")


def test_money_that_is_told_while_the_disk_is_full_is_on_record(small_disk: Path) -> None:
    folder = make_tiny_lab(small_disk / "lab", program=DISK)
    rows = study_in(folder, [""], researcher=Buyer(small_disk))
    assert rows[1].verdict == "keep", rows[1]
    with Store(folder / ".autoresearch" / "autoresearch.db") as store:
        assert store.usage("t") == {1: Usage(1000, 100, 0, 9.0)}


def test_a_full_disk_is_known_whoever_says_it(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kernel").write_bytes(bytes(2**20))
    exec(fill(str(small_disk / "filler")), {})  # noqa: S102
    with pytest.raises(shutil.Error) as copied:
        shutil.copytree(tmp_path / "cache", small_disk / "cache")
    assert resilience.is_full(copied.value)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(LabError) as committed:
        lab.snapshot({"train.py": b"X = 2"}, "x", lab.head())
    assert resilience.is_full(committed.value), committed.value
    assert not resilience.is_full(LabError("no repository"))


def test_a_quota_that_is_used_up_is_a_full_disk(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(sqlite3.connect(tmp_path / "s.db")) as database:
        database.execute("CREATE TABLE x (y)")
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, limits[1]))  # SQLite says the same of it
        try:
            with pytest.raises(sqlite3.OperationalError, match="disk I/O error") as written:
                database.execute("INSERT INTO x VALUES (?)", (bytes(2**16),)).connection.commit()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert resilience.is_full(written.value)


def test_no_experiment_is_begun_without_room_for_what_it_needs(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compile cache is copied twice, and git writes temporary files."""
    lab = Lab.open(make_tiny_lab(small_disk / "lab"))
    assert not resilience.lacking(lab)
    lab.compiled.mkdir()
    (lab.compiled / "kernel").write_bytes(bytes(6 * 2**20))
    assert resilience.lacking(lab) == f"less than 76 MB free on the disk of {lab.home}"
    elsewhere = Lab.open(make_tiny_lab(tmp_path / "lab"))
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    assert not resilience.lacking(elsewhere)
    exec(fill(str(small_disk / "filler")), {})  # noqa: S102
    assert resilience.lacking(elsewhere) == f"less than 4 MB free on the disk of {small_disk}"


DISK = FAST.replace("artifact: 4MB", "artifact: 1GB")


def test_a_run_that_fills_the_disk_is_one_crash(small_disk: Path) -> None:
    folder = make_tiny_lab(small_disk / "lab", program=DISK)
    train = READY + fill("filler") + "prepare.submit(harness, 1.1)\n"
    rows = study_in(folder, [train, good(2)])
    assert [each.number for each in rows] == [0, 1, 2]
    assert rows[1].verdict == "crash", rows[1]
    assert "space" in rows[1].reason or "disk is full" in rows[1].reason
    assert rows[2].verdict == "keep"


def test_a_disk_that_something_else_fills_is_waited_for(small_disk: Path) -> None:
    folder = make_tiny_lab(small_disk / "lab", program=DISK)
    filler, watcher, freed = small_disk / "filler", Notes(), []

    def free() -> None:
        deadline = time.monotonic() + 20
        while not any("waiting for more" in note for note in watcher.notes):
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        assert shutil.disk_usage(small_disk).free < 2 * 2**20
        filler.unlink()
        freed.append(True)

    thread = threading.Thread(target=free)
    thread.start()
    train = READY + fill(str(filler)) + "prepare.submit(harness, 1.1)\n"
    rows = study_in(folder, [train, good(2)], watcher)
    thread.join()
    assert freed
    assert rows[1].verdict == "crash", rows[1]
    assert rows[1].finished_at
    assert rows[2].verdict == "keep"
