"""Verbs over git. Plumbing only: no checkout, no hook, no user's index or files are ever touched.

Every call runs with the environment scrubbed of GIT_*, so that a caller inside a hook, or with a
GIT_DIR of its own, cannot turn us to another repository.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import LabError

QUIET = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "core.quotePath=false", "-c", "core.splitIndex=false"),
    *("-c", "core.logAllRefUpdates=false", "-c", "color.ui=false"),
    *("-c", "commit.gpgSign=false"),  # nobody is there to type a passphrase
    *("-c", "core.fsync=committed,reference"),  # a commit outlives a power cut, as the store does
)
IDENTITY = {
    "GIT_AUTHOR_NAME": "autoresearch",
    "GIT_AUTHOR_EMAIL": "autoresearch@localhost",
    "GIT_COMMITTER_NAME": "autoresearch",
    "GIT_COMMITTER_EMAIL": "autoresearch@localhost",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a commit."""

    mode: str  # "100644", "100755", "120000"
    blob: str


def run(root: Path, *args: str, data: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Standard output of a git command in `root`. Raises LabError with git's own first line."""
    scrubbed = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    settings = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **IDENTITY}
    command = ["git", *QUIET, *args]
    try:
        for _ in range(3):
            done = subprocess.run(
                command, cwd=root, input=data, env=scrubbed | settings | dict(env or {}),
                capture_output=True, check=False,
                start_new_session=True,  # a Ctrl-C on the terminal is the engine's to handle
            )  # fmt: skip
            if done.returncode != -signal.SIGINT:  # it came in the instant before the session did
                break
    except FileNotFoundError as error:
        raise LabError("git is not installed, or not on the PATH: install it first") from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise LabError(f"git {args[0]} failed in {root}: {words[0]}")
    return done.stdout


def line(root: Path, *args: str) -> str:
    return run(root, *args).decode("utf-8", "surrogateescape").strip()


def toplevel(path: Path) -> Path | None:
    """The repository's work tree that holds `path`, or None."""
    try:
        return Path(line(path, "rev-parse", "--show-toplevel"))
    except LabError as error:
        if "not a git repository" in str(error):
            return None
        raise


def resolve(root: Path, name: str) -> str | None:
    """The commit that a name stands for, or None."""
    try:
        return line(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
    except LabError:
        return None


def files(root: Path, commit: str, folder: str = "") -> dict[str, Entry]:
    """Every file of a commit below `folder` ("" or "a/b/"), by its path from there."""
    listed = run(root, "ls-tree", "-r", "-z", "--full-tree", commit, *([folder] if folder else []))
    found = {}
    for row in listed.decode("utf-8", "surrogateescape").split("\0"):
        if row:
            facts, _, path = row.partition("\t")
            mode, kind, blob = facts.split()
            if kind == "blob":
                found[path.removeprefix(folder)] = Entry(mode, blob)
    return found


def read_blobs(root: Path, blobs: Iterable[str]) -> dict[str, bytes]:
    """Contents by blob id, in one git process."""
    wanted = list(dict.fromkeys(blobs))
    stream = run(root, "cat-file", "--batch", data="".join(f"{b}\n" for b in wanted).encode())
    contents, at = {}, 0
    for blob in wanted:
        end = stream.index(b"\n", at)
        size = int(stream[at:end].split()[2])
        contents[blob] = stream[end + 1 : end + 1 + size]
        at = end + size + 2
    return contents


def write_blob(root: Path, content: bytes) -> str:
    return run(root, "hash-object", "-w", "--stdin", data=content).decode().strip()


def write_commit(root: Path, parent: str | None, changed: Mapping[str, Entry], message: str) -> str:
    """A commit on `parent` with some files (paths from the top) replaced; no ref is moved."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        run(root, "read-tree", *([parent] if parent else ["--empty"]), env=env)
        rows = "".join(f"{each.mode} {each.blob}\t{path}\0" for path, each in changed.items())
        data = rows.encode("utf-8", "surrogateescape")
        run(root, "update-index", "-z", "--add", "--index-info", data=data, env=env)
        tree = run(root, "write-tree", env=env).decode().strip()
    onto = ["-p", parent] if parent else []
    body = message.encode("utf-8", "replace")
    return run(root, "commit-tree", *onto, tree, data=body).decode().strip()


def set_ref(root: Path, name: str, commit: str) -> None:
    run(root, "update-ref", "--no-deref", name, commit)


def delete_ref(root: Path, name: str) -> None:
    run(root, "update-ref", "--no-deref", "-d", name)


def clear_locks(root: Path, prefix: str, seconds: float = 10.0) -> None:
    """Remove locks of refs below `prefix` that a power cut left: git holds one for an instant."""
    folder = Path(root, line(root, "rev-parse", "--git-path", prefix))
    for lock in (*folder.rglob("*.lock"), folder.with_name(f"{folder.name}.lock")):
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > seconds:
                lock.unlink()


def refs(root: Path, prefix: str) -> dict[str, str]:
    """{name: commit} of all refs below `prefix`."""
    listed = line(root, "for-each-ref", "--format=%(refname) %(objectname)", prefix)
    return dict(row.split(" ", 1) for row in listed.splitlines())


def diff(root: Path, old: str, new: str, paths: Iterable[str]) -> str:
    """Unified diff of some files between two commits."""
    options = ("-p", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
    text = run(root, "diff-tree", *options, old, new, "--", *paths)
    return text.decode("utf-8", "replace")


def checked_out(root: Path) -> str:
    """The branch that HEAD is on, as a full ref name, or "" when detached."""
    try:
        return line(root, "symbolic-ref", "--quiet", "HEAD")
    except LabError:
        return ""


def merge(root: Path, ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
    """Three-way merge of one file's contents; None where both sides changed the same line.

    git also refuses changes of neighbouring lines, and constants stand on neighbouring lines: a
    separator behind every line makes neighbours of none.
    """
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        paths = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for path, content in zip(paths, (ours, base, theirs), strict=True):
            path.write_bytes(content.replace(b"\n", SEPARATED))
        try:
            return run(root, "merge-file", "-p", "-q", *map(str, paths)).replace(SEPARATED, b"\n")
        except LabError:
            return None


SEPARATED = b"\n\x01\n"
