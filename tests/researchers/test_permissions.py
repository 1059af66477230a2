"""Protects what an agent asks for: on its desk it reads and edits what is its own, and no more."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.researchers.permissions import Policy, Refused, ToolCall, is_reading, paths_of


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    tree = tmp_path / "desk"
    (tree / "src").mkdir(parents=True)
    (tree / "train.py").write_text("X = 1\n")
    (tree / "src" / "model.py").write_text("Y = 1\n")
    (tree / "prepare.py").write_text("Z = 1\n")
    (tmp_path / "secret").write_text("key")
    return Policy(tree, ("train.py", "src/model.py"), (tmp_path / "granted",))


def call(kind: str, *paths: str, command: str = "", diff: bool = False) -> ToolCall:
    return ToolCall("1", "a tool", kind, "", paths, command, diff)


ALLOWED = (
    call("read", "train.py"),
    call("read", "./src/../prepare.py"),
    call("read", "history/README.md"),
    call("search"),
    call("search", "."),
    call("edit", "train.py"),
    call("edit", "src/model.py", "train.py"),
    call("other", "train.py", diff=True),
    call("edit", "train.py", "."),
    call("execute", command="cat train.py | head -20 && ls -la src"),
    call("read", command="bash -lc 'sed -n 10,20p train.py'"),
    call("execute", command="grep -rn 'learning rate' ."),
    call("execute", command="grep -rnE 'RATE.*[0-9]' . | head -5 ; ls"),
    call("execute", command="/bin/bash -lc 'grep \"x*\" train.py'"),
)
REFUSED = (
    call("read", "/etc/passwd"),
    call("read", "../secret"),
    call("read", "~/.ssh/id_rsa"),
    call("read"),
    call("search", "/"),
    call("edit"),
    call("edit", "."),
    call("edit", "prepare.py"),
    call("edit", "train.py", "prepare.py"),
    call("edit", "new.py"),
    call("read", "prepare.py", diff=True),
    call("delete", "train.py"),
    call("move", "train.py"),
    call("fetch"),
    call("execute"),
    call("", "train.py"),
    call("read", "train.py", command="python train.py"),
    call("read", command="cat /etc/passwd"),
    call("read", command="cat --file=/etc/passwd"),
    call("execute", command="cat ../secret"),
    call("execute", command="sh -c 'cat train.py; rm train.py'"),
)


@pytest.mark.parametrize("asked", ALLOWED, ids=str)
def test_what_is_its_own(policy: Policy, asked: ToolCall) -> None:
    assert policy.refusal(asked) == ""


@pytest.mark.parametrize("asked", REFUSED, ids=str)
def test_what_is_not(policy: Policy, asked: ToolCall) -> None:
    assert policy.refusal(asked)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "cat x > y",
            "cat x >> y",
            "cat $(id)",
            "cat `id`",
            "cat x & id",
            "cat x\nid",
            "X=1 cat x",
        ),
        *(
            "find . -delete",
            "sed -i s/a/b/ x",
            "sed -n 's/a/b/w y' x",
            "rg --pre id x",
            "",
            "&&",
            "'",
        ),
        *(
            "cat <(id)",
            "cat x || id",
            "python -c 1",
            "bash x",
            "bash -c 'cat x' y",
            "xargs cat",
            ";",
        ),
        *(
            "sed -n 1p -e '1e touch /tmp/x' prepare.py",
            "sed -n 1p -i prepare.py",
            "sed -n 1p -- prepare.py",
            "sed -n",
            "cat .?/other",
            "cat .[.]/x",
            "cat *",
            "sh -c 'cat *'",
            "sh -c cat\\ \\'*\\'",  # a file's name would become a line of shell
            "sh -c \"cat '$x'\"",
            "./sh -c ls",
            "/sh -c ls",
        ),
    ],
)
def test_lines_of_shell_that_do_more_than_read(line: str) -> None:
    assert not is_reading(line)


IN_A_BOX = (
    *("cat history/*.md", "find . -name '*.py'", "grep -r x . 2>/dev/null | sort", "git diff"),
    *("nproc", "python -m py_compile train.py", "python - <<'E'\nimport train\nE", "echo 'un"),
    *("sed -i s/1/2/ train.py", "bash -lc 'for f in *; do wc $f; done'", "echo " + "x" * 5000),
)
NOT_EVEN_THERE = (
    *("python train.py", "python3 train.py | tail", "ls && /venv/bin/python train.py --fast"),
    *("bash -lc 'X=1 python train.py'", "curl https://x", "python -m pip install x", "ls; wget x"),
)


@pytest.mark.parametrize("line", IN_A_BOX)
def test_in_a_box_commands_are_allowed(policy: Policy, line: str) -> None:
    boxed = replace(policy, boxed=True, train=("python", "train.py"))
    assert boxed.refusal(call("execute", command=line)) == ""


@pytest.mark.parametrize("line", NOT_EVEN_THERE)
def test_but_neither_training_nor_fetching(policy: Policy, line: str) -> None:
    boxed = replace(policy, boxed=True, train=("python", "train.py"))
    assert boxed.refusal(call("execute", command=line))
    assert boxed.refusal(call("edit", "prepare.py"))
    assert boxed.refusal(call("fetch"))


def test_paths_that_lead_outside_are_told(policy: Policy, tmp_path: Path) -> None:
    assert policy.outside(call("read", "train.py", "/etc/passwd")) == "/etc/passwd"
    assert policy.outside(call("execute", command="/usr/bin/env cat ../secret")) == "../secret"
    assert policy.outside(call("read", str(tmp_path / "granted" / "x"))) == ""
    assert policy.outside(call("read", str(tmp_path / "granted" / ".." / "secret"))) != ""
    assert policy.outside(call("read", str(policy.tree / "x"), command="/usr/bin/ls")) == ""
    for path in ("/usr/../root/.ssh/id", "/lib/../etc/shadow", "/library/x", "/dev/null/../mem"):
        assert policy.outside(call("read", path)) == path
        assert policy.refusal(call("read", path))
    for path in ("/usr/lib/python3/x.py", "/usr/lib/../include/x.h", "/lib", "/dev/null"):
        assert policy.outside(call("read", path)) == ""


@pytest.mark.parametrize(
    "line", ["cat" + " " * 70_000 + "x", "cat " + "x" * 70_000, "cat '" * 20_000]
)
def test_a_command_of_any_length_is_answered_at_once(policy: Policy, line: str) -> None:
    began = time.monotonic()
    asked = call("execute", command=line)
    assert "too long to be looked at" in policy.refusal(asked)
    assert "too long to be looked at" in policy.outside(asked)
    assert not is_reading(line)
    assert paths_of(line) == ()
    assert time.monotonic() - began < 0.5
    assert policy.refusal(call("execute", command="cat" + " " * 3990 + "x")) == ""
    assert time.monotonic() - began < 1.0


def test_files_on_the_desk(policy: Policy) -> None:
    assert policy.read("prepare.py") == "Z = 1\n"
    policy.write(str(policy.tree / "src" / "model.py"), "Y = 2\n")
    assert policy.read("src/model.py") == "Y = 2\n"
    (policy.tree / "train.py").unlink()
    policy.write("train.py", "new\n")
    assert (policy.tree / "train.py").read_text() == "new\n"


def test_no_link_no_pipe_and_no_other_file(policy: Policy, tmp_path: Path) -> None:
    (policy.tree / "train.py").unlink()
    (policy.tree / "train.py").symlink_to(tmp_path / "secret")
    (policy.tree / "folder").symlink_to(tmp_path)
    os.mkfifo(policy.tree / "pipe")
    for path in ("train.py", "folder/secret", "pipe", "src", ".", "/etc/passwd", "../secret", "no"):
        with pytest.raises(Refused):
            policy.read(path)
    for path in ("train.py", "prepare.py", "folder/secret", "../secret", "/etc/x", "src", ""):
        with pytest.raises(Refused):
            policy.write(path, "mine")
    assert (tmp_path / "secret").read_text() == "key"
    assert (policy.tree / "prepare.py").read_text() == "Z = 1\n"


@pytest.mark.parametrize(
    "path", ["train.py\0", "src/\0/x", "\ud800", "x" * 5000, "a/" * 5000 + "b"]
)
def test_a_path_that_no_file_can_have_is_refused(policy: Policy, path: str) -> None:
    with pytest.raises(Refused):
        policy.read(path)
    with pytest.raises(Refused):
        Policy(policy.tree, (path,)).write(path, "mine")


def test_a_desk_that_is_gone_is_refused(policy: Policy) -> None:
    shutil.rmtree(policy.tree)
    with pytest.raises(Refused):
        policy.read("train.py")
    with pytest.raises(Refused):
        policy.write("train.py", "mine")


def test_files_of_any_size_do_no_harm(policy: Policy) -> None:
    with pytest.raises(Refused, match="larger than 4 MB"):
        policy.write("train.py", "x" * (4 * 2**20 + 1))
    (policy.tree / "big").write_bytes(bytes(4 * 2**20 + 1))
    with pytest.raises(Refused, match="larger than 4 MB"):
        policy.read("big")
    assert policy.read("train.py") == "X = 1\n"
