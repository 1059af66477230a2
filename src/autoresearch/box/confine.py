"""Give up rights, then become another program: `python -I -S confine.py WORDS -- ARGV`.

WORDS are `key=value`, each as often as needed:
    files=N threads=N     most open files, most threads of this user (best effort)
    seccomp=HEX           a filter, see seccomp.py
    show=PATH             may be read and executed; naming one switches Landlock on
    write=PATH            may be written, too
    device=PATH           a device node: read, write, control
    hide=FOLDER//NAME     not even inside a shown folder; //NAME as often as wanted
    private=FOLDER        make a folder in this one that may be written and is HOME and TMPDIR, and
                          delete it at the end; everything that was started dies first
    seatbelt=PROFILE      macOS: go on under sandbox-exec

What it does not cover is said in sandbox.py. Exit code 126 means that a right could not be given
up; the program was then not started.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import shutil
import signal
import stat
import sys
import time

NOTHING = (ctypes.c_ulong(0),) * 3
NO_NEW_PRIVILEGES, PARENT_DEATH, SUBREAPER, DROP_FOR_GOOD = 38, 1, 36, 24  # prctl
CAPABILITY_VERSION = 0x20080522
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
FILTER_MODE, KEEP_SPEED = 1, 4  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW
PREFIX = "autoresearch-box-"
LIBC = ctypes.CDLL(None, use_errno=True)

# Landlock's rights over files, by bit: execute, write, read, list; remove and make of each kind
EXECUTE, WRITE, READ, LIST = 1, 2, 4, 8
TRUNCATE, CONTROL_DEVICE = 1 << 14, 1 << 15
MAKE_NODES = 1 << 6 | 1 << 11  # character and block devices: nobody needs to make them
ON_FILES = EXECUTE | WRITE | READ | TRUNCATE | CONTROL_DEVICE
KNOWN_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # of later versions: 16


class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


class Rules(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def main() -> None:
    words = sys.argv[1 : sys.argv.index("--")]
    argv = sys.argv[len(words) + 2 :]
    asked: dict[str, list[str]] = {}
    for word in words:
        key, _, value = word.partition("=")
        asked.setdefault(key, []).append(value)
    try:
        if "private" in asked:
            with_private_folder(asked["private"][0], asked, argv)
        become(argv, asked)
    except OSError as error:
        sys.stderr.write(f"the box cannot start {argv[0] if argv else 'nothing'}: {error}\n")
        raise SystemExit(126) from None


def become(argv: list[str], asked: dict[str, list[str]]) -> None:
    limit(resource.RLIMIT_CORE, 0)
    for name, which in (("files", resource.RLIMIT_NOFILE), ("threads", resource.RLIMIT_NPROC)):
        if name in asked:
            limit(which, int(asked[name][0]))
    if "seatbelt" in asked:
        own = f"OWN={os.environ['HOME']}"
        argv = ["/usr/bin/sandbox-exec", "-D", own, "-p", asked["seatbelt"][0], *argv]
    else:
        drop_capabilities()
        control(NO_NEW_PRIVILEGES, 1)
        if "show" in asked:
            restrict_files(asked)
        if "seccomp" in asked:
            restrict_calls(bytes.fromhex(asked["seccomp"][0]))
    os.execvp(argv[0], argv)  # noqa: S606


def limit(which: int, wanted: int) -> None:
    """Never above what we may: a lower limit of the machine's stays."""
    _, most = resource.getrlimit(which)
    value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(which, (value, value))


def call(number: int, *arguments: object) -> int:
    """A system call; OSError if it fails."""
    result: int = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def control(option: int, value: int) -> None:
    if LIBC.prctl(option, ctypes.c_ulong(value), *NOTHING):
        raise OSError(ctypes.get_errno(), "prctl failed")


def drop_capabilities() -> None:
    """Root's powers: with them, /proc would show what Landlock does not let others see."""
    for number in range(64):
        with contextlib.suppress(OSError):  # not root, or past the last one
            control(DROP_FOR_GOOD, number)
    header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if LIBC.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset failed")


