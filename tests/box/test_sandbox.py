"""Protects the box: nothing of the host is read, written, reached or outlived from inside it."""

# ruff: noqa: S108  the folders that everybody shares are what this is about

import json
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autoresearch.box.host import gpu_devices
from autoresearch.box.sandbox import Box, Tier, best_tier, confine, obstacle
from autoresearch.box.seccomp import (
    ALONE,
    AUDIT,
    CALLS,
    COLUMN,
    EVICTING,
    IGNORED,
    PAGES,
    SPECIAL,
    filter_for,
)
from autoresearch.box.stdlib import digest, seal, sourceless
from autoresearch.errors import UserError
from autoresearch.process import Caps, Supervised, environment, run

PYTHON = sys.executable
SOURCE = Path(__file__).parents[2] / "src"


def tier_or_skip(tier: Tier) -> Tier:
    if reason := obstacle(tier):
        pytest.skip(f"tier {int(tier)} cannot be had here: {reason}")
    return tier


@pytest.fixture(params=[Tier.BUBBLEWRAP, Tier.LANDLOCK], ids=["tier3", "tier2"])
def tier(request: pytest.FixtureRequest) -> Tier:
    return tier_or_skip(request.param)


@pytest.fixture
def tier3() -> Tier:
    return tier_or_skip(Tier.BUBBLEWRAP)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With what a run gets: `tree` to read, `out` to write; and `other`, which is not for it."""
    for name in ("tree", "out", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("as it was")
    return tmp_path


def the_box(folder: Path, *hidden: Path) -> Box:
    return Box(readable=(folder / "tree",), writable=(folder / "out",), hidden=hidden)


def inside(
    code: str, box: Box, tier: Tier, *words: object, python: str = PYTHON, fds: Sequence[int] = ()
) -> str:
    """What the code prints in the box; it must end well."""
    argv = confine([python, "-I", "-c", code, *map(str, words)], box, tier)
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=False,
        env=environment(), cwd=box.writable[0] if box.writable else "/", pass_fds=fds,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


TRY = """\
import json, os, socket, sys
def possible(what, *words):
    try:
        what(*words)
    except (OSError, ValueError):
        return False
    return True
def append(path):
    with open(path, "a") as file: file.write("changed")
"""

# Files


READ = (
    TRY
    + """\
print(json.dumps([path for path in sys.argv[1:] if possible(lambda: open(path, 'rb').read(1))]))"""
)


# a checkout below /tmp: what is shown of it stands there, in folders of the box's own
SHOWN_IN_TMP = [Path(sys.prefix).parts[2]] if Path(sys.prefix).is_relative_to("/tmp") else []


@pytest.fixture
def secrets(folder: Path) -> Iterator[list[Path]]:
    """Files of the host where a run might look: a neighbour, /tmp, /dev/shm, the home."""
    places = [Path(tempfile.gettempdir()), Path("/dev/shm"), Path.home(), folder / "other", SOURCE]
    made = [tempfile.NamedTemporaryFile("w", dir=each, prefix="secret-") for each in places]  # noqa: SIM115
    for file in made:
        file.write("not for runs")
        file.flush()
    yield [Path(file.name) for file in made]
    for file in made:
        file.close()


def test_no_file_of_the_host_is_read_by_any_path(
    folder: Path, secrets: list[Path], tier: Tier
) -> None:
    roots = [
        "",
        "/proc/self/root",
        "/proc/1/root",
        f"/proc/{os.getpid()}/root",
        "/proc/self/cwd/..",
    ]
    ways = [f"{root}{path}" for root in roots for path in secrets]
    ways += [f"/proc/self/cwd/../../{path.parent.name}/{path.name}" for path in secrets]
    ways += [
        f"/proc/{os.getpid()}/environ",
        f"/proc/{os.getpid()}/mem",
        "/etc/shadow",
        "/etc/fstab",
    ]
    assert len(json.loads(inside(READ, the_box(folder), Tier.PROCESSES, *ways))) > 15
    assert json.loads(inside(READ, the_box(folder), tier, *ways)) == []


WRITE = (
    TRY
    + """\
