"""A command -> the same command, confined.

    box = Box(python=python, readable=(tree,), writable=(out,))
    argv = confine([python, "train.py"], box, best_tier())

Paths are the same inside as outside. Inherited descriptors stay open. `confine([], ...)` is a
prefix: what is put behind it is confined, each time in a fresh box. In a box there is no network,
/tmp, /dev/shm and the home are private and empty, only `writable` can be written, and of the rest
only the system's libraries, the interpreter, `readable` and the assigned GPUs are there.

Tier 3, bubblewrap and seccomp: all of that. The host's processes are neither seen nor signalled,
the sources of the standard library are withheld, and everything dies with the box.
Tier 2, Landlock and seccomp (macOS: seatbelt, untested): weaker, see below.
Tier 1, processes only: nothing of that. Its scores are *unprotected*.

Not covered, in any tier: bugs of the kernel or of a GPU's driver; time and load as signals between
two boxes; memory in /tmp and /dev/shm (capped by size, not counted as memory); what packages and
compiled modules contain, unless it is named in `hidden`; a second copy or a hard link of something
hidden that lies in a shown folder; a listening unix socket that lies in a shown folder (tier 3).

Tier 2 does not cover, beside that: the host's processes are listed (names and command lines,
never memory, environment or files); before Linux 6.12 a process of the same user can be
signalled, before 6.7 the network is held by seccomp alone; names, sizes and times of files can be
asked for anywhere; the standard library's sources are readable unless hidden; no cap is on the
size of the private folder, which is what HOME and TMPDIR say, not /tmp itself. Some things do not
work in it: modes, owners and times cannot be changed (the calls do nothing, and say that they
did), and there are no locks or memory shared by multiprocessing and no unix sockets except pairs.
On macOS there is no filter of system calls.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

from autoresearch.box.host import View, gpu_devices, outermost, real_path
from autoresearch.box.interpreter import Interpreter, interpreter, weights
from autoresearch.box.seccomp import filter_for
from autoresearch.box.stdlib import KEPT, cache_folder, sourceless
from autoresearch.errors import UserError
from autoresearch.text import clean_line

CONFINE = Path(__file__).with_name("confine.py")
TMP, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108
HARMLESS_DEVICES = ("null", "zero", "full", "random", "urandom")
MAC_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/System", "/Library/Frameworks", "/Library/Developer"),
    *("/private/var/db/timezone", "/private/etc/localtime", "/dev"),
)


class Tier(IntEnum):
    """How strong a box is. Tier 4, another user or machine, is the person's to arrange."""

    PROCESSES = 1
    LANDLOCK = 2
    BUBBLEWRAP = 3

    @property
    def words(self) -> str:
        mac = platform.system() == "Darwin"
        middle = "seatbelt" if mac else "Landlock and seccomp"
        return {1: "unprotected", 2: middle, 3: "bubblewrap and seccomp"}[int(self)]


@dataclass(frozen=True, slots=True)
class Box:
    """What a command may see and use. `python` is the lab's interpreter."""

    python: str = sys.executable
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()  # files and folders that are masked wherever they would be seen
    gpus: tuple[int, ...] | None = None  # None: every one of this machine; (): none
    processes: int = 512  # the kernel counts a user's threads, and not root's: see process.Caps
    open_files: int = 4096
    tmp_bytes: int = 2**30  # of /tmp, and as much of /dev/shm


def confine(argv: Sequence[str], box: Box, tier: Tier) -> list[str]:
    """The command in a box; unchanged in tier 1. UserError if the tier cannot be had here."""
    if tier is Tier.PROCESSES:
        return list(argv)
    for path in (*box.readable, *box.writable):
        if not path.exists():
            raise UserError(f"a box cannot show {path}: it is not there")
    if tier is Tier.BUBBLEWRAP:
        return [*bubblewrap(box), *argv]
    return [*(seatbelt(box) if platform.system() == "Darwin" else landlock(box)), *argv]


# Tier 3


