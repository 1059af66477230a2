"""Verbs over git. Plumbing only: no checkout, no hook, no user's index or files are ever touched.

Every call runs with the environment scrubbed of GIT_*, so that a caller inside a hook, or with a
GIT_DIR of its own, cannot turn us to another repository.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autoresearch.errors import LabError

QUIET = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "core.quotePath=false", "-c", "core.splitIndex=false"),
    *("-c", "core.logAllRefUpdates=false", "-c", "color.ui=false"),
    *("-c", "i18n.commitEncoding=utf-8"),
    *("-c", "commit.gpgSign=false"),  # nobody is there to type a passphrase
)
IDENTITY = {
    "GIT_AUTHOR_NAME": "autoresearch",
    "GIT_AUTHOR_EMAIL": "autoresearch@localhost",
    "GIT_COMMITTER_NAME": "autoresearch",
    "GIT_COMMITTER_EMAIL": "autoresearch@localhost",
}
LOCK_SECONDS = 10.0  # longer than git ever holds the lock of a ref
DIFF = ("-p", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
_COMMIT_LINE = re.compile(r"^[0-9a-f]{40,64}\n+", re.MULTILINE)  # no line of a diff is such
_OBJECT = re.compile(r"[0-9a-f]{38,62}")  # the name of one's file
_REF = re.compile(rb"ref: |[0-9a-f]{40,64}\s*$")  # a file of one


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a commit."""

    mode: str  # "100644", "100755", "120000"
    blob: str


def run(
    root: Path,
    *args: str,
    data: bytes = b"",
    env: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
) -> bytes:
    """Standard output of a git command in `root`; `options` come before it.

    Raises LabError with git's own words of what failed.
    """
    scrubbed = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    settings = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **IDENTITY}
    try:
        command = ["git", *QUIET, *synced(), *options, *args]
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
        raise LabError(f"git {args[0]} failed in {root}: {reason(done.stderr)}")
    return done.stdout


def reason(said: bytes) -> str:
    """Why git failed, of all that it printed: warnings may come first, and say something else."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    errors = [each for each in lines if each.startswith(("error:", "fatal:"))]
    words = "; ".join(errors[:2]) or next(iter(lines), "no message")
    mend = next((each.strip() for each in lines if each.startswith("\tgit config")), "")
    return f"{words}: {mend}" if mend else words  # a folder of somebody else's


@cache
def synced() -> tuple[str, str]:
    """The setting by which a commit outlives a power cut, as the store does.

    git before 2.36 has another one, of objects alone; later ones warn of that.
    """
    said = subprocess.run(
        ["git", "version"], capture_output=True, text=True, check=False, start_new_session=True
    ).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    is_old = found is not None and (int(found[1]), int(found[2])) < (2, 36)
    return "-c", "core.fsyncObjectFiles=true" if is_old else "core.fsync=committed,reference"


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


def known_commits(root: Path, names: Iterable[str]) -> dict[str, str]:
    """{name: commit} of those (whole or shortened) hashes that are commits here; one process."""
    wanted = list(dict.fromkeys(names))
    data = "".join(f"{name}\n" for name in wanted).encode()
    listed = run(root, "cat-file", "--batch-check=%(objecttype) %(objectname)", data=data).decode()
    rows = zip(wanted, listed.splitlines(), strict=False)  # an ambiguous name has lines of its own
    found = {name: row.split(" ")[1] for name, row in rows if row.startswith("commit ")}
    return {name: commit for name, commit in found.items() if commit.startswith(name)}


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


def read_at(root: Path, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Contents by (commit, path from the top); what is not there is left out. One git process."""
    wanted = list(dict.fromkeys(places))
    names = "".join(f"{commit}:{path}\n" for commit, path in wanted)
    stream = run(root, "cat-file", "--batch", data=names.encode("utf-8", "surrogateescape"))
    contents, at = {}, 0
    for place in wanted:
        end = stream.index(b"\n", at)
        facts, at = stream[at:end].rsplit(b" ", 2), end + 1
        if facts[-1] != b"missing":
            size = int(facts[-1])
            contents[place] = stream[at : at + size]
            at += size + 1
    return contents


def write_blob(root: Path, content: bytes) -> str:
    return run(root, "hash-object", "-w", "--stdin", data=content).decode().strip()