import shutil
done = []
for path in sys.argv[1:]:
    ways = {
        "append": lambda: append(path + "/text"), "make": lambda: append(path + "/new"),
        "delete": lambda: os.unlink(path + "/text"), "rename": lambda: os.rename(path, path + "2"),
        "folder": lambda: os.mkdir(path + "/made"), "link": lambda: os.symlink("/", path + "/link"),
        "hard link": lambda: os.link(path + "/text", "text2"),
    }
    done += [f"{path} {name}" for name in ways if possible(ways[name])]
print(json.dumps(done))"""
)


def test_only_what_is_writable_can_be_written(folder: Path, tier: Tier) -> None:
    stdlib = Path(os.__file__).parent
    places = [folder / "tree", folder / "other", SOURCE, stdlib, Path(sys.prefix) / "bin"]
    system = ("/", "/dev", "/usr", "/usr/lib", "/etc", "/proc/sys/kernel", "/sys", "/root", "/run")
    before = {path: path.stat().st_mtime_ns for path in [folder, *places, *map(Path, system)]}
    done = json.loads(inside(WRITE, the_box(folder), tier, *places, *system))
    # a checkout below /tmp: the folders around what is shown of it are the box's own
    ours = f"/tmp/{SHOWN_IN_TMP[0]}/" if SHOWN_IN_TMP else "\0"
    assert [each for each in done if not each.startswith(ours)] == []
    assert all(path.stat().st_mtime_ns == before[path] for path in before)
    own = json.loads(inside(WRITE, the_box(folder), tier, folder / "out"))
    assert {each.rpartition(" ")[2] for each in own} >= {"append", "make", "delete", "folder"}
    assert (folder / "out" / "new").read_text() == "changed"


def test_modes_and_times_of_other_files_stay(folder: Path, tier: Tier) -> None:
    code = (
        TRY
        + "for path in sys.argv[1:]: possible(os.chmod, path, 0), possible(os.utime, path, (1, 1))"
    )
    paths = [folder / "tree" / "text", folder / "other" / "text"]
    before = [(path.stat().st_mode, path.stat().st_mtime) for path in paths]
    inside(code, the_box(folder), tier, *paths)
    assert [(path.stat().st_mode, path.stat().st_mtime) for path in paths] == before


KERNEL = (
    TRY
    + """\
paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
         "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper", "/dev/kmsg", "/dev/mem", "/dev/sda"]
