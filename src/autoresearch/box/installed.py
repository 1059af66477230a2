"""An installed program -> the files and folders without which it does not start.

    needs(Path("/home/me/.local/bin/aider"))  ->  (the link, its tool folder, its Python, ...)

Followed are links, the interpreter of a script (`#!/usr/bin/env node`, also with `-S`, and what a
shell wrapper calls with `exec`), the outermost `node_modules`, a virtual environment with the
Python that it was made from, packages beside a script of `pip install --user`, the folders beside
a `bin`, Homebrew's, and all of a manager of versions (pyenv, asdf, mise, volta: their shims look a
program up when it is started).

Not followed, so that it must be granted: editable installs, checkouts of a program, plugins and
libraries elsewhere; what a program needs that lies where the agent itself can write, except Node.
The agent may have written that program the last time, and it would choose what it is shown.
"""

import os
import re
import shlex
import shutil
from collections.abc import Container, Iterator
from pathlib import Path

from autoresearch.box.host import is_below, real_path
from autoresearch.box.interpreter import PARTS, SYSTEM_PREFIXES, interpreter
from autoresearch.errors import UserError

HEAD_BYTES = 16384  # of a script; what it calls stands there
PYTHON = re.compile(r"(python|pypy)[\d.]*")
SHELL = re.compile(r"(ba|da|z|k)?sh")
BASE_FOLDER = re.compile(r"^\$\{?(basedir|SCRIPT_DIR)\}?/")  # as npm, pnpm and Cursor write it
PROGRAM_FOLDERS = ("bin", "sbin", "libexec")
OF_MANY = (".local", ".config", ".cache", "share", "lib", "opt")  # folders that many things share
OF_A_PROJECT = (".git", ".autoresearch", "program.md")
UNASKED = "node"  # starts most programs that install themselves into their own folder


def needs(program: Path, changeable: Container[Path] = ()) -> tuple[Path, ...]:
    """Absolute paths, the program's own first; links among them are still to be followed.

    `changeable`: real folders that an agent writes; nothing in them is looked at, or run.
    """
    found: dict[Path, None] = {}
    pending, known = [program.absolute()], set()
    while pending:
        path = pending.pop()
        if path in known:
            continue
        known.add(path)
        real = fixed_path(path, {}, changeable)
        if real is None:
            found[path] = None
            pending += [node] if (node := located(UNASKED)) else []
        elif real.is_file():
            found |= dict.fromkeys((path, *surroundings(path, real)))
            pending += starters(real)
    return tuple(found)


def fixed_path(path: Path, links: dict[Path, str], changeable: Container[Path] = ()) -> Path | None:
    """As real_path, but None where the way leads through what an agent can change.

    The links before that place are added to `links`; one that the agent may have laid never is.
    """
    followed: dict[Path, str] = {}
    real = real_path(path, followed)
    for link, target in followed.items():
        if is_below(link, changeable):
            return None
        links[link] = target
    return None if is_below(real, changeable) else real


def surroundings(path: Path, real: Path) -> list[Path]:
    """What belongs to one program, by where it lies."""
    if wide := of_manager(path) or of_node_modules(real):
        return wide
    if PYTHON.fullmatch(path.name):
        return of_python(path)
    if real.parent.name in PROGRAM_FOLDERS:
        return of_prefix(real)
    is_linked = path.parent != real.parent  # installed by something, in a folder of its own
    return [real.parent] if is_linked and not is_shared(real.parent) else []


def of_manager(path: Path) -> list[Path]:
    if path.parent.name == "shims":
        return [path.parent.parent]
    return up_to(path, ".volta")


def of_node_modules(real: Path) -> list[Path]:
    return up_to(real, "node_modules")


def up_to(path: Path, name: str) -> list[Path]:
    """The outermost folder of this name around a path, if there is one."""
    return [Path(*path.parts[: path.parts.index(name) + 1])] if name in path.parts[:-1] else []


def of_prefix(real: Path) -> list[Path]:
    """The folders beside the `bin` that a program lies in."""
    prefix: Path = real.parent.parent
    parts: tuple[str, ...] = PARTS
    if cellar := up_to(real, "Cellar"):  # Homebrew: everything is linked with everything
        prefix, parts = cellar[0].parent, (*PARTS, "Cellar", "opt")
    elif is_shared(prefix):
        return sorted(prefix.glob("lib/python*")) if is_python_script(real) else []
    return [each for part in parts if (each := prefix / part).exists()]


def of_python(path: Path) -> list[Path]:
    """The environment of an interpreter, and the Python that it was made from."""
    try:
        python = interpreter(str(path))
    except UserError:
        return []  # it will say so itself
    inside = [each for each in python.packages if not str(each).startswith("/usr/")]
    return [*python.shown(), *inside, python.stdlib]


def is_shared(folder: Path) -> bool:
    """True for a folder that holds other things, too: the system's, the home's, a project's."""
    home = Path.home()
    return (
        folder in SYSTEM_PREFIXES
        or folder.name in OF_MANY
        or home.is_relative_to(folder)
        or len(folder.parts) < 3
        or any((folder / name).exists() for name in OF_A_PROJECT)
    )


def is_python_script(path: Path) -> bool:
    return any(PYTHON.fullmatch(each.name) for each in starters(path))


def starters(script: Path) -> list[Path]:
    """The programs that a script names as the ones to run it; none for a binary."""
    try:
        with script.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return []
    if not head.startswith(b"#!"):
        return []
    first, *lines = head.decode("utf-8", "replace").split("\n")
    named = list(of_first_line(first))
    if not named or not SHELL.fullmatch(Path(named[-1]).name):
        lines = []
    called = [word for line in lines for word in of_exec(line, script.parent)]
    return [path for word in (*named, *called) if (path := located(word))]


def of_first_line(line: str) -> Iterator[str]:
    """`#!/usr/bin/env -S node --flag` -> node; `#!/path/python3 -s` -> /path/python3."""
    words = line[2:].split()
    if words and Path(words[0]).name == "env":
        rest = [each for each in words[1:] if not each.startswith("-") and "=" not in each]
        yield words[0]
        yield from rest[:1]
    else:
        yield from words[:1]


def of_exec(line: str, folder: Path) -> list[str]:
    """The program and the files that a line of a shell wrapper names behind `exec`."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []
    if "exec" not in words:
        return []
    named = words[words.index("exec") + 1 :]
    words = [BASE_FOLDER.sub(lambda _: f"{folder}/", word) for word in named]
    return [word for place, word in enumerate(words) if place == 0 or word.startswith("/")]


def located(word: str) -> Path | None:
    """Where the program of this name is."""
    found = shutil.which(word)
    path = Path(os.path.abspath(found)) if found else Path(word)  # noqa: PTH100  links must stay
    return path if path.is_absolute() and path.is_file() else None
