"""Protects the command line: what a person types in the evening and reads in the morning."""

import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch.testing.tiny import PROGRAM, TRAIN
from tests.conftest import Call
from tests.test_git import user
from tests.test_import_log import SMALL

KEYS = {
    *("number", "parent", "verdict", "val_bpb", "delta", "description", "commit", "seconds"),
    *("training_seconds", "peak_memory_mb", "num_params", "tokens", "started_at", "config"),
}


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def rows(autoresearch: Call, lab: Path, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(autoresearch(lab, "log", "--json", *words).stdout)
    return found


def test_a_study_runs_resumes_and_ends(tiny_lab: Path, autoresearch: Call) -> None:
    first = autoresearch(tiny_lab, "run", "--experiments", "2", "--tag", "night")
    assert "New study night" in first.stdout
    assert "knobs turns 2 constants of train.py: X, Y\n" in first.stdout
    assert "2 experiments are done" in first.stdout
    more = autoresearch(tiny_lab, "run", "--experiments", "4", "--tag", "night")
    assert "Resuming study night" in more.stdout
    done = rows(autoresearch, tiny_lab)
    assert [row["number"] for row in done] == [0, 1, 2, 3, 4]
    again = autoresearch(tiny_lab, "run", "--experiments", "4", "--tag", "night")
    assert "are done" in again.stdout
    assert len(rows(autoresearch, tiny_lab)) == 5


def test_json_has_the_documented_keys(tiny_lab: Path, autoresearch: Call) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "1")
    baseline, one = rows(autoresearch, tiny_lab)
    assert baseline.keys() >= KEYS
    assert one.keys() == baseline.keys()
    assert baseline["val_bpb"] == pytest.approx(5.0)
    assert baseline["config"] == {"X": 1.0, "Y": 0.5}
    assert (baseline["parent"], baseline["delta"], one["parent"]) == (None, None, 0)
    documented = Path(__file__).parents[2] / "docs" / "cli.md"
    names = set(re.findall(r"`(\w+)`", documented.read_text()))
    assert baseline.keys() - {"score"} <= names
    status = json.loads(autoresearch(tiny_lab, "status", "--json").stdout)
    assert status.keys() <= names
    assert (status["experiments"], status["running"]) == (1, False)


def test_every_attempt_is_a_ref_and_the_incumbent_a_branch(
    tiny_lab: Path, autoresearch: Call
) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "4", "--tag", "t")
    done = rows(autoresearch, tiny_lab)
    refs = dict(
        line.split()[::-1]
        for line in git(tiny_lab, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    )
    for row in done:
        assert refs[f"refs/autoresearch/t/{row['number']}"] == row["commit"]
    kept = [row for row in done if row["verdict"] == "keep"]
    assert refs["refs/heads/autoresearch/t"] == kept[-1]["commit"]
    assert git(tiny_lab, "status", "--porcelain") == ""


def test_try_takes_the_uncommitted_edit_on_top_of_the_incumbent(
    tiny_lab: Path, autoresearch: Call
) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "0", "--tag", "t")
    train = tiny_lab / "train.py"
    train.write_text(TRAIN.replace("X = 1.0", "X = 2.5"))
    done = autoresearch(tiny_lab, "try", "-m", "X nearer to 3")
    assert "keep" in done.stdout
    row = rows(autoresearch, tiny_lab)[-1]
    assert (row["description"], row["researcher"]) == ("X nearer to 3", "hand")
    assert row["val_bpb"] == pytest.approx(1.25)
    assert "X = 2.5" in train.read_text()  # the user's file stays as it was
    train.write_text(TRAIN.replace("Y = 0.5", "Y = 0.7"))  # another place: both changes together
    autoresearch(tiny_lab, "try", "-m", "another Y")
    assert rows(autoresearch, tiny_lab)[-1]["config"] == {"X": 2.5, "Y": 0.7}
    train.write_text(TRAIN.replace("X = 1.0", "X = 2.9"))
    clash = autoresearch(tiny_lab, "try", "-m", "clash", code=2)
    assert "touches lines that experiment #1 changed" in clash.stderr
    train.write_text(TRAIN.replace("X = 1.0", "X = 2.5"))
    again = autoresearch(tiny_lab, "try", "-m", "again", code=2)
    assert "your edit has been tried: it equals #1" in again.stderr
    train.write_text(TRAIN)
    none = autoresearch(tiny_lab, "try", "-m", "nothing", code=2)
    assert "no uncommitted edit" in none.stderr
    assert len(rows(autoresearch, tiny_lab)) == 3