print([path for path in paths if possible(lambda: os.close(os.open(path, os.O_WRONLY)))])"""
)


def test_no_setting_of_the_kernel_can_be_changed(folder: Path, tier: Tier) -> None:
    assert inside(KERNEL, the_box(folder), tier) == "[]"


def test_the_private_folders_start_empty_and_leave_nothing(tier: Tier) -> None:
    code = TRY + "home = os.environ['HOME']; print(home, os.listdir(home)); append(home + '/left')"
    first, second = (inside(code, Box(), tier) for _ in range(2))
    assert first.endswith(f" {SHOWN_IN_TMP if tier is Tier.BUBBLEWRAP else []}")
    assert second.partition(" ")[2] == first.partition(" ")[2]
    assert not Path(first.split()[0], "left").exists()
    code = "import os, tempfile; print(os.path.dirname(tempfile.mkdtemp()) == os.environ['HOME'])"
    assert inside(code, Box(), tier) == "True"


def test_private_folders_have_a_size(tier3: Tier) -> None:
    code = (
        TRY + "print([possible(lambda: open(p, 'wb').write(bytes(2**21))) for p in sys.argv[1:]])"
    )
    assert inside(code, Box(), tier3, "/tmp/x", "/dev/shm/x") == "[True, True]"
    small = Box(tmp_bytes=2**20)
    assert inside(code, small, tier3, "/tmp/x", "/dev/shm/x") == "[False, False]"
    names = json.loads(
        inside("import os, json; print(json.dumps(os.listdir('/tmp')))", Box(), tier3)
    )
    assert names == SHOWN_IN_TMP


def test_what_is_hidden_is_not_read_in_any_form(folder: Path, tier: Tier) -> None:
    tree = folder / "tree"
    (tree / "module.py").write_text("TEXT = 'validation'\n")
    (tree / "deep" / "deeper").mkdir(parents=True)
    (tree / "deep" / "deeper" / "rows").write_text("validation")
    (tree / "deep" / "public").write_text("public")
    code = "import py_compile, sys; py_compile.compile(sys.argv[1])"
    subprocess.run([PYTHON, "-c", code, str(tree / "module.py")], check=True)
    (pyc,) = (tree / "__pycache__").glob("module.*.pyc")
    (folder / "link").symlink_to(tree / "text")
    hidden = (tree / "module.py", tree / "deep" / "deeper", folder / "link")
    ways = [tree / "module.py", pyc, tree / "deep" / "deeper" / "rows", tree / "text"]
    ways += [Path(f"/proc/self/root{each}") for each in ways]
    assert len(json.loads(inside(READ, the_box(folder), tier, *ways))) == len(ways)
    box = the_box(folder, *hidden)
    assert json.loads(inside(READ, box, tier, *ways)) == []
    assert json.loads(inside(READ, box, tier, tree / "deep" / "public"))
    move = (
        TRY
        + """\
for path in sys.argv[1:]:
    for way in (os.link, os.rename): assert not possible(way, path, "here")
"""
    )
    inside(move, box, tier, *ways)


def test_thousands_of_hidden_files_fit_into_the_environment(folder: Path, tier: Tier) -> None:
    """The score command gets its box in one variable, of which Linux takes 128 KB."""
    place = folder / "tree" / "a-folder-with-a-long-name" / "that-is-said-once"
    place.mkdir(parents=True)
    hidden = [place / f"held-out-{number}.txt" for number in range(2500)]
    for each in hidden:
        each.touch()
    box = the_box(folder, *hidden)
    if tier is Tier.LANDLOCK:
        assert len(json.dumps(confine([], box, tier))) < 2**17
    assert json.loads(inside(READ, box, tier, hidden[0], hidden[-1])) == []


def test_the_standard_library_has_no_sources_in_the_box(tier3: Tier) -> None:
    code = """\
import os, json, difflib, sys
found = []
for place, folders, files in os.walk("/"):
    if place == "/": folders[:] = set(folders) - {"proc", "sys"}
    found += [f"{place}/{each}" for each in files if each in sys.argv]
print(json.dumps([found, difflib.__file__, difflib.__doc__]))
"""
    found, compiled, words = json.loads(inside(code, Box(), tier3, "difflib.py", "calendar.py"))
    assert found == []
    assert words is None
    assert compiled.endswith("difflib.pyc")
    hidden = Path(os.__file__).with_name("difflib.py")
    code = "import importlib.util as u; print(u.find_spec('difflib'), bool(u.find_spec('heapq')))"
    assert inside(code, Box(hidden=(hidden,)), tier3) == "None True"


def test_a_hidden_module_of_the_standard_library_is_not_readable(tier: Tier) -> None:
    source = Path(os.__file__).with_name("difflib.py")
    box = Box(hidden=(source,))
    ways = [source, source.with_suffix(".pyc"), *source.parent.glob("__pycache__/difflib.*")]
    assert json.loads(inside(READ, box, tier, *ways)) == []


def test_an_interpreter_inside_a_lab_works_and_shows_nothing_else_of_it(
    tmp_path: Path, tier: Tier
) -> None:
    lab = tmp_path / "real" / "lab"
    lab.mkdir(parents=True)
    (tmp_path / "named").symlink_to("real")
    (lab / "prepare.py").write_text("validation")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(lab / ".venv")], check=True)
    (packages,) = (lab / ".venv" / "lib").glob("python*/site-packages")
    (packages / "model").mkdir()
    (packages / "model" / "__init__.py").write_text("WORKS = True\n")
    (packages / "model" / "big.safetensors").write_bytes(bytes(2**20 + 1))
    (packages / "model" / "small.pt").write_bytes(bytes(100))
    python = str(tmp_path / "named" / "lab" / ".venv" / "bin" / "python")
    code = (
        TRY
        + """\
