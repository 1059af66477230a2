"""The standard library without its sources: compiled modules in a folder, made once.

The reference lab's text is the standard library's own sources, validation text included, so a
box lays this folder over the real one. It is kept beside the prepared corpora, under a name that
holds everything that shapes it, and checked on the first use in each process.

Also runs on its own, by the interpreter that the modules are for:
    python -I -X no_debug_ranges stdlib.py STDLIB FOLDER

What it does not cover: compiled code keeps names, strings and structure (no comments, docstrings,
layout or column positions), and a program could write sources back from it that resemble the
originals. What must never be seen is to be hidden by name (Box.hidden): that takes the compiled
module away, too.
"""

import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from uuid import uuid4

LEFT_OUT = frozenset(
    ("test", "tests", "idlelib", "lib2to3", "turtledemo", "tkinter", "ensurepip", "pydoc_data")
)
KEPT = ("lib-dynload", "site-packages", "dist-packages")  # shown as they are, where they are used
FORM = "1"  # to be changed with what this module makes


@cache
def sourceless(python: Path, stdlib: Path, version: str) -> Path:
    """The folder for this interpreter, built if it is not there or is damaged."""
    store = cache_folder()
    folder = store / f"stdlib-{key(stdlib, version)}"
    if not intact(folder):
        build_aside(python, stdlib, folder)
    return folder


def cache_folder() -> Path:
    named = os.environ.get("AUTORESEARCH_CACHE")
    folder = Path(named).expanduser() if named else Path.home() / ".cache" / "autoresearch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def key(stdlib: Path, version: str) -> str:
    parts = [FORM, str(stdlib), version]
    for path in modules(stdlib):
        facts = path.stat()
        parts.append(f"{path.relative_to(stdlib)} {facts.st_size} {facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def modules(stdlib: Path) -> list[Path]:
    """Every source file that is compiled."""
    found: list[Path] = []
    for place, folders, files in os.walk(stdlib):
        skip = LEFT_OUT | {*KEPT, "__pycache__"}
        folders[:] = sorted(each for each in folders if each not in skip and "-" not in each)
        found += [Path(place, each) for each in sorted(files) if each.endswith(".py")]
    return [each for each in found if each.is_file()]  # some are links that lead nowhere


def digest(folder: Path) -> str:
    """Of every name and byte below the folder."""
    total = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*.pyc")):
        total.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def seal(folder: Path) -> Path:
    return folder.with_suffix(".digest")


def intact(folder: Path) -> bool:
    try:
        return seal(folder).read_text() == digest(folder)
    except OSError:
        return False


def build_aside(python: Path, stdlib: Path, folder: Path) -> None:
    """Build under another name and move it in whole; who comes second finds the first's."""
    aside = folder.with_name(f"{folder.name}.{uuid4().hex}")
    command = [str(python), "-I", "-X", "no_debug_ranges", __file__, str(stdlib), str(aside)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"cannot compile the standard library {stdlib}: {done.stderr[-500:]}")
        if folder.is_dir() and not intact(folder):
            shutil.rmtree(folder)
        if not folder.is_dir():
            note = aside.with_suffix(".note")
            note.write_text(digest(aside))
            aside.rename(folder)
            note.rename(seal(folder))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def build(stdlib: Path, folder: Path) -> None:
    for path in modules(stdlib):
        target = folder / path.relative_to(stdlib).with_suffix(".pyc")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            py_compile.compile(str(path), str(target), str(path), doraise=True, optimize=2)
        except py_compile.PyCompileError:
            continue  # a template, never imported
    for name in KEPT:  # where the real ones are mounted
        (folder / name).mkdir(parents=True, exist_ok=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
