"""Protects taking over: a clean series of commits of the user, and nothing else of theirs moves."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch import git
from autoresearch.adopt import Adopted, adopt, adopted_lines, said
from autoresearch.errors import LabError, StudyError
from autoresearch.experiment import Experiment, Verdict
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.store import Store
from autoresearch.testing.bench import contents
from autoresearch.testing.finished import Finished
from autoresearch.testing.tiny import TRAIN, make_tiny_lab
from autoresearch.text import clean_line
from tests.conftest import Call
from tests.test_git import user
from tests.test_lab import detached, in_a_subfolder, in_a_work_tree, odd, with_changes

X2 = TRAIN.replace("X = 1.0", "X = 2.0")
X2Y7 = X2.replace("Y = 0.5", "Y = 0.7")
BEST = X2Y7.replace("loss = ", "loss = ").replace("SLEEP = 0.02", "SLEEP = 0.01")


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user, as a machine without any configuration may name them."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada Lovelace")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")


def night(root: Path) -> Finished:
    """Three kept changes, a discarded one and a crash between them."""
    study = Finished(Lab.open(root), "night", (1.5, 1.52))
    study.add(X2, (1.4, 1.42), Verdict.KEEP, "a larger X", "the loss falls " * 12)
    study.add(X2.replace("X = 2.0", "X = 9.0"), 1.9, Verdict.DISCARD, "far too large")
    study.add(X2Y7, 1.35, Verdict.KEEP, "another Y")
    study.add(None, None, Verdict.CRASH, "nonsense")
    study.add(BEST, 1.3, Verdict.KEEP, "less sleep")
    return study


def taken(study: Finished, branch: str | None = None) -> Adopted:
    return adopt(study.lab, study.view, branch)


def at(lab: Lab, commit: str) -> str:
    return lab.contents(commit, ("train.py",))["train.py"].decode()


def state(lab: Lab) -> object:
    """Everything of the user's: files, index, HEAD and branches."""
    root = lab.repository
    index = user(root, "ls-files", "--stage"), user(root, "status", "--porcelain")
    refs = user(root, "for-each-ref", "refs/heads", "--format=%(refname) %(objectname)")
    found = [name for name in refs.splitlines() if "/adopt" not in name]
    return contents(root), index, user(root, "rev-parse", "HEAD"), found


