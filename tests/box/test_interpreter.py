"""Protects the start of a run: what it imports has bytecode, though a box lets nobody write it."""

import subprocess
import sys
from pathlib import Path

from autoresearch.box.interpreter import interpreter
from autoresearch.lab import Lab
from tests.conftest import Call


def test_packages_without_bytecode_are_compiled_once(tiny_lab: Path, autoresearch: Call) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tiny_lab / ".venv")], check=True
    )
    python = interpreter(str(tiny_lab / ".venv" / "bin" / "python"))
    (own,) = [each for each in python.packages if each.is_relative_to(tiny_lab)]
    for name, text in {"heavy": "", "newer": "this is of a newer Python"}.items():
        (own / name).mkdir()
        (own / name / "__init__.py").write_text("")
        (own / name / "inner.py").write_text(text)
    train = (tiny_lab / "train.py").read_text()
    look = "import os, heavy.inner\nprint('bytecode', os.path.exists(heavy.inner.__cached__))\n"
    (tiny_lab / "train.py").write_text(look + train)
    assert {own / "heavy", own / "newer"} <= set(python.uncompiled())

    first = autoresearch(tiny_lab, "run", "--tag", "t", "--experiments", "0")
    assert "compiling the Python packages, once" in first.stderr
    folder = Lab.open(tiny_lab).study_folder("t")
    assert "bytecode True" in (folder / "logs" / "0000.txt").read_text()
    assert not set(python.uncompiled()) & {own / "heavy", own / "newer"}
    again = autoresearch(tiny_lab, "run", "--tag", "t", "--experiments", "0")
    assert "compiling" not in again.stderr
