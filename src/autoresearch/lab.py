"""The lab: a folder of a git repository that holds the three files.

Keep and revert are facts, not surgery. Every attempt becomes a commit that
refs/autoresearch/<tag>/<number> names; the branch autoresearch/<tag> names the incumbent. The
user's own branch, index and files are read, never written.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from autoresearch import git, plain_files
from autoresearch.errors import Failed, Invalid, LabError, StudyError
from autoresearch.program import Program
from autoresearch.source.syntax import complaint
from autoresearch.text import clean_line

HOME = ".autoresearch"  # our own folder inside the lab; it ignores itself
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is there: its folder, its repository, and where in that it lies."""

    root: Path
    repository: Path
    prefix: str  # "" or "path/of/the/lab/" inside the repository

    @classmethod
    def open(cls, folder: Path) -> "Lab":
        """The lab at `folder`. Raises LabError when it is none."""
        root = folder.resolve()
        if not (root / "program.md").is_file():
            raise LabError(
                f"{root} is no lab: it has no program.md. Go to your lab, or make one here with "
                "`autoresearch init`."
            )
        top = git.toplevel(root)
        if top is None:
            raise LabError(f"{root} is in no git repository: run `git init` there first")
        prefix = root.relative_to(top.resolve()).as_posix()
        return cls(root, top, "" if prefix == "." else f"{prefix}/")

    @property
    def python(self) -> str:
        """The lab's own environment where it has one, else the one that we run in."""
        own = self.root / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable

    @property
    def home(self) -> Path:
        """Our own folder in the lab, made on first use, invisible to git."""
        home = self.root / HOME
        if not (home / ".gitignore").exists():
            home.mkdir(exist_ok=True)
            (home / ".gitignore").write_text("*\n")
        return home

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One engine a lab. The system gives the lock back however the engine ends."""
        with (self.home / "lock").open("a+") as file:
            try:
                take(file)
            except OSError as error:
                file.seek(0)
                pid = file.read().strip() or "unknown"
                raise StudyError(
                    f"another autoresearch (process {pid}) is at work in {self.root}: "
                    "watch it with `autoresearch status`, or stop it first"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def engine(self) -> int | None:
        """The process that works in this lab now; 0 where it has not said its number yet."""
        path = self.root / HOME / "lock"
        if not path.exists():
            return None
        with path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                pid = file.read().strip()
                return int(pid) if pid.isdecimal() else 0
        return None

    # files and commits

    def place_for(self, path: Path, program: Program) -> Path:
        """Where a file that the person asks for may be written: a link's target.

        Raises StudyError where a folder, a pipe or a device stands, and for what is the lab's own.
        """
        place = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                kind = "folder" if stat.S_ISDIR(mode) else "pipe or a device"
                raise StudyError(f"{path} is a {kind}: name a file with --output")
        names = ("program.md", *program.editable, *program.locked)
        inner = place.is_relative_to(self.root / HOME) or ".git" in place.parts
        if inner or any(is_same(place, self.root / name) for name in names):
            raise StudyError(f"{path} belongs to the lab: name another place with --output")
        return place

    def disk(self, program: Program) -> dict[str, bytes]:
        """The contract's files as they lie on the disk now."""
        return {name: self._read(name) for name in (*program.editable, *program.locked)}

    def _read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise LabError(
                f"{self.root / name} cannot be read ({error.strerror}), and program.md names it: "
                "put it there, or name another file"
            ) from error

    def snapshot(
        self,
        contents: Mapping[str, bytes],
        message: str,
        onto: str | None,
        identity: Mapping[str, str] | None = None,
    ) -> str:
        """A commit on `onto` with these files of the lab replaced."""
        known = git.files(self.repository, onto, self.prefix) if onto else {}
        changed = {
            self.prefix + name: git.Entry(
                known[name].mode if name in known else "100644",
                git.write_blob(self.repository, content),
            )
            for name, content in contents.items()
        }
        return git.write_commit(self.repository, onto, changed, message, identity)

    def head(self) -> str | None:
        return git.resolve(self.repository, "HEAD")

    def contents(self, commit: str, names: tuple[str, ...]) -> dict[str, bytes]:
        """Some files of the lab as a commit has them; one that it has not is left out."""
        entries = git.files(self.repository, commit, self.prefix)
        blobs = git.read_blobs(self.repository, [entries[n].blob for n in names if n in entries])
        return {name: blobs[entries[name].blob] for name in names if name in entries}

    def contents_of(
        self, commits: Iterable[str], names: tuple[str, ...]
    ) -> dict[str, dict[str, bytes]]:
        """The same of many commits, in one git process; of one that git has lost, nothing."""
        wanted = tuple(dict.fromkeys(commits))
        places = [(commit, self.prefix + name) for commit in wanted for name in names]
        found = git.read_at(self.repository, places)
        return {
            commit: {
                name: found[commit, self.prefix + name]
                for name in names
                if (commit, self.prefix + name) in found
            }
            for commit in wanted
        }

    def lay_out(self, commit: str, folder: Path, names: tuple[str, ...] | None = None) -> Path:
        """Write the lab's files of a commit into a new folder, with no git in it; returns it."""
        entries = git.files(self.repository, commit, self.prefix)
        wanted = {n: e for n, e in entries.items() if names is None or n in names}
        blobs = git.read_blobs(self.repository, [each.blob for each in wanted.values()])
        folder.mkdir(parents=True)
        for name, entry in wanted.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry.mode == "120000":
                path.symlink_to(os.fsdecode(blobs[entry.blob]))
            else:
                path.write_bytes(blobs[entry.blob])
                path.chmod(0o755 if entry.mode == "100755" else 0o644)
        return folder

    def check_desk(self, desk: Path, program: Program, parent: str) -> dict[str, bytes]:
        """The desk's editable files, which were those of `parent` before.

        Raises Invalid when a locked file was changed or a file is no plain file or too large,
        Failed when nothing was changed, or a file is no Python any more.
        """
        before = self.contents(parent, (*program.editable, *program.locked))
        for name in program.locked:
            content = read_plain(desk, name, len(before.get(name, b"")))
            if content is None or content != before.get(name):
                raise Invalid(f"changed {name}, which is locked")
        after: dict[str, bytes] = {}
        left = limit = program.sized(before).limits.editable_bytes or 0
        for name in program.editable:
            content = read_plain(desk, name, left)
            if content is None:
                raise Invalid(f"the editable files have more than {limit:,} bytes together")
            after[name] = content
            left -= len(content)
        if all(after[name] == before.get(name) for name in program.editable):
            raise Failed("the proposal changes nothing")
        self._check_text(before, after)
        return after

    def _check_text(self, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        """Raises Failed for what cannot run, but for a file that was no Python before, either."""
        if not any(map(bytes.strip, after.values())):
            raise Failed(f"there is nothing left in {', '.join(after)}")
        for name, content in after.items():
            old = before.get(name, b"")
            why = "" if content == old else complaint(name, content, self.python)
            if why and not complaint(name, old, self.python):
                raise Failed(why)

    def diff(self, old: str, new: str, program: Program) -> str:
        """Unified diff of the editable files between two commits."""
        paths = [self.prefix + name for name in program.editable]
        return self._inside(git.diff(self.repository, old, new, paths))

    def diffs(
        self, pairs: Iterable[tuple[str, str]], program: Program
    ) -> dict[tuple[str, str], str]:
        """The same for many pairs of (old, new), at once; without those that git has lost."""
        pairs = tuple(pairs)
        known = git.known_commits(self.repository, chain.from_iterable(pairs)).keys()
        paths = [self.prefix + name for name in program.editable]
        found = git.diffs(self.repository, [pair for pair in pairs if known >= {*pair}], paths)
        return {pair: self._inside(text) for pair, text in found.items()}

    def _inside(self, diff: str) -> str:
        """With names as they are in the lab."""
        return diff.replace(f"a/{self.prefix}", "a/").replace(f"b/{self.prefix}", "b/")

    # refs and folders of a study

    def attempt_ref(self, tag: str, number: int) -> str:
        return f"refs/autoresearch/{tag}/{number}"

    def branch(self, tag: str) -> str:
        return f"refs/heads/autoresearch/{tag}"

    def tags(self) -> frozenset[str]:
        """Of all studies that left something in the repository, those of other labs in it, too."""
        names = git.refs(self.repository, "refs/autoresearch/", "refs/heads/autoresearch/")
        return frozenset(name.partition("autoresearch/")[2].partition("/")[0] for name in names)

    def check_branch(self, tag: str) -> None:
        """Raises LabError when a branch of the user's stands where the study's must be."""
        if git.resolve(self.repository, "refs/heads/autoresearch"):
            raise LabError(
                f"a branch is called `autoresearch`, so that git cannot make autoresearch/{tag}: "
                "rename yours, `git branch -m autoresearch NAME`"
            )

    def record_attempt(self, tag: str, number: int, commit: str) -> None:
        git.set_ref(self.repository, self.attempt_ref(tag, number), commit)

    def point_branch(self, tag: str, commit: str) -> bool:
        """Move the study's branch to the incumbent; False while the user is on that branch, in
        this work tree or another one of the repository."""
        branch = self.branch(tag)
        elsewhere = git.line(self.repository, "for-each-ref", "--format=%(worktreepath)", branch)
        if elsewhere or git.checked_out(self.repository) == branch:
            return False
        if git.resolve(self.repository, branch) != commit:
            git.set_ref(self.repository, branch, commit)
        return True

    def agree(self, tag: str, commits: Mapping[int, str]) -> frozenset[int]:
        """Make the study's refs exactly these attempts: the store is the truth.

        Returns the attempts whose commits git has lost, which no ref can name.
        """
        for prefix in (f"refs/autoresearch/{tag}", self.branch(tag)):
            git.clear_locks(self.repository, prefix)
            git.clear_broken(self.repository, prefix)
        git.clear_empty(self.repository)
        known = git.known_commits(self.repository, commits.values())
        lost = frozenset(number for number, commit in commits.items() if commit not in known)
        wanted = {self.attempt_ref(tag, n): commits[n] for n in commits.keys() - lost}
        there = git.refs(self.repository, f"refs/autoresearch/{tag}/")
        for name in there.keys() - wanted.keys():
            git.delete_ref(self.repository, name)
        for name, commit in wanted.items():
            if there.get(name) != commit:
                git.set_ref(self.repository, name, commit)
        return lost

    def study_folder(self, tag: str) -> Path:
        """Logs, curves and models of a study; the engine makes it."""
        return self.root / HOME / "studies" / tag

    def models(self, tag: str) -> Path:
        """A folder for each experiment whose weights are kept."""
        return self.study_folder(tag) / "models"

    def model_folder(self, tag: str, number: int, run: int) -> Path:
        """`artifact` and `claim.bin` of an experiment's n-th scored run."""
        return self.models(tag) / str(number) / str(run)

    @property
    def compiled(self) -> Path:
        """The compile cache that runs start with."""
        return self.home / "compiled"

    def keep_compiled(self, folder: Path) -> None:
        """Take over what a run had compiled when it was ready, if it had compiled anything."""
        if folder.is_dir():
            remove(self.compiled)
            folder.rename(self.compiled)

    @contextmanager
    def workplace(self, tag: str) -> Iterator[Path]:
        """An empty folder for one experiment, gone afterwards."""
        folder = self.home / "work" / tag
        remove(folder)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            remove(folder)


def log_path(study_folder: Path, number: int) -> Path:
    """What an experiment and its scoring printed."""
    return study_folder / "logs" / f"{number:04d}.txt"


def curve_path(study_folder: Path, number: int) -> Path:
    """The losses of its last run."""
    return study_folder / "curves" / f"{number:04d}.jsonl"


def talk_path(study_folder: Path, number: int) -> Path:
    """What the agent that proposed it said and did."""
    return study_folder / "talks" / f"{number:04d}.md"


def is_same(path: Path, other: Path) -> bool:
    """Whether two names lead to one file, there or not, also where `Train.py` is `train.py`."""
    try:
        return path.samefile(other)
    except OSError:
        return path == Path(os.path.realpath(other))


def take(file: IO[str]) -> None:
    """Lock a file for this process. Raises OSError when an engine holds it; somebody who only
    looks whether there is one holds it for an instant."""
    for _ in range(20):
        with suppress(OSError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def valid_tag(tag: str) -> str:
    """`tag`, when it can name a study, a folder and a git ref. Raises StudyError."""
    if not TAG.fullmatch(tag) or ".." in tag or tag.endswith((".", ".lock")):
        raise StudyError(f"{clean_line(tag)!r} cannot be a tag: use letters, digits, - _ and .")
    return tag


def read_plain(desk: Path, name: str, most_bytes: int) -> bytes | None:
    """A file of a desk that an agent may have written; None for a larger one.

    Raises Invalid when it is no plain file that can be read.
    """
    try:
        return plain_files.read(desk, name, most_bytes)
    except FileNotFoundError:
        raise Invalid(f"removed {name}") from None
    except (plain_files.NotPlain, NotADirectoryError):
        raise Invalid(f"made {name} something else than a plain file") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Invalid(f"made {name} a symbolic link") from None
        raise Invalid(f"left {name} so that it cannot be read: {error.strerror}") from error


def remove(folder: Path) -> None:
    """Remove a tree whatever an experiment did to its permissions, and however deep it is."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], check=False, stderr=subprocess.DEVNULL)