import model
folder = os.path.dirname(model.__file__)
names = ["big.safetensors", "small.pt"]
print([possible(lambda: open(f"{folder}/{name}", "rb").read(1)) for name in names])
print(possible(lambda: open(sys.argv[1]).read()), sys.prefix)
"""
    )
    said = inside(code, Box(python=python), tier, lab / "prepare.py", python=python)
    assert said.splitlines() == ["[False, True]", f"False {tmp_path}/named/lab/.venv"]


# Network and processes


REACH = (
    TRY
    + """\
port, path, name = sys.argv[1:]
def connect(family, kind, address):
    with socket.socket(family, kind) as there:
        there.settimeout(2)
        there.connect(address)
        there.send(b"hello")
def datagram():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.sendto(b"hello", path + ".d")
print(json.dumps([
    possible(connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(port))),
    possible(connect, socket.AF_UNIX, socket.SOCK_STREAM, path),
    possible(connect, socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + name),
    possible(datagram),
]))
with_udp = possible(connect, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", int(port)))
for family in (socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_ALG):
    if possible(lambda: socket.socket(family, socket.SOCK_RAW).close()): print("a socket", family)
"""
)


def test_no_network_and_no_socket_of_the_host(folder: Path, tier: Tier) -> None:
    path, name = folder / "other" / "socket", f"autoresearch-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        udp.settimeout(0.2)
        unix.bind(str(path))
        abstract.bind("\0" + name)
        datagrams.bind(f"{path}.d")
        unix.listen()
        abstract.listen()
        words = (port, path, name)
        outside = inside(REACH, the_box(folder), Tier.PROCESSES, *words).splitlines()
        assert json.loads(outside[0]) == [True] * 4
        assert udp.recv(10) == b"hello"
        assert inside(REACH, the_box(folder), tier, *words) == "[false, false, false, false]"
        with pytest.raises(TimeoutError):
            udp.recv(10)


def test_processes_of_the_host_cannot_be_signalled_or_looked_into(folder: Path, tier: Tier) -> None:
    code = (
        TRY
        + """\
import ctypes
pid = int(sys.argv[1])
libc = ctypes.CDLL(None)
print(possible(os.kill, pid, 0), libc.ptrace(16, pid, 0, 0) == 0, os.path.exists(f"/proc/{pid}"),
      possible(os.readlink, f"/proc/{pid}/fd/1"), possible(open, f"/proc/{pid}/maps"))
"""
    )
    with subprocess.Popen(["sleep", "60"]) as host:
        assert inside(code, the_box(folder), Tier.PROCESSES, host.pid).startswith("True")
        seen = inside(code, the_box(folder), tier, host.pid).split()
        host.kill()
    expected = ["False"] * 5
    if tier is Tier.LANDLOCK:
        expected[2] = "True"  # listed, which is said in sandbox.py
    assert seen == expected


HEARTBEAT = """\
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    while True:
        open("beat", "w").write(str(time.time()))
        time.sleep(0.01)
while not os.path.exists("beat"): time.sleep(0.01)
if sys.argv[1:]: time.sleep(60)
"""


def beats(path: Path) -> bool:
    before = path.read_text()
    time.sleep(0.3)
    return path.read_text() != before


def test_nothing_outlives_the_box(folder: Path, tier: Tier) -> None:
    beat = folder / "out" / "beat"
    inside(HEARTBEAT, the_box(folder), tier)
    assert not beats(beat)
    beat.unlink()
    argv = confine([PYTHON, "-I", "-c", HEARTBEAT, "stay"], the_box(folder), tier)
    with Supervised(
        argv, cwd=folder / "out", env=environment(), log=folder / "log", caps=Caps()
    ) as process:
        deadline = time.monotonic() + 20
        while not beat.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert beats(beat)
        process.stop()
    assert not beats(beat)


def test_a_private_folder_that_a_killed_box_left_is_swept(tmp_path: Path) -> None:
    tier_or_skip(Tier.LANDLOCK)
    code = "import os, time; print(os.environ['HOME'], flush=True); time.sleep(60)"
    with subprocess.Popen(
        confine([PYTHON, "-I", "-c", code], Box(), Tier.LANDLOCK), stdout=subprocess.PIPE, text=True
    ) as box:
        assert box.stdout is not None
        left = Path(box.stdout.readline().strip())
        inside("pass", Box(), Tier.LANDLOCK)
        assert left.is_dir()  # its owner lives
        box.kill()
    deadline = time.monotonic() + 20
    while left.is_dir():
        assert time.monotonic() < deadline
        inside("pass", Box(), Tier.LANDLOCK)


@pytest.mark.parametrize(
    ("code", "stopped"),
    [
        ("import os, time\nwhile True:\n if not os.fork(): time.sleep(60)", "processes"),
        ("with open('x', 'wb') as f:\n while True: f.write(bytes(2**16)); f.flush()", "disk"),
    ],
)
def test_floods_in_the_box_are_stopped(folder: Path, tier: Tier, code: str, stopped: str) -> None:
    box = the_box(folder)
    caps = Caps(seconds=30, processes=40, disk_bytes=2**24, disk_folders=box.writable)
    ending = run(
        confine([PYTHON, "-I", "-c", code], box, tier),
        cwd=folder / "out", env=environment(), log=folder / "log", caps=caps,
    )  # fmt: skip
    assert ending.stopped == stopped


# What does come in


def test_descriptors_come_in(folder: Path, tier: Tier) -> None:
    code = """\
import os, socket, sys
file, link = map(int, sys.argv[1:])
print(os.read(file, 100))
with socket.socket(fileno=link) as there:
    there.sendall(b"ready")
    _, (received,), _, _ = socket.recv_fds(there, 100, 1)
    print(os.read(received, 100))
    there.sendall(b"done")
"""
    secret, other = folder / "other" / "text", folder / "other" / "more"
    other.write_text("more of it")
    ours, theirs = socket.socketpair()
    with ours, theirs, secret.open("rb") as file, other.open("rb") as later:
        fds = (file.fileno(), theirs.fileno())
        socket.send_fds(ours, [b"go"], [later.fileno()])
        said = inside(code, the_box(folder), tier, *fds, fds=fds)
        assert said.splitlines() == ["b'as it was'", "b'more of it'"]
        assert ours.recv(100) == b"readydone"


def test_the_folder_paths_and_exit_codes_are_as_outside(folder: Path, tier: Tier) -> None:
    code = (
        "import os, sys; print(os.getcwd(), os.readlink('/bin') if os.path.islink('/bin') else '')"
    )
    box = the_box(folder)
    assert inside(code, box, tier) == inside(code, box, Tier.PROCESSES)
    for ending, expected in (
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", 137),
    ):
        argv = [*confine([], box, tier), PYTHON, "-I", "-c", ending]  # as a prefix
        assert subprocess.run(argv, check=False).returncode == expected


def test_limits_of_a_process(tier: Tier) -> None:
    code = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE))"
    assert inside(code, Box(open_files=64), tier) == "(64, 64) (0, 0)"


def test_only_the_assigned_gpus_are_shown(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "null", "kfd"):
        (tmp_path / name).touch()
    (tmp_path / "dri").mkdir()
    always = {"nvidiactl", "nvidia-uvm", "nvidia-modeset", "kfd", "dri"}

    def shown(gpus: tuple[int, ...] | None) -> set[str]:
        return {path.name for path in gpu_devices(gpus, tmp_path)}

    assert shown(()) == set()
    assert shown((1,)) == {"nvidia1", *always}
    assert shown((0, 1)) == shown(None) == {"nvidia0", "nvidia1", *always}
    assert shown((7,)) == {"kfd", "dri"}
    assert gpu_devices(None, tmp_path / "none") == []


# System calls


CALL = (
    TRY
    + """\
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, sys.argv[1:]):
    result = libc.syscall(number, -1, -1, -1, -1, -1, -1)
    if result != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS): print(number, result)
