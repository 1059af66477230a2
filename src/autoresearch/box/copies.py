"""Files that nobody may read who edits -> what else on this machine tells their text.

    copies([Path("/usr/lib/python3.12/test/test_io.py")], shown)

A module of one Python's standard library is much the same in every other one, and an agent's
program brings its own. Tests are taken as whole folders, because versions keep them elsewhere.

What it does not cover: a library inside an archive, and one more than a few folders deep.
"""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from autoresearch.box.stdlib import LEFT_OUT

LIBRARY = re.compile(r"(python|pypy)\d(\.\d+)?t?")
NO_LIBRARY_IN = frozenset(("site-packages", "dist-packages", "node_modules"))
DEPTH = 5  # folders below one that is shown; managers of versions need four


def copies(withheld: Iterable[Path], shown: Iterable[Path]) -> list[Path]:
    """Where the same modules would lie in every standard library below the folders shown."""
    names = {name for path in withheld if (name := module_of(path))}
    return [place / name for place in libraries(tuple(shown)) for name in names] if names else []


def module_of(path: Path) -> str:
    """What a file of a standard library is called in it, or the folder of tests that it is in; ""
    for any other file."""
    places = [n for n, part in enumerate(path.parts[:-1]) if LIBRARY.fullmatch(part)]
    if not places or path.suffix != ".py":
        return ""
    inside = path.parts[places[-1] + 1 :]
    if NO_LIBRARY_IN & set(inside):
        return ""
    ends = [n for n, part in enumerate(inside[:-1], 1) if part in LEFT_OUT]
    return "/".join(inside[: ends[0]] if ends else inside)


@cache
def libraries(shown: tuple[Path, ...]) -> tuple[Path, ...]:
    """Every Python's standard library in these folders, and not much below them."""
    found = []
    for top in shown:
        for folder, folders, files in os.walk(top):
            here = Path(folder)
            if LIBRARY.fullmatch(here.name) and "os.py" in files:
                found.append(here)
                folders.clear()
            elif len(here.parts) - len(top.parts) >= DEPTH:
                folders.clear()
            folders[:] = [each for each in folders if each not in NO_LIBRARY_IN]
    return tuple(found)
