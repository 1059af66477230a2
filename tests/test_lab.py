"""Protects the lab in a real repository: other content, uncommitted changes, any HEAD, any names;
the user's branch, index and files stay as they are, and contents are kept byte for byte."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread, Timer

import pytest

from autoresearch import git, opening, plain_files
from autoresearch.errors import Failed, Invalid, LabError, StudyError
from autoresearch.experiment import Verdict
from autoresearch.lab import Lab, read_plain, valid_tag
from autoresearch.program import Limits, Program
from autoresearch.store import Store
from autoresearch.testing.tiny import PROGRAM, TRAIN, make_tiny_lab
from tests.conftest import Call
from tests.test_git import user


def in_a_subfolder(tmp_path: Path) -> Path:
    top = tmp_path / "big repository"
    lab = make_tiny_lab(top / "labs" / "my läb")
    subprocess.run(["rm", "-rf", lab / ".git"], check=True)
    (top / "other.txt").write_bytes(b"theirs\r\n")
    (top / "labs" / "train.py").write_text("not the lab's\n")
    user(top, "init", "--quiet", "--initial-branch", "main")
    user(top, "add", ".")
    user(top, "commit", "--quiet", "-m", "everything")
    return lab


def with_changes(tmp_path: Path) -> Path:
    lab = in_a_subfolder(tmp_path)
    (lab / "staged.txt").write_text("staged")
    user(lab, "add", "staged.txt")
    (lab / "staged.txt").write_text("and changed")
    (lab / "untracked.txt").write_text("x")
    (lab.parent / "train.py").unlink()
    (lab / "train.py").write_text(TRAIN.replace("X = 1.0", "X = 1.5"))
    return lab


def unborn(tmp_path: Path) -> Path:
    lab = make_tiny_lab(tmp_path / "lab")
    subprocess.run(["rm", "-rf", lab / ".git"], check=True)
    user(lab, "init", "--quiet", "--initial-branch", "main")
    return lab


def detached(tmp_path: Path) -> Path:
    lab = make_tiny_lab(tmp_path / "lab")
    user(lab, "checkout", "--quiet", "--detach")
    return lab


def odd(tmp_path: Path) -> Path:
    lab = make_tiny_lab(tmp_path / "lab")
    for words in (
        *(("core.autocrlf", "true"), ("commit.gpgsign", "true"), ("diff.external", "/bin/false")),
        *(("diff.noprefix", "true"), ("color.ui", "always"), ("core.hooksPath", "my hooks")),
    ):
        user(lab, "config", *words)
    for folder in (lab / ".git" / "hooks", lab / "my hooks"):
        folder.mkdir(exist_ok=True)
        for name in ("pre-commit", "reference-transaction"):
            (folder / name).write_text("#!/bin/sh\nexit 1\n")
            (folder / name).chmod(0o755)
    return lab


def in_a_work_tree(tmp_path: Path) -> Path:
    main = make_tiny_lab(tmp_path / "main")
    user(main, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side tree"))
    return tmp_path / "side tree"


def picture(lab: Path) -> dict[str, object]:
    """All of the user's that must not change."""
    top = Path(user(lab, "rev-parse", "--show-toplevel"))
    ours = lab / ".autoresearch"
    return {
        "status": user(top, "status", "--porcelain", "-uall"),
        "head": (lab / user(lab, "rev-parse", "--git-path", "HEAD")).read_text(),
        "staged": user(top, "ls-files", "--stage"),
        "branches": branches(top),
        "config": user(top, "config", "--local", "--list"),
        "files": {
            path: path.read_bytes()
            for path in top.rglob("*")
            if path.is_file() and ".git" not in path.parts and ours not in path.parents
        },
    }