"""
)


def test_no_denied_call_gets_through(tier: Tier) -> None:
    column = COLUMN[platform.machine()]
    named = {**CALLS, **(ALONE if tier is Tier.LANDLOCK else {})}
    numbers = [each[column] for each in named.values() if each[column] is not None]
    assert inside(CALL, Box(), tier, *numbers) == ""
    assert inside(CALL, Box(), Tier.PROCESSES, *numbers) != ""
    code = "import os; print(os.waitpid(os.fork() or os._exit(3), 0)[1] >> 8)"
    assert inside(code, Box(), tier) == "3"


KNOWN = CALLS | ALONE | IGNORED | EVICTING | PAGES | SPECIAL


def verdict(code: bytes, machine: int, number: int, *arguments: int) -> int:
    """What the kernel would make of one call, by its documentation of the filter's machine."""
    data = struct.pack("<IIQ6Q", number, machine, 0, *arguments, *(0,) * (6 - len(arguments)))
    program, here, value = list(struct.iter_unpack("<HBBI", code)), 0, 0
    while True:
        kind, yes, no, constant = program[here]
        here += 1
        if kind == 0x06:
            return int(constant)
        if kind == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        elif kind == 0x54:
            value &= constant
        else:
            tests = {0x15: value == constant, 0x35: value >= constant, 0x45: value & constant}
            here += yes if tests[kind] else no