def test_a_commit_for_each_kept_change_with_its_numbers(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    made = taken(study)
    lab, head = study.lab, study.lab.head()
    assert (made.branch, made.onto, made.is_exact, made.stale) == ("adopt/night", head, True, ())
    assert [each.number for each, _ in made.steps] == [1, 3, 5]
    log = user(tiny_lab, "log", "--reverse", "--format=%H", f"{head}..adopt/night").split()
    assert log == [commit for _, commit in made.steps]
    assert [at(lab, commit) for commit in log] == [X2, X2Y7, BEST]
    body = user(tiny_lab, "show", "-s", "--format=%B", log[0])
    subject, why, numbers = body.split("\n\n")
    assert subject == "a larger X"
    assert " ".join(why.split()) == ("the loss falls " * 12).strip()
    assert max(map(len, body.splitlines())) <= 72
    assert numbers.splitlines() == [
        "val_bpb: 1.410000, -0.100000 against the best before (lower is better)",
        "runs: 2 (1.400000, 1.420000), 2 s of training each",
        "experiment: night/1",
    ]
    who = user(tiny_lab, "show", "-s", "--format=%an %ae %cn %ce", log[0])
    assert who == "Ada Lovelace ada@example.com Ada Lovelace ada@example.com"


PLACES: dict[str, Callable[[Path], Path]] = {
    "alone": lambda path: make_tiny_lab(path / "lab"),
    "in a subfolder": in_a_subfolder,
    "with changes": with_changes,
    "detached": detached,
    "odd configuration": odd,
    "in a work tree": in_a_work_tree,
}


@pytest.mark.parametrize("place", PLACES)
def test_nothing_else_of_the_users_moves(place: str, tmp_path: Path) -> None:
    root = PLACES[place](tmp_path)
    study = night(root)
    lab = study.lab
    before = state(lab)
    made = taken(study)
    assert state(lab) == before
    changed = user(lab.repository, "diff", "--name-only", made.onto, made.branch)
    assert changed == f"{lab.prefix}train.py" or changed.endswith('train.py"')
    assert made.is_exact


def test_an_uncommitted_edit_that_the_study_began_with_comes_first(tmp_path: Path) -> None:
    root = with_changes(tmp_path)
    mine = (root / "train.py").read_text()
    study = Finished(Lab.open(root), "night")
    study.add(mine.replace("Y = 0.5", "Y = 0.6"), 1.1, Verdict.KEEP, "another Y")
    made = taken(study)
    assert made.is_exact
    assert [each.number for each, _ in made.steps] == [0, 1]
    assert at(study.lab, made.steps[0][1]) == mine
    said = user(root, "log", "--reverse", "--format=%s", f"{made.onto}..{made.branch}")
    assert said.splitlines() == ["your uncommitted edit that study night began with", "another Y"]
    lines = "\n".join(adopted_lines(study.view, made, "main", "report.md"))
    assert "#0                your uncommitted edit that study night began with" in lines
    assert "git stash" in lines
    user(root, "commit", "-qam", "mine")
    assert [each.number for each, _ in taken(study).steps] == [1]
    (root / "train.py").write_text(mine.replace("X = 1.5", "X = 2.5"))
    user(root, "commit", "-qam", "and on")
    after = taken(study)
    assert at(study.lab, after.branch) == mine.replace("X = 1.5", "X = 2.5").replace(
        "Y = 0.5", "Y = 0.6"
    )


def test_an_uncommon_configuration_changes_no_byte(tmp_path: Path) -> None:
    root = odd(tmp_path)
    user(root, "config", "i18n.commitEncoding", "latin1")
    study = Finished(Lab.open(root), "night")
    study.add(X2, 1.4, Verdict.KEEP, "größer 見よ")
    made = taken(study)
    raw = user(root, "cat-file", "commit", made.branch)
    assert "größer 見よ" in raw
    assert "encoding" not in raw


def test_the_users_own_commits_are_merged(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    text = TRAIN.replace("# seconds of training; fixed", "# seconds; mine")
    mine = text.replace('"""Editable', '"""Mine')
    (tiny_lab / "train.py").write_text(
        mine.replace("SLEEP = 0.02  # seconds; mine", "SLEEP = 0.02")
    )
    (tiny_lab / "notes.txt").write_text("mine, too")
    user(tiny_lab, "add", ".")
    user(tiny_lab, "commit", "-qm", "mine")
    study.history = study.history[:-1]  # the last one changed the line that the user changed
    made = taken(study)
    assert not made.is_exact
    assert at(study.lab, made.branch).startswith('"""Mine')
    assert "X = 2.0" in at(study.lab, made.branch)
    assert "Y = 0.7" in at(study.lab, made.branch)
    assert user(tiny_lab, "show", f"{made.branch}:notes.txt") == "mine, too"


def test_a_conflict_names_the_file_and_the_experiment_and_makes_nothing(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    (tiny_lab / "train.py").write_text(TRAIN.replace("Y = 0.5", "Y = 0.9"))
    user(tiny_lab, "commit", "-qam", "mine")
    with pytest.raises(
        StudyError, match=r"train\.py: .* experiment #3 changed \(another Y\)"
    ) as it:
        taken(study)
    assert f"git switch --detach {user(tiny_lab, 'rev-parse', 'HEAD~1')[:7]}" in str(it.value)
    assert not git.refs(tiny_lab, "refs/heads/adopt")


def test_what_the_user_has_already_is_left_out(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    (tiny_lab / "train.py").write_text(X2)  # the first change, taken over by hand
    user(tiny_lab, "commit", "-qam", "by hand")
    made = taken(study)
    assert [each.number for each, _ in made.steps] == [3, 5]
    assert [each.number for each in made.there] == [1]
    assert made.is_exact
    (tiny_lab / "train.py").write_text(BEST + "\n# and a line of mine\n")
    user(tiny_lab, "commit", "-qam", "everything")
    with pytest.raises(StudyError, match="has all 3 kept changes already"):
        taken(study)


def test_a_veto_is_kept_to(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    study.save()
    with Store(store_path(study.lab)) as store:
        store.veto("night", 3, True)
        study.history = store.experiments("night")
    made = taken(study)
    assert [each.number for each, _ in made.steps] == [1]
    assert at(study.lab, made.branch) == X2


def test_a_discarded_parent_is_a_part_of_the_change_that_was_kept(tiny_lab: Path) -> None:
    study = Finished(Lab.open(tiny_lab), "night")
    step = study.add(X2, 1.6, Verdict.DISCARD, "worse alone")
    study.add(X2Y7, 1.2, Verdict.KEEP, "better together", parent=step)
    made = taken(study)
    assert [each.number for each, _ in made.steps] == [2]
    assert at(study.lab, made.branch) == X2Y7


def test_locked_files_that_moved_on_are_said(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    (tiny_lab / "prepare.py").write_text("# another judge\n")
    user(tiny_lab, "commit", "-qam", "another judge")
    assert taken(study).stale == ("prepare.py",)


def test_line_ends_are_those_of_head(tiny_lab: Path) -> None:
    user(tiny_lab, "config", "core.autocrlf", "true")
    (tiny_lab / "train.py").write_bytes(TRAIN.replace("\n", "\r\n").encode())
    study = Finished(Lab.open(tiny_lab), "night")
    study.add(X2.replace("\n", "\r\n"), 1.4, Verdict.KEEP)
    assert at(study.lab, taken(study).branch) == X2


def test_no_branch_that_is_there_is_ever_moved(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    first, second = taken(study), taken(study)
    assert (first.branch, second.branch) == ("adopt/night", "adopt/night-2")
    assert taken(study, "mine").branch == "mine"
    user(tiny_lab, "branch", "adopt/night-3/below")
    assert taken(study).branch == "adopt/night-4"
    for name, said_so in (
        ("mine", "a branch mine already"),
        ("main", "a branch main already"),
        ("autoresearch/night", "the studies' own"),
        ("-x", "cannot be a branch's name"),
        ("a..b", "cannot be a branch's name"),
        ("HEAD", "cannot be a branch's name"),
    ):
        with pytest.raises(StudyError, match=said_so):
            taken(study, name)
    with pytest.raises(LabError, match="git update-ref failed"):
        taken(study, "mine/below")


def test_without_a_name_nobody_is_made_up(
    tiny_lab: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{what}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    study = night(tiny_lab)
    if not git.setting(tiny_lab, "user.name"):  # the machine's own configuration may have one
        with pytest.raises(LabError, match=r'git config user\.name "Your Name"'):
            taken(study)
    user(tiny_lab, "config", "user.name", "Grace Hopper")
    user(tiny_lab, "config", "user.email", "grace@example.com")
    made = taken(study)
    assert "Grace Hopper" in user(tiny_lab, "show", "-s", "--format=%an %cn", made.branch)


def test_nothing_to_adopt_is_said(tiny_lab: Path) -> None:
    study = Finished(Lab.open(tiny_lab), "night")
    with pytest.raises(StudyError, match="has kept nothing"):
        taken(study)
    study = night(tiny_lab)
    lost: tuple[Experiment, ...] = tuple(replace(each, commit=None) for each in study.history)
    study.history = lost
    with pytest.raises(StudyError, match="git has no commit of experiment #0"):
        taken(study)


def test_words_of_an_experiment_give_no_orders_to_a_code_host(tiny_lab: Path) -> None:
    words = "\x1b[31mfixes #12, GH-3 and a/b#4 @torvalds [skip ci]\u202e\nSigned-off-by: you"
    study = Finished(Lab.open(tiny_lab), "night")
    study.add(X2, 1.4, Verdict.KEEP, words, f"{words} " * 9)
    made = taken(study)
    raw = user(tiny_lab, "cat-file", "commit", made.branch)
    assert not re.search(r"#\d|GH-\d|@t|\[|\x1b|\u202e", raw.partition("\n\n")[2])
    trailers = user(tiny_lab, "show", "-s", "--format=%(trailers)", made.branch)
    assert "Signed-off-by" not in trailers
    assert clean_line(said("see experiment #7")) == "see experiment no. 7"


def test_the_command_says_what_it_made_and_what_to_type_next(
    tmp_path: Path, autoresearch: Call
) -> None:
    root = in_a_subfolder(tmp_path)
    night(root).save()
    done = autoresearch(root, "adopt").stdout
    assert "Branch adopt/night: 3 commits on top of" in done
    assert re.search(r"[0-9a-f]{7}  #3 +-0\.060000  another Y", done)
    assert "byte for byte what was measured as #5" in done
    assert "git diff main...adopt/night" in done
    page = re.search(r"--body-file (\S+)", done)
    assert page
    assert (root / page[1]).is_file()
    again = autoresearch(root, "adopt", "--branch", "main", code=2)
    assert "a branch main already" in again.stderr
