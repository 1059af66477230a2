"""What an agent may do on its desk, when it asks: read there, and write the editable files.

    policy = Policy(tree, editable=("train.py",))
    policy.refusal(call)         why a tool call is not allowed; "" when it is
    policy.read(path), policy.write(path, text)

What an agent does without asking is not covered: the box holds against that, and the look at what
changed afterwards.
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoresearch import plain_files

READERS = frozenset(  # programs that only print
    ("cat", "head", "tail", "ls", "wc", "grep", "egrep", "fgrep", "rg", "nl", "pwd", "diff", "cmp")
)
SHELLS = frozenset(  # the system's: `./sh` is whatever somebody has put there
    folder + name for folder in ("", "/bin/", "/usr/bin/") for name in ("sh", "bash", "zsh", "dash")
)
WRITING_OPTIONS = ("--pre", "--output", "--hostname-bin")  # of readers: rg runs --pre, diff writes
FETCHERS = frozenset(  # programs that get things from elsewhere
    ("curl", "wget", "pip", "pip3", "uv", "conda", "npm", "npx", "ssh", "scp", "rsync", "apt-get")
)
STEERING = re.compile(r"[`$<>(){}\\\n]|(?<!&)&(?!&)")  # what makes a line of shell more than words
GLOBBING = re.compile(r"[*?[]")  # outside quotes it is the desk's files that make words of these
QUOTED = re.compile(r"'[^']*'|\"[^\"\\$`]*\"")  # words that a shell leaves as they are
BETWEEN = re.compile(r"&&|\|\||\||;")
SYSTEM = tuple(  # with nothing of a person's in it
    map(Path, ("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/opt", "/nix", "/dev/null"))
)
LONGEST_COMMAND = 4000  # characters; to take longer ones apart would take too long
TOO_LONG = "a command that is too long to be looked at"
LONGEST_FILE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One use of a tool, as far as the agent has said what it is."""

    id: str
    title: str = ""
    kind: str = ""  # read, edit, delete, move, search, execute, think, fetch, other, ...
    status: str = ""
    paths: tuple[str, ...] = ()  # all that it names
    command: str = ""  # the line that a shell would run
    has_diff: bool = False


class Refused(Exception):
    """An agent asked for what it may not do. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one desk."""

    tree: Path
    editable: tuple[str, ...]
    readable: tuple[Path, ...] = ()  # outside the desk: what was granted, and the agent's own
    boxed: bool = False  # the box holds: any command may be run
    train: tuple[str, ...] = ()  # but this one, which is the engine's

    def refusal(self, call: ToolCall) -> str:
        """Why a tool call is not allowed, or "". A label counts only where nothing contradicts."""
        if call.command:
            return self._refused_command(call.command)
        if call.has_diff or call.kind == "edit":
            return self._refused_edit(call)
        if call.kind == "execute" and self.boxed:
            return ""
        if call.kind == "search" or (call.kind == "read" and call.paths):
            outside = self.outside(call)
            return f"{outside} is outside the desk" if outside else ""
        return f"{call.kind or 'other'} is not among what a researcher needs here"

    def outside(self, call: ToolCall) -> str:
        """The first path of a call that lies neither on the desk nor in what was granted.

        Of a command that is too long to be looked at: TOO_LONG.
        """
        if len(call.command) > LONGEST_COMMAND:
            return TOO_LONG
        for path in (*call.paths, *paths_of(call.command)):
            if self.name_of(path) is None and not self._is_granted(path):
                return path
        return ""

    def name_of(self, path: str) -> str | None:
        """A path's name relative to the desk; None for one that leads out of it."""
        if path.startswith("~"):
            return None
        for tree in (self.tree, self.tree.resolve()):
            whole = os.path.normpath(tree / path)
            if whole == str(tree):
                return "."
            if whole.startswith(f"{tree}{os.sep}"):
                return whole[len(str(tree)) + 1 :]
        return None

    def read(self, path: str) -> str:
        """The text of a file on the desk. Raises Refused."""
        name = self.name_of(path)
        if name is None:
            raise Refused(f"{path} is outside the desk")
        with self._opened(name, os.O_RDONLY) as file:
            data = os.read(file, LONGEST_FILE_BYTES + 1)
        if len(data) > LONGEST_FILE_BYTES:
            raise Refused(f"{name} is larger than {LONGEST_FILE_BYTES >> 20} MB")
        return data.decode("utf-8", "replace")

    def write(self, path: str, text: str) -> None:
        """Replace the text of an editable file. Raises Refused."""
        name = self.name_of(path)
        if name not in self.editable:
            raise Refused(self._only_editable(path))
        data = text.encode("utf-8", "replace")
        if len(data) > LONGEST_FILE_BYTES:
            raise Refused(f"{name} would be larger than {LONGEST_FILE_BYTES >> 20} MB")
        with self._opened(name, os.O_WRONLY | os.O_CREAT) as file:
            os.ftruncate(file, 0)
            while data:
                data = data[os.write(file, data) :]

    def _refused_edit(self, call: ToolCall) -> str:
        if all(self.name_of(path) == "." for path in call.paths):
            return "it does not say which file it edits"
        allowed = (*self.editable, ".")  # the desk itself is where it works, not what it edits
        wrong = [path for path in call.paths if self.name_of(path) not in allowed]
        return self._only_editable(wrong[0]) if wrong else ""

    def _refused_command(self, line: str) -> str:
        if self.boxed:
            return self._refused_in_box(line)
        if len(line) > LONGEST_COMMAND:
            return f"{TOO_LONG} is not allowed: {len(line):,} characters"
        if not is_reading(line):
            return f"commands that do more than read are not allowed: {line}"
        paths = [each for each in paths_of(line) if self.name_of(each) is None]
        return f"{paths[0]} is outside the desk" if paths else ""

    def _refused_in_box(self, line: str) -> str:
        """Why not even there: what is trained or fetched is so much time and text lost."""
        for words in commands_of(line):
            name, train = Path(words[0]).name, self.train
            if fetcher := next((each for each in (name, *words[1:3]) if each in FETCHERS), ""):
                return f"{fetcher} is not allowed: nothing is to be fetched or installed"
            if train and name.startswith(train[0]) and tuple(words[1 : len(train)]) == train[1:]:
                return f"training is the engine's, after you: {line}"
        return ""

    def _only_editable(self, path: str) -> str:
        return f"{path} may not be edited, only {', '.join(self.editable)}"

    def _is_granted(self, path: str) -> bool:
        whole = Path(os.path.normpath(path))
        return any(map(whole.is_relative_to, (*SYSTEM, *self.readable)))

    @contextmanager
    def _opened(self, name: str, flags: int) -> Iterator[int]:
        try:
            with plain_files.opened(self.tree, name, flags) as file:
                yield file
        except OSError as error:
            raise Refused(f"{name}: {error.strerror}") from error


