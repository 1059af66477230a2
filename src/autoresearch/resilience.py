"""Bad nights: a full disk, a researcher or a script that fails at once, again and again."""

import errno
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autoresearch.activity import WAITING
from autoresearch.context import Study
from autoresearch.errors import Crashed, LabError
from autoresearch.experiment import Verdict
from autoresearch.lab import Lab
from autoresearch.ledger import WAITED, waited
from autoresearch.store import TROUBLE

FREE_BYTES = 64 * 2**20  # without so much disk no experiment is begun
TEMPORARY_BYTES = 4 * 2**20  # the same of the disk of temporary files
LONGEST_PAUSE_SECONDS = 300.0
DISK_POLL_SECONDS = 10.0
FULL = (  # in words of SQLite, git and the system
    *("disk is full", "No space left", "Disk quota exceeded", "Out of diskspace"),
    "unable to write new index file",
)
BEYOND_QUOTA = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC)  # in SQLite's words


def pause(study: Study) -> None:
    """Never a tight loop: wait after instant failures, and while the disk is full.

    Waiting is time of the study, too: it is written down.
    """
    began = time.monotonic()
    left = study.limits.seconds_left(study.experiments(), waited_seconds(study))
    failures = failures_in_a_row(study)
    if failures > 3:
        seconds = min(LONGEST_PAUSE_SECONDS, 2.0 ** (failures - 3), left)
        trouble(
            study, "failures", f"{failures} experiments failed at once: waiting {seconds:.0f} s"
        )
        wait(study, seconds)
    if lack := lacking(study.lab):
        trouble(study, "disk", f"{lack}: waiting for more")
        while lacking(study.lab) and time.monotonic() - began < left:
            if study.inbox.is_stopping:
                break
            wait(study, DISK_POLL_SECONDS)
    if (waited := time.monotonic() - began) > 1.0:
        with room_to_write(study):
            study.store.event(study.tag, WAITED, seconds=waited)


def trouble(study: Study, what: str, text: str) -> None:
    with room_to_write(study):
        study.store.event(study.tag, TROUBLE, what=what, text=text)
    study.watcher.note(text)


def failures_in_a_row(study: Study) -> int:
    """How many of the latest experiments ended at once and without a score, by themselves."""
    recent = [each for each in study.experiments() if each.verdict is not None][-12:]
    ended_well = (
        each.score is not None or (each.seconds or 0.0) > 10.0 or each.verdict is Verdict.DISCARD
        for each in recent[::-1]
    )
    return next((count for count, well in enumerate(ended_well) if well), len(recent))


def lacking(lab: Lab) -> str:
    """What room an experiment lacks, in words, or "". The compile cache is copied for a run, and
    what that has compiled is copied again."""
    compiled = (path.stat().st_size for path in lab.compiled.rglob("*") if path.is_file())
    wanted = {
        Path(tempfile.gettempdir()): TEMPORARY_BYTES,
        lab.home: FREE_BYTES + 2 * sum(compiled),
    }
    for folder, size in wanted.items():
        if shutil.disk_usage(folder).free < size or not has_room(folder):
            return f"less than {size / 2**20:.0f} MB free on the disk of {folder}"
    return ""


def has_room(folder: Path) -> bool:
    """Whether a megabyte can be written: what is left of a quota is not told otherwise."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**20))
    except OSError as error:
        return not is_full(error)
    return True


def wait(study: Study, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    study.activity.phase(WAITING)
    while time.monotonic() < deadline and not study.inbox.is_stopping:
        study.inbox.tick()
        time.sleep(0.1)


def waited_seconds(study: Study) -> float:
    return waited(study.store, study.tag)


def is_full(error: BaseException) -> bool:
    """Whether it says, in one of many ways, that there was no room on a disk."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if getattr(error, "sqlite_errorcode", None) in BEYOND_QUOTA:
        return True
    return any(words in str(error) for words in FULL)


@contextmanager
def patient(study: Study) -> Iterator[None]:
    """Somebody who holds the store's lock, and were it for hours, is waited for: no night ends
    of it, but by the person. Inside, every write may raise Stopped."""
    said = False

    def ask() -> None:
        nonlocal said
        study.stop.tick()
        if not said:
            said = True
            study.watcher.note("another program writes to the store and has locked it: waiting")

    with study.store.patient(ask):
        yield


@contextmanager
def full_disk_is_a_crash() -> Iterator[None]:
    """A disk that fills up ends the experiment, not the night."""
    try:
        yield
    except (OSError, sqlite3.OperationalError, LabError) as error:
        if not is_full(error):
            raise
        raise Crashed("the disk is full") from error


@contextmanager
def room_to_write(study: Study) -> Iterator[None]:
    """Make sure that the store's few kilobytes fit: room is held back for them all the time."""
    ballast = study.lab.home / "ballast"
    if not has_room(study.lab.home):
        ballast.unlink(missing_ok=True)
    yield
    with suppress(OSError):
        if not ballast.exists() and shutil.disk_usage(study.lab.home).free > FREE_BYTES:
            ballast.write_bytes(b"\0" * 2**20)