def test_try_without_a_study_begins_one_from_head(tiny_lab: Path, autoresearch: Call) -> None:
    assert "no uncommitted edit" in autoresearch(tiny_lab, "try", "-m", "x", code=2).stderr
    (tiny_lab / "train.py").write_text(TRAIN.replace("X = 1.0", "X = 2.0"))
    autoresearch(tiny_lab, "try", "-m", "two")
    baseline, mine = rows(autoresearch, tiny_lab)
    assert (baseline["val_bpb"], mine["val_bpb"]) == (5.0, 2.0)


def test_an_uncommitted_edit_is_the_baseline_of_run(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "train.py").write_text(TRAIN.replace("X = 1.0", "X = 2.0"))
    said = autoresearch(tiny_lab, "run", "--experiments", "0").stdout
    assert "\ntrain.py has uncommitted edits: the baseline is of them\n" in said
    user(tiny_lab, "rm", "-q", "--cached", "train.py")
    user(tiny_lab, "commit", "-qm", "a lab that git has not yet")
    said = autoresearch(tiny_lab, "run", "--experiments", "0", "--tag", "new").stdout
    assert "uncommitted edits" not in said
    assert rows(autoresearch, tiny_lab)[0]["val_bpb"] == 2.0


def test_show_log_status_and_report_for_people(tiny_lab: Path, autoresearch: Call) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "3", "--tag", "t")
    assert "val_bpb" in autoresearch(tiny_lab, "log").stdout
    assert "baseline    5.0000 val_bpb" in autoresearch(tiny_lab, "status").stdout
    shown = autoresearch(tiny_lab, "show", "1").stdout
    assert "from #0" in shown
    assert autoresearch(tiny_lab, "show", "1", "--diff").stdout.startswith("diff --git a/train.py")
    assert autoresearch(tiny_lab, "show", "1", "--log").stdout.strip() == ""
    autoresearch(tiny_lab, "report", "--output", "out")
    made = {path.name for path in (tiny_lab / "out").iterdir()}
    assert made == {"report.html", "report.md", "progress.png", "results.tsv"}
    lines = (tiny_lab / "out" / "results.tsv").read_text().splitlines()
    assert lines[0] == "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
    assert len(lines) == 5
    facts = json.loads(autoresearch(tiny_lab, "status", "--json").stdout)
    kept = (tiny_lab / ".autoresearch/studies/t/models").iterdir()
    rows = json.loads(autoresearch(tiny_lab, "log", "--json").stdout)
    latest = [row["number"] for row in rows if row["verdict"] == "keep"][-3:]
    assert facts["best_number"] in latest
    assert {int(path.name) for path in kept} == {0, *latest}


def test_the_strategy_may_change_during_the_night(tiny_lab: Path, autoresearch: Call) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "1", "--tag", "t")
    (tiny_lab / "program.md").write_text(PROGRAM + "Now try larger steps.\n")
    autoresearch(tiny_lab, "run", "--experiments", "2", "--tag", "t")


@pytest.mark.parametrize(
    "prose", ["", "Just make it better!", "---\n\nBe bold.\n\n---\n", "# Ziel\n\nKlein: gut."]
)
def test_a_program_of_prose_works(tiny_lab: Path, autoresearch: Call, prose: str) -> None:
    (tiny_lab / "program.md").write_text(prose)
    autoresearch(tiny_lab, "run", "--experiments", "1", "--budget", "2s")


def test_scores_that_cannot_be_compared_are_refused(tiny_lab: Path, autoresearch: Call) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "0", "--tag", "t")
    locked = tiny_lab / "prepare.py"
    before = locked.read_text()
    locked.write_text(before + "\n# changed\n")
    changed = autoresearch(tiny_lab, "run", "--experiments", "1", "--tag", "t", code=2)
    assert "prepare.py has changed since study t began" in changed.stderr
    locked.write_text(before)
    budget = autoresearch(tiny_lab, "run", "--tag", "t", "--budget", "9s", code=2)
    assert "another budget_seconds" in budget.stderr