@pytest.mark.parametrize("machine", AUDIT)
@pytest.mark.parametrize("alone", [False, True])
def test_the_filter_on_both_kinds_of_machine(machine: str, alone: bool) -> None:
    code, kind, column = filter_for(machine, alone=alone), AUDIT[machine], COLUMN[machine]
    special = {name: numbers[column] for name, numbers in SPECIAL.items()}
    allow, deny, missing = 0x7FFF0000, 0x00050001, 0x00050026
    for numbers in (CALLS | ALONE if alone else CALLS).values():
        assert numbers[column] is None or verdict(code, kind, numbers[column] or 0) == deny
    for numbers in PAGES.values():
        assert verdict(code, kind, numbers[column] or 0) == missing
    assert verdict(code, kind, EVICTING["fadvise64"][column] or 0) == 0x00050000
    for numbers in IGNORED.values():
        quiet = 0x00050000 if alone else allow
        assert numbers[column] is None or verdict(code, kind, numbers[column] or 0) == quiet
    for name, arguments, expected in (
        ("clone", (0x01200011,), allow),  # fork
        ("clone", (0x003D0F00,), allow),  # a thread
        ("clone", (0x10000011,), deny),  # a user namespace
        ("clone3", (), missing),
        ("ioctl", (0, 0x5401), allow),
        ("ioctl", (0, 0x5412), deny),
        ("madvise", (0, 0, 4), allow),
        ("madvise", (0, 0, 21), 0x00050000),
        ("socket", (1, 1), deny if alone else allow),
        ("socket", (2, 1), deny),
        ("socket", (16, 3), deny),
        ("socketpair", (1, 1 | 0o2000000), allow),
        ("socketpair", (1, 5), allow),
        ("socketpair", (1, 2), deny),
        ("socketpair", (2, 1), deny),
    ):
        assert verdict(code, kind, special[name], *arguments) == expected, (name, arguments)
    for number in range(600):
        numbers_known = {each[column] for each in KNOWN.values()}
        assert number in numbers_known or verdict(code, kind, number) == allow
    assert verdict(code, 0x40000003, 1) == deny  # 32-bit calls
    if machine == "x86_64":
        assert verdict(code, kind, 0x40000000 | 101) == deny
    assert filter_for("riscv64", alone=alone) == b""