def bubblewrap(box: Box) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise UserError("bubblewrap is not installed: install your system's package `bubblewrap`")
    python = interpreter(box.python)
    view = View.of(python, box.readable, box.writable, [CONFINE])
    gpus = gpu_devices(box.gpus)
    size = ["--size", str(box.tmp_bytes)] if takes_sizes(program) else []
    binds = shown_mounts(view, python, box)
    masks = {each: blank(each) for each in hidden_paths(box.hidden) if is_seen(each, binds)}
    return [
        *(program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--hostname", "box", "--setenv", "HOME", TMP, "--proc", "/proc", "--dev", "/dev"),
        *(*size, "--tmpfs", TMP, *size, "--tmpfs", SHARED_MEMORY),
        *(("--ro-bind", "/sys", "/sys") if gpus else ()),
        *bind_words(binds, map(Path.resolve, box.writable)),
        *[word for link, to in view.links.items() for word in ("--symlink", to, str(link))],
        *[word for each in gpus for word in ("--dev-bind", str(each), str(each))],
        *bind_words(masks),
        # Of /proc too: for root, settings of the kernel lie in it.
        *("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/", "--"),
        *launcher(str(python.executable), box, alone=False),
        "--",
    ]


@cache
def takes_sizes(program: str) -> bool:
    """Bubblewrap before 0.7 cannot limit a private /tmp."""
    words = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return "--size" in words.stdout


def shown_mounts(view: View, python: Interpreter, box: Box) -> dict[Path, Path]:
    """Path inside -> path outside."""
    lean = sourceless(python.executable, python.stdlib, python.version)
    parts = [python.stdlib / name for name in KEPT]
    used = [each for each in parts if each in python.packages or each.name == "lib-dynload"]
    return {
        **{each: each for each in view.shown},
        python.stdlib: lean,
        **{each: each for each in used if each.is_dir()},
        **{each: blank(each) for each in view.masked},
        **{each: each for path in (*box.readable, *box.writable) if (each := path.resolve())},
    }


def blank(path: Path) -> Path:
    """What is mounted over a hidden path of this kind; the device cannot be opened there."""
    if not path.is_dir():
        return Path("/dev/null")
    empty = cache_folder() / "empty"
    empty.mkdir(exist_ok=True)
    return empty


def bind_words(binds: dict[Path, Path], writable: Iterable[Path] = ()) -> list[str]:
    """Outer folders first, so that nothing covers what lies in it."""
    open_ones, words = set(writable), []
    for path in sorted(binds, key=lambda each: len(each.parts)):
        words += ["--bind" if path in open_ones else "--ro-bind", str(binds[path]), str(path)]
    return words


def hidden_paths(hidden: Iterable[Path]) -> tuple[Path, ...]:
    """Real paths, outer ones only; of a Python module its compiled forms, too."""
    found = {real_path(each, {}) for each in hidden}
    modules = {each for each in found if each.suffix == ".py"}
    found |= {each.with_suffix(".pyc") for each in modules}
    for cached in {each.parent / "__pycache__" for each in modules}:
        for path in cached.iterdir() if cached.is_dir() else ():
            if cached.parent / f"{path.name.partition('.')[0]}.py" in modules:
                found.add(path)
    return outermost(found)


def is_seen(path: Path, binds: dict[Path, Path]) -> bool:
    """True if there would be something at this path inside."""
    mount = next((each for each in (path, *path.parents) if each in binds), None)
    return mount is not None and (binds[mount] / path.relative_to(mount)).exists()


# Tier 2


def landlock(box: Box) -> list[str]:
    python = interpreter(box.python)
    view = View.of(python, box.readable, box.writable, [CONFINE])
    gpus = gpu_devices(box.gpus)
    devices = [*(Path("/dev") / name for name in HARMLESS_DEVICES), *gpus]
    words = {
        "show": (*view.shown, Path("/proc"), *((Path("/sys"),) if gpus else ())),
        "write": [each.resolve() for each in box.writable],
        "device": devices,
        "hide": by_folder((*view.masked, *hidden_paths(box.hidden))),
        "private": [Path(tempfile.gettempdir()).resolve()],
    }
    listed = [f"{key}={path}" for key, paths in words.items() for path in paths]
    return [*launcher(sys.executable, box, alone=True), *listed, "--"]


def by_folder(paths: Iterable[Path]) -> list[str]:
    """Those of a folder in a word, FOLDER//NAME//NAME: one for each would be more than fits into
    the environment of the score command."""
    names: dict[Path, list[str]] = {}
    for path in paths:
        names.setdefault(path.parent, []).append(path.name)
    return ["//".join((str(folder).rstrip("/"), *found)) for folder, found in names.items()]


def launcher(python: str, box: Box, *, alone: bool) -> list[str]:
    """The program that gives up what is left to give up, then becomes the command."""
    code = filter_for(platform.machine(), alone=alone)
    if not code:
        raise UserError(f"no filter of system calls is known for {platform.machine()}: use tier 1")
    limits = [f"files={box.open_files}", f"threads={16 * box.processes}"]
    return [python, "-I", "-S", str(CONFINE), *limits, f"seccomp={code.hex()}"]


def seatbelt(box: Box) -> list[str]:
    """macOS, written to the manual of sandbox-exec and never run: the last rule that fits wins."""
    python = interpreter(box.python)
    shown = [*map(Path, MAC_SYSTEM), *python.shown(), *python.packages, python.executable]
    shown += [*box.readable, *box.writable]
    rules = [
        *("(version 1)", "(deny default)", "(allow process-fork)", "(allow process-exec)"),
        *("(allow signal (target same-sandbox))", "(allow sysctl-read)", "(deny network*)"),
        *("(allow file-read-metadata)", '(allow file-read* (literal "/"))'),
        '(allow file-read* file-write* (subpath (param "OWN")))',
        '(allow file-write* (literal "/dev/null"))',
        *(f"(allow file-read* {paths_of(each)})" for each in shown),
        *(f"(allow file-write* {paths_of(each)})" for each in box.writable),
        *(("(allow iokit-open)", "(allow mach-lookup)") if box.gpus != () else ()),
        *(f"(deny file* {paths_of(each)})" for each in weights(python.packages)),
        *(f"(deny file* {paths_of(each)})" for each in hidden_paths(box.hidden)),
    ]
    limits = [f"files={box.open_files}", f"private={Path(tempfile.gettempdir()).resolve()}"]
    return [sys.executable, "-I", "-S", str(CONFINE), *limits, "seatbelt=" + "".join(rules), "--"]


def paths_of(path: Path) -> str:
    return f"(subpath {json.dumps(str(path), ensure_ascii=False)})" + (
        f" (subpath {json.dumps(str(path.resolve()), ensure_ascii=False)})"
        if path.resolve() != path
        else ""
    )


# Which tier this machine has


PROBE = """\
import socket, sys
for attempt in (lambda: open(sys.argv[1]), lambda: socket.create_connection(("127.0.0.1", 9), 1)):
    try:
        attempt()
    except ConnectionRefusedError:
        sys.exit("the network can be reached")
    except OSError:
        continue
    sys.exit("a file outside can be read")
"""


def best_tier(highest: Tier | None = None) -> Tier:
    """The best tier that works here; AUTORESEARCH_TIER=1|2|3 in the environment lowers it."""
    limit = min(highest or Tier.BUBBLEWRAP, lowered())
    return next(tier for tier in sorted(Tier, reverse=True) if tier <= limit and not obstacle(tier))


def lowered() -> Tier:
    named = os.environ.get("AUTORESEARCH_TIER", "3")
    if named not in {"1", "2", "3"}:
        raise UserError(f"AUTORESEARCH_TIER is {named!r}: it can be 1, 2 or 3")
    return Tier(int(named))


@cache
def obstacle(tier: Tier) -> str:
    """Why a tier does not work on this machine, in one line; "" if it does. Really tries it."""
    if tier is Tier.PROCESSES:
        return ""
    with tempfile.NamedTemporaryFile() as secret:
        try:
            argv = confine([sys.executable, "-I", "-c", PROBE, secret.name], Box(), tier)
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        except (UserError, OSError, subprocess.SubprocessError) as error:
            return clean_line(str(error))
    if not done.returncode:
        return ""
    said = done.stderr.strip().rpartition("\n")[2]
    return clean_line(said) or f"the trial ended with exit code {done.returncode}"