def test_the_study_ends_in_time(tiny_lab: Path, autoresearch: Call) -> None:
    done = autoresearch(tiny_lab, "run", "--for", "3s", "--tag", "t")
    assert "its time of 3 s" in done.stdout
    assert sum(float(str(row["seconds"])) for row in rows(autoresearch, tiny_lab)) <= 3.5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--budget", "soon"), "not a duration"),
        (("run", "--tag", "../x"), "cannot be a tag"),
        (("run", "--tag", ""), "cannot be a tag"),
        (("run", "--keep-rule", "abc"), "no keep rule is called 'abc'"),
        (("run", "--researcher", "oracle"), "no researcher 'oracle'"),
        (("log",), "no study in this lab yet"),
        (("show", "7"), "no study in this lab yet"),
        (("init", "."), "is already there"),
        (("frobnicate",), "No such command"),
    ],
)
def test_bad_input_is_one_clear_line(
    tiny_lab: Path, autoresearch: Call, words: tuple[str, ...], says: str
) -> None:
    done = autoresearch(tiny_lab, *words, code=2)
    assert says in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("log", "--tag", ""), "no study '' in this lab"),
        (("pause", "--tag", ""), "no study '' in this lab"),
        (("compare", "log", ""), "no study '' in this lab"),
        (("watch", "--tag", "nope"), "no study 'nope' in this lab"),
        (("watch", "--host", "999.1.1.1"), "choose another address with --host"),
        (("show", "99999999999999999999999"), "has no experiment 99999999999999999999999"),
        (("veto", "99999999999999999999999"), "must be a whole number"),
    ],
)
def test_a_study_or_a_number_that_is_none_is_one_clear_line(
    tiny_lab: Path, autoresearch: Call, words: tuple[str, ...], says: str
) -> None:
    (tiny_lab / "log.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "log.tsv", "--tag", "log")
    assert says in autoresearch(tiny_lab, *words, code=2).stderr


def test_json_has_no_infinity(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "log.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "log.tsv", "--tag", "log")
    with sqlite3.connect(tiny_lab / ".autoresearch/autoresearch.db") as db:
        db.execute("UPDATE experiments SET delta = 9e999 WHERE number = 1")
    for words in (("log", "--json"), ("export", "json", "--output", "-")):
        said = autoresearch(tiny_lab, *words).stdout
        json.loads(said, parse_constant=pytest.fail)


def test_a_package_that_is_missing_says_where_it_belongs(
    tiny_lab: Path, autoresearch: Call
) -> None:
    (tiny_lab / "prepare.py").write_text("import no_such_package\n")
    said = autoresearch(tiny_lab, "run", code=2).stderr
    assert "preparing failed: ModuleNotFoundError: No module named 'no_such_package'" in said
    assert f"install it for {sys.executable}" in said


def test_outside_of_a_lab(tmp_path: Path, autoresearch: Call) -> None:
    assert "is no lab" in autoresearch(tmp_path, "run", code=2).stderr
    (tmp_path / "program.md").write_text("x")
    assert "git init" in autoresearch(tmp_path, "run", code=2).stderr


def test_a_bad_front_matter_names_its_line(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "program.md").write_text("---\nbudget: 2s\nmetrc: x\n---\n")
    assert "program.md line 3" in autoresearch(tiny_lab, "run", code=2).stderr


def test_a_baseline_that_does_not_run_says_so_and_can_be_mended(
    tiny_lab: Path, autoresearch: Call
) -> None:
    (tiny_lab / "train.py").write_text("raise RuntimeError('no such thing')\n")
    failed = autoresearch(tiny_lab, "run", "--tag", "t", code=2)
    assert "baseline does not run (crash): RuntimeError: no such thing" in failed.stderr
    (tiny_lab / "train.py").write_text(TRAIN)
    autoresearch(tiny_lab, "run", "--tag", "t", "--experiments", "0")


@pytest.mark.measured
def test_one_engine_a_lab(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "train.py").write_text(TRAIN.replace("SLEEP = 0.02", "SLEEP = 1.5"))
    argv = [sys.executable, "-m", "autoresearch", "run", "--experiments", "1", "--tag", "t"]
    first = subprocess.Popen(argv, cwd=tiny_lab, stdout=subprocess.DEVNULL)
    lock = tiny_lab / ".autoresearch/lock"
    while not (lock.exists() and lock.read_text()):
        time.sleep(0.02)
    second = autoresearch(tiny_lab, "run", "--tag", "u", code=2)
    assert f"process {first.pid}" in second.stderr
    assert first.wait(60) == 0


def test_two_labs_of_one_repository_never_take_each_others_study(
    tiny_lab: Path, autoresearch: Call
) -> None:
    """Nor one whose store is gone: its attempts are all that is left of it."""
    other = tiny_lab / "other"
    other.mkdir()
    for name in ("prepare.py", "train.py", "program.md"):
        shutil.copy(tiny_lab / name, other)
    autoresearch(tiny_lab, "run", "--experiments", "1", "--tag", "t")
    before = git(tiny_lab, "for-each-ref")
    said = autoresearch(other, "run", "--experiments", "1", "--tag", "t", code=2).stderr
    assert "git has a study t already" in said
    autoresearch(tiny_lab, "run", "--experiments", "0")
    autoresearch(other, "run", "--experiments", "0")
    first, second = (
        json.loads(autoresearch(lab, "status", "--json").stdout)["tag"] for lab in (tiny_lab, other)
    )
    assert second == f"{first}-2"
    shutil.rmtree(tiny_lab / ".autoresearch")
    autoresearch(tiny_lab, "run", "--experiments", "1", "--tag", "t", code=2)
    assert set(before.splitlines()) <= set(git(tiny_lab, "for-each-ref").splitlines())


def test_a_store_of_a_newer_version_is_refused(tiny_lab: Path, autoresearch: Call) -> None:
    autoresearch(tiny_lab, "run", "--experiments", "0")
    with sqlite3.connect(tiny_lab / ".autoresearch/autoresearch.db") as db:
        db.execute("PRAGMA user_version = 999")
    assert "newer autoresearch" in autoresearch(tiny_lab, "log", code=2).stderr


def test_init_makes_a_lab_with_a_commit(tmp_path: Path, autoresearch: Call) -> None:
    autoresearch(tmp_path, "init", "new lab")
    lab = tmp_path / "new lab"
    assert {path.name for path in lab.iterdir()} == {
        *("prepare.py", "train.py", "program.md", ".git", ".gitignore")
    }
    assert git(lab, "status", "--porcelain") == ""


def test_an_init_that_fails_leaves_nothing_and_can_be_made_again(
    tmp_path: Path, autoresearch: Call
) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare")
    before = set((tmp_path / "bare").iterdir())
    autoresearch(tmp_path / "bare", "init", "deep/lab", code=2)
    assert set((tmp_path / "bare").iterdir()) == before
    lab = tmp_path / "lab"
    git(tmp_path, "init", "--quiet", "lab")
    (lab / ".git/index.lock").touch()
    assert "index.lock" in autoresearch(lab, "init", code=2).stderr
    assert [each.name for each in lab.iterdir()] == [".git"]
    (lab / ".git/index.lock").unlink()
    (lab / ".gitignore").write_text("*.py\n")
    autoresearch(lab, "init")
    assert git(lab, "ls-files").split() == [".gitignore", "prepare.py", "program.md", "train.py"]


def test_init_in_a_repository_with_other_content_commits_nothing(
    tiny_lab: Path, autoresearch: Call
) -> None:
    head = git(tiny_lab, "rev-parse", "HEAD")
    autoresearch(tiny_lab, "init", "sub")
    assert git(tiny_lab, "rev-parse", "HEAD") == head
    assert (tiny_lab / "sub" / "train.py").is_file()


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("{} log --json | head -1 >shown; test ${{PIPESTATUS[0]}} = 0", 0, ""),
        ("{} log >&-", 0, ""),
        ("COLUMNS=0 {} log | grep -q wider", 0, ""),
        ("{} status <&- >&- 2>&-", 0, ""),
        ("ulimit -f 0; {} --version >shown", 1, "autoresearch: File too large"),
        ("ulimit -f 0; {} --version >shown 2>&1", 1, ""),
        ("{} init train.py/lab", 2, "autoresearch: train.py/lab: Not a directory"),
        ("{} run --budget $(printf %50000s | tr ' ' x)", 2, "write 90s, 5m, 1h30m or 8h"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    tiny_lab: Path, autoresearch: Call, line: str, code: int, says: str
) -> None:
    (tiny_lab / "log.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "log.tsv")
    argv = ["bash", "-c", line.format(f"{sys.executable} -m autoresearch")]
    done = subprocess.run(argv, cwd=tiny_lab, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == (4 if "Usage" in done.stderr else bool(says))
    assert len(done.stderr) < 3000


def test_help_teaches(tmp_path: Path, autoresearch: Call) -> None:
    text = autoresearch(tmp_path, "--help").stdout
    for word in ("program.md", "init", "run --for 8h", "report", "demo"):
        assert word in text
    assert re.fullmatch(
        r"autoresearch, version \d+\.\d+\.\d+\n", autoresearch(tmp_path, "--version").stdout
    )


def test_a_locale_without_the_letters_of_a_description_ends_no_study(tiny_lab: Path) -> None:
    (tiny_lab / "train.py").write_text(TRAIN.replace("X = 1.0", "X = 2.0"))
    argv = [sys.executable, "-m", "autoresearch", "try", "-m", "X 1.0 → 2.0…"]
    env = {**os.environ, "PYTHONIOENCODING": "iso8859-1"}
    done = subprocess.run(argv, cwd=tiny_lab, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"X 1.0 ? 2.0?" in done.stdout


@pytest.mark.measured
def test_on_a_terminal_there_is_a_live_line(tiny_lab: Path) -> None:
    (tiny_lab / "train.py").write_text(TRAIN.replace("SLEEP = 0.02", "SLEEP = 1.0"))
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "autoresearch", "run", "--experiments", "1", "--tag", "t"]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    engine = subprocess.Popen(argv, cwd=tiny_lab, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert engine.wait(60) == 0
    text = shown.decode()
    assert "loss" in text
    assert "tok/s" in text
    assert "keep" in text