# Which tier


def test_the_tier_can_be_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTORESEARCH_TIER", raising=False)
    best = best_tier()
    assert best_tier(Tier.PROCESSES) is Tier.PROCESSES
    assert best_tier(Tier.LANDLOCK) is not Tier.BUBBLEWRAP
    monkeypatch.setenv("AUTORESEARCH_TIER", "1")
    assert best_tier() is Tier.PROCESSES
    monkeypatch.setenv("AUTORESEARCH_TIER", "3")
    assert best_tier() is best
    monkeypatch.setenv("AUTORESEARCH_TIER", "four")
    with pytest.raises(UserError, match="1, 2 or 3"):
        best_tier()


def test_what_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="it is not there"):
        confine(["true"], Box(readable=(tmp_path / "missing",)), Tier.BUBBLEWRAP)
    with pytest.raises(UserError, match="cannot run the lab's Python"):
        confine(["true"], Box(python=str(tmp_path / "python")), Tier.LANDLOCK)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="install"):
        confine(["true"], Box(), Tier.BUBBLEWRAP)
    assert confine(["true"], Box(), Tier.PROCESSES) == ["true"]


def test_it_works_for_root_and_for_an_ordinary_user(tier: Tier) -> None:
    system = shutil.which("python3", path="/usr/bin")
    if os.getuid() or system is None or shutil.which("setpriv") is None:
        pytest.skip("only root with setpriv and a system Python can become somebody else")
    with tempfile.TemporaryDirectory(prefix="ordinary-") as name:
        for each in (Path(name), Path(name, "cache"), Path(name, "tmp")):
            each.mkdir(exist_ok=True)
            os.chown(each, 65534, 65534)
        code = f"from autoresearch.box.sandbox import *; print(repr(obstacle(Tier({int(tier)}))))"
        command = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            system,
            "-c",
            code,
        ]
        known = {"AUTORESEARCH_CACHE": f"{name}/cache", "TMPDIR": f"{name}/tmp"}
        env = {**environment(), "PYTHONPATH": str(SOURCE), **known}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if "No module named 'autoresearch'" in done.stderr:
            pytest.skip("an ordinary user cannot read this checkout")
        assert (done.stdout, done.stderr) == ("''\n", "")


# The standard library without its sources


def test_the_compiled_library_is_checked_and_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    stdlib = tmp_path / "stdlib"
    (stdlib / "test").mkdir(parents=True)
    (stdlib / "one.py").write_text('"""Words."""\nONE = 1  # a comment\n')
    (stdlib / "test" / "many.py").write_text("left out")
    (stdlib / "template.py").write_text("not python at all")

    def made() -> Path:
        sourceless.cache_clear()
        return sourceless(Path(PYTHON), stdlib, sys.version)

    folder = made()
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["one.pyc"]
    assert b"Words" not in (folder / "one.pyc").read_bytes()
    good = digest(folder)
    (folder / "one.pyc").write_bytes(b"damaged")
    assert made() == folder
    assert seal(folder).read_text() == good == digest(folder)
    (stdlib / "one.py").write_text("TWO = 2\n")
    assert made() != folder
    assert len(list((tmp_path / "cache").iterdir())) == 4  # two folders, two digests