def restrict_calls(code: bytes) -> None:
    program = Filter(len(code) // 8, code)
    call(SECCOMP_CALL[os.uname().machine], FILTER_MODE, KEEP_SPEED, ctypes.byref(program))


def restrict_files(asked: dict[str, list[str]]) -> None:
    """Landlock: from here on only what is named can be opened."""
    version = call(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    every = (1 << KNOWN_BITS.get(version, 16)) - 1
    rules = Rules(every, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    handle = call(LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    folders = [each.split("//") for each in asked.get("hide", ())]
    hidden = {f"{folder}/{name}" for folder, *names in folders for name in names}
    around = folders_around(hidden)
    rights = (
        ("show", EXECUTE | READ | LIST),
        ("write", every & ~MAKE_NODES),
        ("device", WRITE | READ | TRUNCATE | CONTROL_DEVICE),
    )
    for name, allowed in rights:
        for path in asked.get(name, ()):
            allow(handle, path, allowed & every, hidden, around)
    call(LANDLOCK_RESTRICT, ctypes.c_int(handle), ctypes.c_uint32(0))
    os.close(handle)


def allow(handle: int, path: str, rights: int, hidden: set[str], around: set[str]) -> None:
    """A rule for the path; where something hidden lies below it, one for each other thing there."""
    if path in hidden:
        return
    if path not in around:
        add(handle, path, rights)
        return
    add(handle, path, rights & LIST)
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_symlink():
                allow(handle, entry.path, rights, hidden, around)


def folders_around(paths: set[str]) -> set[str]:
    found = set()
    for path in paths:
        while (path := os.path.dirname(path)) not in found and path != "/":  # noqa: PTH120
            found.add(path)
    return found


def add(handle: int, path: str, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, or not ours to open: nothing to allow
    if not stat.S_ISDIR(os.fstat(folder).st_mode):
        rights &= ON_FILES
    if rights:
        rule = Beneath(rights, folder)
        call(LANDLOCK_ADD, ctypes.c_int(handle), 1, ctypes.byref(rule), ctypes.c_uint32(0))
    os.close(folder)


def with_private_folder(parent: str, asked: dict[str, list[str]], argv: list[str]) -> None:
    """Run the program as a child that has a folder of its own, and leave nothing of either."""
    sweep(parent)
    folder, lock = own_folder(parent)
    linux = sys.platform == "linux"
    if linux:
        control(SUBREAPER, 1)
    us, child = os.getpid(), os.fork()
    if child == 0:
        if linux:
            control(PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != us:
            os._exit(126)
        settle(folder, asked)
        become(argv, asked)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(child, signal.SIGKILL))
    _, status = os.waitpid(child, 0)
    while linux and kill_children(us):
        time.sleep(0.002)
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)  # as bubblewrap says it


def settle(folder: str, asked: dict[str, list[str]]) -> None:
    """Home is here, and so are temporary files, unless they have a place that may be written."""
    os.environ["HOME"] = folder
    temporary = os.environ.get("TMPDIR", "/")
    if not any(f"{temporary}/".startswith(f"{each}/") for each in asked.get("write", ())):
        os.environ.update({"TMPDIR": folder, "TMP": folder, "TEMP": folder})
    asked.setdefault("write", []).append(folder)


def kill_children(us: int) -> bool:
    """Kill every child that is left (orphans became ours); False when none is."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{us}/task/{us}/children") as file:  # noqa: PTH123
            children = [int(word) for word in file.read().split()]
        for each in children:
            os.kill(each, signal.SIGKILL)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def own_folder(parent: str) -> tuple[str, int]:
    """A new folder, and the lock that says that its owner lives."""
    while True:
        folder = f"{parent}/{PREFIX}{os.urandom(8).hex()}"
        os.mkdir(folder, 0o700)  # noqa: PTH102
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # a sweep took it for one that was left
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder):  # noqa: PTH112
            return folder, lock
        os.close(lock)


def sweep(parent: str) -> None:
    """Folders whose owner was killed before it could delete them."""
    for name in os.listdir(parent):  # noqa: PTH208
        if name.startswith(PREFIX):
            with contextlib.suppress(OSError):
                remove_if_left(f"{parent}/{name}")


def remove_if_left(folder: str) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its owner lives
        shutil.rmtree(folder)
    finally:
        os.close(lock)


if __name__ == "__main__":
    main()