def branches(top: Path) -> list[str]:
    listed = user(top, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return [row for row in listed if "autoresearch" not in row]


@pytest.mark.parametrize(
    "make", [in_a_subfolder, with_changes, unborn, detached, odd, in_a_work_tree]
)
def test_a_study_leaves_the_users_things_alone(
    tmp_path: Path, autoresearch: Call, make: Callable[[Path], Path]
) -> None:
    lab = make(tmp_path)
    before = picture(lab)
    autoresearch(lab, "run", "--experiments", "2", "--tag", "t")
    assert picture(lab) == before
    with Store(lab / ".autoresearch" / "autoresearch.db") as store:
        rows = store.experiments("t")
    assert [each.verdict for each in rows][:1] == ["keep"]
    assert len([each for each in rows if each.score is not None]) == 3
    opened = Lab.open(lab)
    baseline = opened.contents(rows[0].commit or "", ("train.py", "prepare.py"))
    assert baseline["train.py"] == (lab / "train.py").read_bytes()
    last = git.files(opened.repository, rows[2].commit or "")
    others = set(git.files(opened.repository, "HEAD")) if opened.head() else set()
    assert others <= last.keys()
    diff = autoresearch(lab, "show", "1", "--diff").stdout
    assert diff.startswith("diff --git a/train.py b/train.py\n")
    assert "\x1b" not in diff


def test_git_variables_of_the_caller_turn_it_nowhere(
    tmp_path: Path, autoresearch: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, other = make_tiny_lab(tmp_path / "lab"), make_tiny_lab(tmp_path / "other")
    before = picture(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    autoresearch(lab, "run", "--experiments", "1", "--tag", "t")
    assert picture(other) == before
    assert user(other, "for-each-ref", "refs/autoresearch") == ""
    assert len(user(lab, "for-each-ref", "refs/autoresearch").splitlines()) == 2


def test_contents_are_kept_byte_for_byte(tmp_path: Path) -> None:
    folder = odd(tmp_path)
    (folder / "a ü.py").write_bytes(b"a\r\nb\nc\rd\x00\xff")
    (folder / ".gitattributes").write_text("* text eol=crlf\n")
    program = Program(editable=("train.py", "a ü.py"))
    lab = Lab.open(folder)
    commit = lab.snapshot(lab.disk(program), "x", lab.head())
    tree = lab.lay_out(commit, tmp_path / "out")
    for name in ("a ü.py", "train.py", "prepare.py"):
        assert (tree / name).read_bytes() == (folder / name).read_bytes()
    assert not (tree / ".git").exists()
    (tree / "a ü.py").write_bytes(b"\r\n\x00" * 5)
    after = lab.snapshot(lab.check_desk(tree, program, commit), "y", commit)
    assert lab.contents(after, ("a ü.py",)) == {"a ü.py": b"\r\n\x00" * 5}
    assert lab.contents(commit, ("none.py",)) == {}


def test_modes_and_links_of_other_files_are_laid_out(tmp_path: Path) -> None:
    folder = make_tiny_lab(tmp_path / "lab")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    user(folder, "add", ".")
    user(folder, "commit", "--quiet", "-m", "more")
    lab = Lab.open(folder)
    tree = lab.lay_out(lab.head() or "", tmp_path / "out")
    assert (tree / "run.sh").stat().st_mode & 0o111
    assert (tree / "link").readlink() == Path("run.sh")
    assert [path.name for path in lab.lay_out("HEAD", tmp_path / "two", ("link",)).iterdir()] == [
        "link"
    ]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_branch_that_the_user_is_on_is_not_moved(tmp_path: Path, elsewhere: bool) -> None:
    folder = make_tiny_lab(tmp_path / "lab")
    lab = Lab.open(folder)
    first = lab.head() or ""
    assert lab.point_branch("t", first)
    second = lab.snapshot({"train.py": b"X = 2\n"}, "x", first)
    if elsewhere:
        user(folder, "worktree", "add", "--quiet", str(tmp_path / "look"), "autoresearch/t")
    else:
        user(folder, "checkout", "--quiet", "autoresearch/t")
    assert not lab.point_branch("t", second)
    assert user(folder, "rev-parse", "autoresearch/t") == first
    assert lab.point_branch("u", second)
    if elsewhere:
        user(folder, "worktree", "remove", str(tmp_path / "look"))
    else:
        user(folder, "checkout", "--quiet", "main")
    assert lab.point_branch("t", second)


def test_refs_follow_the_store(tmp_path: Path) -> None:
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    first = lab.head() or ""
    second = lab.snapshot({"train.py": b"X = 2\n"}, "x", first)
    for tag, number in (("t", 0), ("t", 1), ("t", 7), ("t.u", 1)):
        lab.record_attempt(tag, number, first)
    lab.agree("t", {0: first, 1: second, 2: second})
    assert git.refs(lab.repository, "refs/autoresearch/") == {
        "refs/autoresearch/t/0": first, "refs/autoresearch/t/1": second,
        "refs/autoresearch/t/2": second, "refs/autoresearch/t.u/1": first,
    }  # fmt: skip


def test_locks_that_a_power_cut_left_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "LOCK_SECONDS", 0.3)
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    head = lab.head()
    assert head is not None
    lab.agree("t", {0: head})
    lab.point_branch("t", head)
    folder = lab.root / ".git/refs/autoresearch/t"
    old, young, future, held = (folder / f"{name}.lock" for name in "0123")
    branch = lab.root / ".git/refs/heads/autoresearch/t.lock"
    other = lab.root / ".git/refs/heads/main.lock"
    for lock in (old, young, future, branch, other):
        lock.touch()
    for lock in (old, branch, other):
        os.utime(lock, (1, 1))
    os.utime(future, (2**32, 2**32))  # the clock was set back since
    lab.agree("t", {0: head})
    assert not [lock for lock in (old, young, future, branch) if lock.exists()]
    assert other.exists()
    held.touch()
    monkeypatch.setattr(git, "LOCK_SECONDS", 10.0)
    timer = Timer(0.2, held.unlink)
    timer.start()
    began = time.monotonic()
    lab.agree("t", {0: head})
    assert 0.1 < time.monotonic() - began < 5
    timer.join()


@pytest.mark.parametrize("damage", [b"", b"\0" * 41, b"69bfc2a"], ids=["empty", "zeros", "half"])
def test_refs_that_a_power_cut_left_in_halves_are_made_again(tmp_path: Path, damage: bytes) -> None:
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    head = lab.head() or ""
    lab.agree("t", {0: head, 1: head})
    lab.point_branch("t", head)
    names = ("refs/autoresearch/t/1", "refs/heads/autoresearch/t", "refs/heads/mine")
    one, branch, mine = (lab.root / ".git" / name for name in names)
    for path in (one, branch, mine):
        path.write_bytes(damage)
    assert not lab.agree("t", {0: head, 1: head})
    assert lab.point_branch("t", head)
    assert one.read_text() == branch.read_text() == f"{head}\n"
    assert mine.read_bytes() == damage  # of the user: nothing of ours


def test_commits_that_git_has_lost_are_told_and_have_no_ref(tmp_path: Path) -> None:
    lab, program = Lab.open(make_tiny_lab(tmp_path / "lab")), Program()
    head = lab.head() or ""
    gone, empty, there = (lab.snapshot({"train.py": b"%d" % n}, "x", head) for n in range(3))
    commits = {0: head, 1: gone, 2: empty, 3: there}
    assert not lab.agree("t", commits)
    loose(lab, gone).unlink()
    loose(lab, empty).chmod(0o644)
    loose(lab, empty).write_bytes(b"")
    for _ in range(2):  # with its ref, and without
        assert lab.agree("t", commits) == {1, 2}
        assert git.refs(lab.repository, "refs/autoresearch/t/").keys() == {
            "refs/autoresearch/t/0", "refs/autoresearch/t/3",
        }  # fmt: skip
    assert lab.contents_of([empty, there], ("train.py",)) == {empty: {}, there: {"train.py": b"2"}}
    pairs = [(head, gone), (empty, there), (head, there)]
    assert lab.diffs(pairs, program) == {(head, there): lab.diff(head, there, program)}


def test_objects_that_a_power_cut_left_empty_are_written_again(tmp_path: Path) -> None:
    """As the experiment that was open proposes the same edit once more."""
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    head = lab.head() or ""
    commit = lab.snapshot({"train.py": b"X = 2\n"}, "x", head)
    blob = git.files(lab.repository, commit)["train.py"].blob
    for each in (commit, blob):
        loose(lab, each).chmod(0o644)
        loose(lab, each).write_bytes(b"")
    lab.agree("t", {0: head})
    again = lab.snapshot({"train.py": b"X = 2\n"}, "x", head)
    assert lab.contents(again, ("train.py",)) == {"train.py": b"X = 2\n"}


def loose(lab: Lab, commit: str) -> Path:
    return lab.root / ".git" / "objects" / commit[:2] / commit[2:]


def test_a_branch_in_the_way_is_said_before_anything_runs(tmp_path: Path) -> None:
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    lab.check_branch("t")
    subprocess.run(["git", "branch", "autoresearch"], cwd=lab.root, check=True)
    with pytest.raises(LabError, match="git branch -m autoresearch"):
        lab.check_branch("t")


def test_what_is_no_lab_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="autoresearch init"):
        Lab.open(tmp_path)
    (tmp_path / "program.md").write_text("prose")
    with pytest.raises(LabError, match="git init"):
        Lab.open(tmp_path)
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    (lab.root / "train.py").unlink()
    with pytest.raises(LabError, match=r"train\.py cannot be read"):
        lab.disk(Program())


def test_one_engine_a_lab(tmp_path: Path) -> None:
    lab = Lab.open(make_tiny_lab(tmp_path / "lab"))
    assert lab.engine() is None
    with lab.lock():
        assert lab.engine() is not None
        with pytest.raises(StudyError, match="at work"), lab.lock():
            pass
    assert lab.engine() is None


def test_rules_of_a_desk(tmp_path: Path) -> None:
    lab, program = Lab.open(make_tiny_lab(tmp_path / "lab")), Program()
    head = lab.head() or ""
    tree = lab.lay_out(head, tmp_path / "desk")
    with pytest.raises(Failed):
        lab.check_desk(tree, program, head)
    (tree / "prepare.py").write_text("")
    with pytest.raises(Invalid, match="locked"):
        lab.check_desk(tree, program, head)


def test_editable_files_may_grow_by_16_kb_from_the_start_of_the_study(tiny_lab: Path) -> None:
    lab = Lab.open(tiny_lab)
    with Store(opening.store_path(lab)) as store:
        opened = opening.open_study(lab, store, opening.Wishes("t"))
        limit = opened.program.limits.editable_bytes
        assert limit == len(TRAIN) + 16 * 2**10
        baseline = store.experiments("t")[0]
        store.finish("t", 0, Verdict.KEEP, "", score=1.0, delta=None, seconds=1.0)
        (tiny_lab / "train.py").write_text(TRAIN + "# longer\n")
        again = opening.open_study(lab, store, opening.Wishes("t"))
        assert not again.is_new
        assert again.program.limits.editable_bytes == limit
        tree = lab.lay_out(str(baseline.commit), tiny_lab.parent / "desk")
        (tree / "train.py").write_text(TRAIN + "#" * 16 * 2**10 + "\n")
        with pytest.raises(Invalid, match=f"more than {limit:,} bytes"):
            lab.check_desk(tree, again.program, str(baseline.commit))
        (tiny_lab / "program.md").write_text(PROGRAM.replace("log: 1MB", "editable_size: 1MB"))
        assert (
            opening.open_study(lab, store, opening.Wishes("t")).program.limits.editable_bytes
            == 2**20
        )


@pytest.fixture
def laid(tmp_path: Path) -> tuple[Lab, Program, str, Path]:
    """A lab whose researcher edits a file in a folder, too; its commit and a desk of it."""
    folder = make_tiny_lab(tmp_path / "lab")
    (folder / "lib").mkdir()
    (folder / "lib" / "util.py").write_text("Y = 1\n")
    user(folder, "add", ".")
    user(folder, "commit", "--quiet", "-m", "more")
    program = Program(
        editable=("train.py", "lib/util.py"), limits=Limits(editable_bytes=len(TRAIN) + 10)
    )
    lab = Lab.open(folder)
    head = lab.head() or ""
    return lab, program, head, lab.lay_out(head, tmp_path / "desk")


def folder_is_a_file(tree: Path) -> None:
    (tree / "lib" / "util.py").unlink()
    (tree / "lib").rmdir()
    (tree / "lib").write_text("")


def folder_is_a_link(tree: Path) -> None:
    (tree / "lib").rename(tree / "moved")
    (tree / "lib").symlink_to("moved")


def file_is_a_link(tree: Path) -> None:
    (tree / "lib" / "util.py").unlink()
    (tree / "lib" / "util.py").symlink_to("../train.py")


def file_is_a_folder(tree: Path) -> None:
    (tree / "train.py").unlink()
    (tree / "train.py").mkdir()


def file_is_a_pipe(tree: Path) -> None:
    (tree / "train.py").unlink()
    os.mkfifo(tree / "train.py")


def desk_is_gone(tree: Path) -> None:
    tree.rename(tree.parent / "elsewhere")


def editable_is_endless(tree: Path) -> None:
    os.truncate(tree / "train.py", 2**43)


def both_are_too_large(tree: Path) -> None:
    (tree / "lib" / "util.py").write_text("Y = 1000000000\n")


def locked_is_endless(tree: Path) -> None:
    os.truncate(tree / "prepare.py", 2**43)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (folder_is_a_file, r"made lib/util\.py something else than a plain file"),
        (folder_is_a_link, r"made lib/util\.py a symbolic link"),
        (file_is_a_link, r"made lib/util\.py a symbolic link"),
        (file_is_a_folder, r"made train\.py something else than a plain file"),
        (file_is_a_pipe, r"made train\.py something else than a plain file"),
        (desk_is_gone, r"removed prepare\.py"),
        (editable_is_endless, r"the editable files have more than \d+ bytes"),
        (both_are_too_large, r"the editable files have more than \d+ bytes"),
        (locked_is_endless, r"changed prepare\.py, which is locked"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_whatever_lies_on_a_desk_is_no_more_than_a_broken_rule(
    laid: tuple[Lab, Program, str, Path], spoil: Callable[[Path], None], why: str
) -> None:
    lab, program, head, tree = laid
    spoil(tree)
    with pytest.raises(Invalid, match=why):
        lab.check_desk(tree, program, head)


@pytest.mark.parametrize("name", ["train.py", "."])
def test_what_may_not_be_read_is_a_broken_rule(
    laid: tuple[Lab, Program, str, Path], name: str
) -> None:
    tree = laid[-1]
    (tree / name).chmod(0)
    is_root = os.geteuid() == 0  # whom nothing is forbidden
    if is_root:
        os.seteuid(65534)
    try:
        with pytest.raises(Invalid, match="cannot be read: Permission denied"):
            read_plain(tree, "train.py", 1000)
    finally:
        if is_root:
            os.seteuid(0)
        (tree / name).chmod(0o755)


SWAP = """
import os, sys
name, file, pipe, aside = sys.argv[1:]
while True:
    for each in (pipe, file):
        os.link(each, aside)
        os.rename(aside, name)
"""


def test_a_pipe_that_comes_and_goes_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("X = 1")
    (tmp_path / "name").write_text("X = 1")
    os.mkfifo(tmp_path / "pipe")
    names = [str(tmp_path / each) for each in ("name", "file", "pipe", "aside")]
    swapper = subprocess.Popen([sys.executable, "-c", SWAP, *names])
    seen = set()

    def look() -> None:
        for _ in range(5000):
            try:
                seen.add(read_plain(tmp_path, "name", 1000))
            except Invalid as error:
                seen.add(str(error))

    looker = Thread(target=look, daemon=True)
    try:
        looker.start()
        looker.join(30)
        assert not looker.is_alive()
    finally:
        swapper.kill()
        swapper.wait()
    assert seen <= {b"X = 1", "made name something else than a plain file"}


@pytest.mark.parametrize("name", ["../secret", "lib/../../secret", "/etc/passwd", "x\0", "\ud800"])
def test_a_name_that_leads_out_of_a_folder_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "desk" / "lib").mkdir(parents=True)
    (tmp_path / "secret").write_text("key")
    with pytest.raises(OSError, match=r".*") as error:
        plain_files.read(tmp_path / "desk", name, 1000)
    assert error.value.errno == errno.EINVAL


@pytest.mark.parametrize("tag", ["", ".t", "-t", "a b", "a/b", "a..b", "a.lock", "a.", "é", "a\n"])
def test_a_tag_that_can_name_nothing_is_refused(tag: str) -> None:
    with pytest.raises(StudyError, match="cannot be a tag"):
        valid_tag(tag)
