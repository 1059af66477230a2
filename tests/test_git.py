"""Protects the user's repository: odd configurations, hooks and environments change neither what
we record nor anything of theirs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch import git
from autoresearch.errors import LabError


def user(folder: Path, *words: str) -> str:
    scrubbed = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    identity = ("-c", "user.name=U", "-c", "user.email=u@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=scrubbed, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "a répository with spaces"
    folder.mkdir()
    user(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "file.txt").write_bytes(b"one\ntwo\nthree\n")
    user(folder, "add", ".")
    user(folder, "commit", "--quiet", "-m", "first")
    return folder


CONTENTS = {
    "plain.py": b"a = 1\n",
    "crlf.py": b"a = 1\r\nb = 2\r\n",
    "mixed.py": b"a\r\nb\nc\rd",
    "binary": bytes(range(256)) * 10,
    "empty": b"",
    "with space ü 日本.py": "é🙂\n".encode(),
    'quote"back\\slash\ttab\nline': b"odd\n",
    "deep/er/file": b"x",
    "latin-\udce9.py": b"no UTF-8 in the name",
}


def commit(repository: Path, contents: dict[str, bytes], parent: str | None) -> str:
    changed = {
        name: git.Entry("100644", git.write_blob(repository, content))
        for name, content in contents.items()
    }
    return git.write_commit(repository, parent, changed, "mine: é\n\nbody")


ODD = {
    "autocrlf": ["core.autocrlf", "true"],
    "eol": ["core.eol", "crlf"],
    "sign": ["commit.gpgsign", "true"],
    "signer": ["gpg.program", "/bin/false"],
    "external diff": ["diff.external", "/bin/false"],
    "no prefix": ["diff.noprefix", "true"],
    "mnemonic": ["diff.mnemonicPrefix", "true"],
    "relative": ["diff.relative", "true"],
    "colour": ["color.ui", "always"],
    "colour of diffs": ["color.diff", "always"],
    "quoted": ["core.quotePath", "true"],
    "ignore case": ["core.ignorecase", "true"],
    "encoding": ["i18n.commitEncoding", "latin1"],
    "split": ["core.splitIndex", "true"],
    "monitor": ["core.fsmonitor", "/bin/false"],
    "safe": ["core.safecrlf", "true"],
    "word diff": ["diff.wordRegex", "."],
    "no context": ["diff.context", "0"],
    "order": ["diff.orderFile", "/nowhere"],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_configuration_changes_nothing(repository: Path, name: str) -> None:
    user(repository, "config", *ODD[name])
    (repository / ".gitattributes").write_text("*.py text eol=crlf diff=odd\n* filter=odd\n")
    user(repository, "config", "filter.odd.clean", "/bin/false")
    user(repository, "config", "diff.odd.textconv", "/bin/false")
    index = (repository / ".git" / "index").read_bytes()
    head = git.resolve(repository, "HEAD")
    made = commit(repository, CONTENTS, head)
    entries = git.files(repository, made)
    assert entries.keys() == {*CONTENTS, "file.txt"}
    blobs = git.read_blobs(repository, [each.blob for each in entries.values()])
    assert {n: blobs[entries[n].blob] for n in CONTENTS} == CONTENTS
    after = commit(repository, {"plain.py": b"a = 2\n"}, made)
    lines = git.diff(repository, made, after, ["plain.py"]).splitlines()
    assert lines[2:4] == ["--- a/plain.py", "+++ b/plain.py"]
    assert lines[5:] == ["-a = 1", "+a = 2"]
    assert git.diffs(repository, [(made, after)], ["plain.py"]) == {
        (made, after): git.diff(repository, made, after, ["plain.py"])
    }
    assert (repository / ".git" / "index").read_bytes() == index
    assert git.resolve(repository, "HEAD") == head


def test_many_diffs_at_once_are_the_same_as_one_by_one(repository: Path) -> None:
    head = git.resolve(repository, "HEAD")
    first = commit(repository, {"a.py": b"a = 1\n"}, head)
    second = commit(repository, {"a.py": b"0" * 40 + b"\n"}, first)  # looks like an id
    third = commit(repository, {"b.py": first.encode() + b"\n\n"}, second)
    other = commit(repository, {"a.py": b"a = 1\n"}, None)
    pairs = [(first, second), (second, first), (second, third), (first, first), (other, third)]
    for paths in (["a.py"], ["a.py", "b.py"], ["none.py"]):
        expected = {pair: git.diff(repository, *pair, paths) for pair in pairs}
        assert git.diffs(repository, [*pairs, *pairs], paths) == expected
    assert git.diffs(repository, [], ["a.py"]) == {}


HOOKS = ("pre-commit", "reference-transaction", "post-commit", "commit-msg", "pre-push")


@pytest.mark.parametrize("where", ["hooks", "core.hooksPath"])
def test_no_hook_is_run(repository: Path, where: str) -> None:
    folder = repository / ".git" / "hooks"
    if where == "core.hooksPath":
        folder = repository / "my hooks"
        user(repository, "config", "core.hooksPath", str(folder))
    folder.mkdir(exist_ok=True)
    head = git.resolve(repository, "HEAD")
    for name in HOOKS:
        (folder / name).write_text(f"#!/bin/sh\ntouch '{repository}/hooked'\nexit 1\n")
        (folder / name).chmod(0o755)
    made = commit(repository, CONTENTS, head)
    git.set_ref(repository, "refs/autoresearch/t/0", made)
    git.set_ref(repository, "refs/heads/autoresearch/t", made)
    git.delete_ref(repository, "refs/autoresearch/t/0")
    assert git.refs(repository, "refs/autoresearch/t/") == {}
    assert git.resolve(repository, "autoresearch/t") == made
    assert not (repository / "hooked").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "/nowhere"),
        ("GIT_INDEX_FILE", "{tmp}/other index"),
        ("GIT_WORK_TREE", "/"),
        ("GIT_OBJECT_DIRECTORY", "{tmp}/objects"),
        ("GIT_CONFIG_PARAMETERS", "'core.bare=true'"),
        ("GIT_EXTERNAL_DIFF", "/bin/false"),
        ("GIT_NAMESPACE", "other"),
        ("GIT_AUTHOR_DATE", "no date"),
        ("GIT_DIFF_OPTS", "-u0"),
        ("GIT_LITERAL_PATHSPECS", "0"),
        ("GIT_TRACE", "1"),
        ("LC_ALL", "de_DE.UTF-8"),
    ],
)
def test_the_environment_turns_us_nowhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value.replace("{tmp}", str(tmp_path)))
    assert git.toplevel(repository) == repository
    made = commit(repository, CONTENTS, git.resolve(repository, "HEAD"))
    git.set_ref(repository, "refs/autoresearch/t/0", made)
    assert user(repository, "rev-parse", "refs/autoresearch/t/0") == made
    assert sorted(path.name for path in tmp_path.iterdir()) == [repository.name]


def test_commits_are_ours_and_modes_stay(repository: Path) -> None:
    blob = git.write_blob(repository, b"file.txt")
    changed = {"run.sh": git.Entry("100755", blob), "link": git.Entry("120000", blob)}
    made = git.write_commit(repository, git.resolve(repository, "HEAD"), changed, "x")
    assert {n: e.mode for n, e in git.files(repository, made).items()} == {
        "file.txt": "100644", "link": "120000", "run.sh": "100755",
    }  # fmt: skip
    assert user(repository, "show", "-s", "--format=%an <%ae>", made) == (
        "autoresearch <autoresearch@localhost>"
    )


def test_names_that_are_none(repository: Path, tmp_path: Path) -> None:
    assert git.resolve(repository, "nothing") is None
    assert git.resolve(repository, "--all") is None
    assert git.resolve(repository, "HEAD:file.txt") is None
    assert git.toplevel(tmp_path) is None
    with pytest.raises(LabError, match="git ls-tree failed"):
        git.files(repository, "f" * 40)


def test_merge(repository: Path) -> None:
    base = b"A = 1\nB = 2\nC = 3\n"
    ours, theirs = base.replace(b"2", b"5"), base.replace(b"3", b"6")
    assert git.merge(repository, ours, base, theirs) == b"A = 1\nB = 5\nC = 6\n"
    assert git.merge(repository, ours, base, base.replace(b"2", b"7")) is None
    assert git.merge(repository, ours, base, base) == ours


def test_contents_of_many_commits_in_one_process(repository: Path) -> None:
    first = commit(repository, CONTENTS, None)
    second = commit(repository, {"empty": b"no longer"}, first)
    names = [name for name in CONTENTS if "\n" not in name]
    places = [(each, name) for each in (first, second) for name in (*names, "nowhere", "a b")]
    found = git.read_at(repository, places)
    for name in names:
        assert found[first, name] == CONTENTS[name]
    assert found[second, "empty"] == b"no longer"
    assert not [place for place in found if place[1] in ("nowhere", "a b")]
    assert git.read_at(repository, []) == {}


def test_git_says_why_it_failed_whatever_it_warned_of_before(repository: Path) -> None:
    user(repository, "config", "core.fsyncObjectFiles", "true")  # of which later gits warn
    with pytest.raises(LabError, match="fatal: not a tree object"):
        git.files(repository, "f" * 40)
    assert git.reason(b"") == "no message"
    assert (
        git.reason(b"warning: unable to access '/x'\nerror: a\nfatal: b\n") == "error: a; fatal: b"
    )
    owner = (
        b"fatal: detected dubious ownership in repository at '/x'\nTo add an exception call:\n\n"
        b"\tgit config --global --add safe.directory /x\n"
    )
    assert git.reason(owner).endswith("at '/x': git config --global --add safe.directory /x")
    assert git.reason(b"usage: git\nmore") == "usage: git"


OLD = """\
#!{python}
import os, sys
if sys.argv[1:] == ["version"]:
    print("git version 2.35.8")
    sys.exit()
os.execv({git!r}, ["git", *sys.argv[1:]])
"""


@pytest.mark.parametrize("is_old", [False, True])
def test_a_commit_is_on_the_disk_whatever_git_it_is(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    """One from before 2.36 knows its setting, and a later one is not warned of an old name."""
    if is_old:
        real = shutil.which("git")
        (tmp_path / "git").write_text(OLD.format(python=sys.executable, git=real))
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    git.synced.cache_clear()
    try:
        listed = git.line(repository, "config", "--list", "--show-scope")
    finally:
        git.synced.cache_clear()
    told = {row.partition("\t")[2] for row in listed.splitlines() if row.startswith("command")}
    fsync = {each for each in told if each.startswith("core.fsync=") or "fsyncobject" in each}
    assert fsync == {"core.fsyncobjectfiles=true" if is_old else "core.fsync=committed,reference"}