def write_commit(
    root: Path,
    parent: str | None,
    changed: Mapping[str, Entry],
    message: str,
    identity: Mapping[str, str] | None = None,
) -> str:
    """A commit on `parent` with some files (paths from the top) replaced; no ref is moved.

    `identity` is whose it is, as `person` gives it; without one it is ours.
    """
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        run(root, "read-tree", *([parent] if parent else ["--empty"]), env=env)
        rows = "".join(f"{each.mode} {each.blob}\t{path}\0" for path, each in changed.items())
        data = rows.encode("utf-8", "surrogateescape")
        run(root, "update-index", "-z", "--add", "--index-info", data=data, env=env)
        tree = run(root, "write-tree", env=env).decode().strip()
    onto = ["-p", parent] if parent else []
    body = message.encode("utf-8", "replace")
    return run(root, "commit-tree", *onto, tree, data=body, env=identity).decode().strip()


def person(root: Path) -> dict[str, str]:
    """Whose the user's own commits are. Raises LabError where git does not know."""
    found = {}
    for role in ("author", "committer"):
        for what in ("name", "email"):
            name = f"GIT_{role.upper()}_{what.upper()}"
            given = os.environ.get(name, "").strip()
            value = given or setting(root, f"{role}.{what}") or setting(root, f"user.{what}")
            if not value and what == "email":
                value = os.environ.get("EMAIL", "").strip()
            if not value:
                example = '"Your Name"' if what == "name" else "you@example.com"
                raise LabError(
                    f"git does not know whose commits these are to be: git config user.{what} "
                    f"{example}, then again"
                )
            found[name] = value
    return found


def setting(root: Path, name: str) -> str:
    """A value of git's configuration, or ""."""
    return line(root, "config", "--default", "", "--get", name)


def can_be_branch(root: Path, name: str) -> bool:
    """Whether git takes it as a branch's name."""
    try:
        run(root, "check-ref-format", f"refs/heads/{name}")
    except LabError:
        return False
    return not name.startswith("-") and name != "HEAD"


def new_branch(root: Path, name: str, commit: str) -> None:
    """Make a branch that must not be there yet. Raises LabError when it is, or cannot be made."""
    run(root, "update-ref", "--no-deref", f"refs/heads/{name}", commit, "0" * len(commit))


def set_ref(root: Path, name: str, commit: str) -> None:
    run(root, "update-ref", "--no-deref", name, commit)


def delete_ref(root: Path, name: str) -> None:
    run(root, "update-ref", "--no-deref", "-d", name)


def clear_broken(root: Path, prefix: str) -> None:
    """Remove refs below `prefix` that a power cut left empty or in halves: git can neither read
    nor move such."""
    folder = Path(root, line(root, "rev-parse", "--git-path", prefix))
    for ref in (folder, *folder.rglob("*")):
        if ref.is_file() and not ref.name.endswith(".lock") and not _REF.match(ref.read_bytes()):
            ref.unlink()


def clear_empty(root: Path) -> None:
    """Remove objects that a power cut left empty: git neither reads such nor writes them again."""
    folder = Path(root, line(root, "rev-parse", "--git-path", "objects"))
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        if _OBJECT.fullmatch(path.name) and not path.stat().st_size:
            path.unlink()


def clear_locks(root: Path, prefix: str) -> None:
    """Remove locks of refs below `prefix` that a power cut left: git holds one for an instant.

    Young ones are given as long as that, and the clock may have been set back since.
    """
    folder = Path(root, line(root, "rev-parse", "--git-path", prefix))
    for lock in (*folder.rglob("*.lock"), folder.with_name(f"{folder.name}.lock")):
        until = time.monotonic() + LOCK_SECONDS
        with suppress(FileNotFoundError):
            while (
                abs(time.time() - lock.stat().st_mtime) < LOCK_SECONDS and time.monotonic() <= until
            ):
                time.sleep(0.05)
            lock.unlink()


def refs(root: Path, *prefixes: str) -> dict[str, str]:
    """{name: commit} of all refs below these."""
    listed = line(root, "for-each-ref", "--format=%(refname) %(objectname)", *prefixes)
    return dict(row.split(" ", 1) for row in listed.splitlines())


def diff(root: Path, old: str, new: str, paths: Iterable[str]) -> str:
    """Unified diff of some files between two commits."""
    return run(root, "diff-tree", *DIFF, old, new, "--", *paths).decode("utf-8", "replace")


def diffs(
    root: Path, pairs: Iterable[tuple[str, str]], paths: Iterable[str]
) -> dict[tuple[str, str], str]:
    """The same for pairs of (old, new), all of them whole commit ids, in one git process."""
    wanted = list(dict.fromkeys(pairs))
    names = "".join(f"{new} {old}\n" for old, new in wanted)  # as if old were new's parent
    stream = run(root, "diff-tree", "--stdin", "--always", *DIFF, "--", *paths, data=names.encode())
    _, *found = _COMMIT_LINE.split(stream.decode("utf-8", "replace"))
    return dict(zip(wanted, found, strict=True))


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
