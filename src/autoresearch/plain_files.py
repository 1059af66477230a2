"""Plain files below a folder that somebody hostile writes, perhaps at this very moment.

    with opened(folder, "src/model.py", os.O_RDONLY) as file: ...
    read(folder, "src/model.py", most_bytes)

Each part of a name is opened below the one before, so that no link is followed and nothing can be
swapped between a look and the opening; nothing is waited for, as a pipe without a writer would
have it. The folder itself is trusted. All that can go wrong is an OSError.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK


class NotPlain(OSError):
    """There is something else than a plain file."""


@contextmanager
def opened(folder: Path, name: str, flags: int) -> Iterator[int]:
    """A descriptor of a plain file; a link raises ELOOP, a name that no file can have EINVAL."""
    *above, last = Path(name).parts or ("",)  # the folder itself is no file
    if ".." in (*above, last) or Path(name).is_absolute():
        raise OSError(errno.EINVAL, "leads out of the folder")
    try:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in above:
                below = os.open(part, os.O_RDONLY | _SAFELY, dir_fd=here)
                os.close(here)
                here = below
            file = os.open(last, flags | _SAFELY, 0o644, dir_fd=here)
        finally:
            os.close(here)
    except ValueError as error:  # a zero byte, or half a character
        raise OSError(errno.EINVAL, "no name of a file") from error
    with checked(file):
        yield file


def read(folder: Path, name: str, most_bytes: int) -> bytes | None:
    """A file's content; None for one that is larger, of which nothing is read then."""
    with opened(folder, name, os.O_RDONLY) as file:
        return content(file, most_bytes)


def read_at(folder: int, name: str, most_bytes: int) -> bytes | None:
    """The same of a folder's own file, by the folder's descriptor."""
    file = os.open(name, os.O_RDONLY | _SAFELY, dir_fd=folder)
    with checked(file):
        return content(file, most_bytes)


@contextmanager
def checked(file: int) -> Iterator[None]:
    """Raises NotPlain for what is no plain file; closes the descriptor afterwards."""
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise NotPlain(errno.EINVAL, "no plain file")
        yield
    finally:
        os.close(file)


def content(descriptor: int, most_bytes: int) -> bytes | None:
    """All of an open file; None for one that is, or grows meanwhile, larger."""
    size = os.fstat(descriptor).st_size
    if size > most_bytes:
        return None
    with open(descriptor, "rb", closefd=False) as file:
        data = file.read(size + 1)
    return data if len(data) <= most_bytes else None