def is_reading(line: str) -> bool:
    """Whether a line of shell does nothing but print, as far as its words alone show."""
    if len(line) > LONGEST_COMMAND:
        return False
    try:
        words = shlex.split(line)
    except ValueError:
        return False
    bare = QUOTED.sub("", line)
    if STEERING.search(bare) or GLOBBING.search(bare) or "'" in bare or '"' in bare:
        return False
    if len(words) == 3 and words[0] in SHELLS and words[1] in ("-c", "-lc"):
        return is_reading(words[2])
    return not STEERING.search(line) and all(_prints(part) for part in BETWEEN.split(line))


def commands_of(line: str) -> Iterator[list[str]]:
    """The words of each program that a line of shell calls, as far as they show; no empty ones."""
    try:
        words = shlex.split(line)
    except ValueError:
        return
    if len(words) == 3 and words[0] in SHELLS and words[1] in ("-c", "-lc"):
        yield from commands_of(words[2])
        return
    for part in re.split(rf"{BETWEEN.pattern}|\n", line):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        while words and re.match(r"\w+=|(env|nice|nohup|time)$", words[0]):
            words = words[1:]
        if words:
            yield words


def _prints(part: str) -> bool:
    try:
        words = shlex.split(part)
    except ValueError:  # a quoted semicolon, perhaps: not worth more thought
        return False
    if not words:
        return False
    if words[0] == "sed":
        return _prints_lines(words)
    return words[0] in READERS and not any(w.startswith(WRITING_OPTIONS) for w in words[1:])


def _prints_lines(words: list[str]) -> bool:
    """`sed -n 10,20p file`: another script, or one more option, can write and execute."""
    if words[1:2] != ["-n"] or any(word.startswith("-") for word in words[3:]):
        return False
    return bool(re.fullmatch(r"[\d,$]+p", "".join(words[2:3])))


def paths_of(line: str) -> tuple[str, ...]:
    """The words of a command that could be paths out of the desk: `/etc/x`, `~/x`, `../x`.

    None of a line that is too long to be looked at.
    """
    if len(line) > LONGEST_COMMAND:
        return ()
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    if len(words) == 3 and Path(words[0]).name in SHELLS:
        return paths_of(words[2])
    found = [part for word in words for part in _parts(word)]
    return tuple(each for each in found if each.startswith(("/", "~")) or ".." in each.split("/"))


def _parts(word: str) -> tuple[str, ...]:
    """A word, and what may be a path in `--file=/etc/x`, `-f/etc/x`."""
    if not word.startswith("-"):
        return (word, word.partition("=")[2])
    return (word.partition("=")[2], word[word.find("/") :] if "/" in word else "")
