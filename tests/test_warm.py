"""Protects the tests' own way of calling the command line: it is as if the program were started."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Call
from tests.warm import Engines

SPEC = """\
import os, sys
class Mine:
    def __init__(self):
        {code}
    def propose(self, desk): ...
"""


def spec(lab: Path, code: str) -> tuple[str, ...]:
    """The call that runs this code in the engine."""
    (lab / "mine.py").write_text(SPEC.format(code=code))
    return ("run", "--tag", "t", "--researcher", "py:mine:Mine")


@pytest.mark.parametrize("words", [("status",), ("--version",), ("frobnicate",), ("log", "--json")])
def test_it_says_and_returns_what_the_program_does(
    tiny_lab: Path, warm: Callable[[], Engines], words: tuple[str, ...]
) -> None:
    env = {**os.environ, "COLUMNS": "120"}
    real = subprocess.run(
        [sys.executable, "-m", "autoresearch", *words],
        cwd=tiny_lab, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    done = warm().run(tiny_lab, words, env)
    assert (done.returncode, done.stdout, done.stderr) == (
        real.returncode, real.stdout, real.stderr
    )  # fmt: skip


def test_each_call_is_a_process_of_its_own_in_its_place(
    tiny_lab: Path, autoresearch: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for number in range(2):
        monkeypatch.setenv("MINE", str(number))
        code = (
            "seen = os.getpid(), os.environ['MINE'], os.getcwd(), hasattr(sys, 'left')\n"
            "        sys.left = True\n"
            "        raise RuntimeError(str(seen).replace(',', ' |'))"
        )
        stderr = autoresearch(tiny_lab, *spec(tiny_lab, code), code=2).stderr
        said.append(
            [each.strip(" '()") for each in stderr.partition("RuntimeError: (")[2].split("|")]
        )
    assert [each[1] for each in said] == ["0", "1"]
    assert said[0][0] != said[1][0]
    assert all(each[2] == str(tiny_lab) and each[3].startswith("False") for each in said)


def test_a_call_that_does_not_end_is_killed(
    tiny_lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = Engines({})
    assert engines.run(tiny_lab, ("--version",), os.environ).returncode == 0
    monkeypatch.setattr("tests.warm.LONGEST_SECONDS", 1.0)
    with pytest.raises(TimeoutError):
        engines.run(tiny_lab, spec(tiny_lab, "import time; time.sleep(60)"), os.environ)
    assert not engines.are_there
