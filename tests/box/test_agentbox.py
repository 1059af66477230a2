"""Protects an agent's box: it starts, it works, and it reaches nothing but what it was given."""

# ruff: noqa: S108  the folders that everybody shares are what this is about

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autoresearch.box import agentbox, sandbox
from autoresearch.box.agentbox import AgentBox, enclose, filter_for_agents, obstacle
from autoresearch.box.sandbox import Tier
from autoresearch.box.seccomp import AUDIT, CALLS, COLUMN, SPECIAL
from autoresearch.errors import UserError
from autoresearch.process import Caps, Supervised, environment
from tests.box.test_sandbox import verdict

PYTHON = sys.executable
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def _boxes_work() -> None:
    if reason := sandbox.obstacle(Tier.BUBBLEWRAP):
        pytest.skip(f"bubblewrap cannot run here: {reason}")
    assert obstacle() == ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a secret in it, outside /tmp as homes are, and a cache elsewhere."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir="/var/tmp"))
    (home / "secret").write_text("nobody's business")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(home))
    yield home
    shutil.rmtree(home)


@pytest.fixture
def desk(home: Path) -> Path:
    """As the engine lays it out, in a lab that has a store and a neighbour."""
    ours = home / "lab" / ".autoresearch"
    desk = ours / "work" / "night" / "desk"
    (desk / "history").mkdir(parents=True)
    (ours / "store.db").write_text("every score")
    (home / "lab" / "train.py").write_text("the person's own")
    (home / "other-lab").mkdir()
    (home / "other-lab" / "train.py").write_text("another study")
    for name in ("train.py", "prepare.py", "program.md", "history/README.md"):
        (desk / name).write_text("as it was")
    return desk


def the_box(desk: Path, **more: tuple[Path, ...]) -> AgentBox:
    return AgentBox(desk, frozen=(desk / "prepare.py", desk / "history"), **more)


def call(argv: Sequence[object], box: AgentBox, *, code: int = 0) -> str:
    """What a command prints in the box."""
    done = subprocess.run(
        enclose([str(each) for each in argv], box),
        capture_output=True, text=True, timeout=60, check=False, env=environment(), cwd="/",
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.strip()


def inside(code: str, box: AgentBox, *words: object) -> str:
    return call([PYTHON, "-I", "-c", TRY + code, *words], box)


TRY = """\
import ctypes, errno, json, os, socket, sys
words = json.load(open(sys.argv[1])) if sys.argv[1:] else []
def possible(what, *words):
    try:
        what(*words)
    except (OSError, ValueError):
        return False
    return True
def append(path):
    with open(path, "a") as file: file.write("changed")
"""


def told(desk: Path, words: Sequence[object]) -> Path:
    """Words through a file: a path in the command itself would be shown."""
    file = desk / "words.json"
    file.write_text(json.dumps([str(each) for each in words]))
    return file


# Files

READ = "print(json.dumps([path for path in words if possible(lambda: open(path, 'rb').read(1))]))"


@pytest.fixture
def secrets(home: Path, desk: Path) -> Iterator[list[Path]]:
    places = [Path(tempfile.gettempdir()), Path("/dev/shm"), Path("/var/tmp")]
    made = [tempfile.NamedTemporaryFile("w", dir=each, prefix="secret-") for each in places]  # noqa: SIM115
    for file in made:
        file.write("not for agents")
        file.flush()
    lab = home / "lab"
    yield [
        *(Path(file.name) for file in made),
        *(home / "secret", lab / "train.py", lab / ".autoresearch" / "store.db"),
        *(SOURCE / "autoresearch" / "study.py", home / "other-lab" / "train.py"),
    ]
    for file in made:
        file.close()


def test_nothing_else_of_the_machine_is_read_by_any_path(desk: Path, secrets: list[Path]) -> None:
    roots = ["", "/proc/self/root", "/proc/1/root", f"/proc/{os.getpid()}/root"]
    ways = [f"{root}{path}" for root in roots for path in secrets]
    ways += [f"{desk}/../../../../{name}" for name in ("train.py", ".autoresearch/store.db")]
    ways += [f"/proc/{os.getpid()}/environ", "/etc/shadow", "/etc/fstab", "/run/docker.sock"]
    (desk / "link").symlink_to(secrets[-1])
    ways.append(f"{desk}/link")
    there = [path for path in ways if os.access(path, os.R_OK)]
    assert len(there) > 25
    assert json.loads(inside(READ, the_box(desk), told(desk, ways))) == []


WRITE = """\
done = []
for path in words:
    file = path + "/prepare.py" if os.path.isdir(path) else path
    ways = {
        "append": lambda: append(file), "truncate": lambda: os.truncate(file, 0),
        "delete": lambda: os.unlink(file), "make": lambda: append(path + "/new"),
        "rename": lambda: os.rename(path, path + "2"), "folder": lambda: os.mkdir(path + "/made"),
        "replace": lambda: os.replace("words.json", file), "mode": lambda: os.chmod(file, 0o777),
        "link": lambda: os.symlink("/", path + "/link"), "time": lambda: os.utime(file, (1, 1)),
    }
    done += [f"{path} {name}" for name in ways if possible(ways[name])]
print(json.dumps(done))
"""


def test_only_the_desk_is_written_and_not_what_is_frozen_there(desk: Path, home: Path) -> None:
    places = [home / "lab", home / "other-lab", SOURCE, Path("/"), Path("/usr"), Path("/etc")]
    places += [Path("/usr/lib"), Path("/dev"), Path("/run"), Path("/var/tmp"), Path("/sys")]
    places += [desk / "prepare.py", desk / "history", desk / "history" / "README.md"]
    before = {path: path.stat().st_mtime_ns for path in places}
    # around the desk the folders are the box's own, and they cannot be written either
    ways = [*places, *desk.parents[:4]]
    done = json.loads(inside(WRITE, the_box(desk), told(desk, ways)))
    private = [each for each in done if not each.startswith(str(home))]
    assert private == []
    assert {path: path.stat().st_mtime_ns for path in places} == before
    assert (desk / "prepare.py").read_text() == "as it was"
    code = "append('train.py'); append('new'); os.mkdir('made'); os.rename('new', 'made/new')"
    inside(code, the_box(desk))
    assert (desk / "train.py").read_text() == "as it waschanged"
    assert (desk / "made" / "new").exists()


KERNEL = """\
paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
         "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/dev/kmsg", "/dev/sda"]
print([path for path in paths if possible(lambda: os.close(os.open(path, os.O_WRONLY)))])
"""


def test_no_setting_of_the_kernel_can_be_changed(desk: Path) -> None:
    assert inside(KERNEL, the_box(desk)) == "[]"


def test_its_configuration_stays_and_the_rest_of_the_home_does_not(desk: Path, home: Path) -> None:
    (home / "dotfiles" / "agent").mkdir(parents=True)
    (home / "dotfiles" / "agent" / "login").write_text("it's me")
    (home / ".config").mkdir()
    (home / ".config" / "agent").symlink_to("../dotfiles/agent")
    config, data = home / ".config" / "agent", home / ".local" / "share" / "agent"
    code = """\
home = os.environ["HOME"]
print(open(home + "/.config/agent/login").read(), sorted(os.listdir(home)))
append(home + "/.config/agent/login"); append(home + "/.local/share/agent/session")
append(home + "/history"); append("/tmp/left"); append("/dev/shm/left")
"""
    for _ in range(2):
        said = inside(code, the_box(desk, writable=(config, data)))
    # the home holds nothing but what leads to the desk and to the two folders
    assert said == f"it's mechanged {['.config', '.local', 'dotfiles', 'lab']}"
    assert (home / "dotfiles" / "agent" / "login").read_text() == "it's mechangedchanged"
    assert (data / "session").read_text() == "changedchanged"
    assert not (home / "history").exists()
    assert not Path("/tmp/left").exists()
    assert not Path("/dev/shm/left").exists()


def test_what_is_granted_is_read_and_not_written(desk: Path, home: Path) -> None:
    (home / "papers").mkdir()
    (home / "papers" / "prepare.py").write_text("read me")
    (home / "link").symlink_to("papers")
    box = the_box(desk, readable=(home / "link",))
    assert call(["cat", "-", home / "link" / "prepare.py"], box) == "read me"
    ways = told(desk, [home / "papers", home / "link"])
    assert [each for each in json.loads(inside(WRITE, box, ways)) if "rename" not in each] == []
    whole = the_box(desk, readable=(home,), writable=(home / ".agent",))
    ways = told(desk, [home / "secret", home / "lab" / "train.py"])
    assert len(json.loads(inside(READ, whole, ways))) == 2
    code = "print(os.path.isdir('/var/lib'), possible(append, '/var/tmp/left')); append('train.py')"
    everything = the_box(desk, readable=(Path("/"),))
    assert inside(code, everything) == "True False"
    assert len(json.loads(inside(READ, everything, ways))) == 2
    inside(f"append('train.py'); append({str(home / '.agent' / 'session')!r})", whole)
    assert (home / "secret").read_text() == "nobody's business"


def test_what_is_withheld_is_masked_in_every_library_that_is_shown(desk: Path, home: Path) -> None:
    names = ("os.py", "mailbox.py", "test/test_io.py", "__pycache__/mailbox.cpython-39.pyc")
    places = ("lib/python3.9", "versions/3.12/lib/python3.12", "corpus", "cache/python-1")
    for place in places:
        for name in (*names, "ctypes/test/test_pointers.py"):
            (home / "shown" / place / name).parent.mkdir(parents=True, exist_ok=True)
            (home / "shown" / place / name).write_text("text")
    old, new, corpus, cache = (home / "shown" / place for place in places)
    own = cache / "desk"  # what the agent writes is never taken away
    own.mkdir()
    box = AgentBox(
        desk,
        writable=(own,),
        readable=(home / "shown",),
        hidden=(old / "mailbox.py", old / "ctypes/test/test_pointers.py", corpus, cache),
    )
    ways = [place / name for place in (old, new, corpus) for name in names]
    ways += [place / "ctypes/test/test_pointers.py" for place in (old, new)]
    assert json.loads(inside(READ, box, told(desk, ways))) == [
        *(str(old / name) for name in ("os.py", "test/test_io.py")),
        *(str(new / name) for name in ("os.py", "test/test_io.py")),
    ]
    box = AgentBox(desk, readable=(Path("/"),), hidden=(old / "test/test_io.py", corpus, cache))
    ways = [place / name for place in (old, corpus, cache) for name in names]
    there = [str(old / each) for each in names if each != "test/test_io.py"]
    assert json.loads(inside(READ, box, told(desk, ways))) == there
    mine = Path(os.__file__).with_name("mailbox.py")
    box = AgentBox(desk, hidden=(old / "mailbox.py",))
    assert (
        json.loads(inside(READ, box, told(desk, [mine, mine.with_name("os.py")])))[0][-5:]
        == "os.py"
    )


def test_the_python_of_the_runs_is_there_to_check_an_edit(desk: Path, home: Path) -> None:
    venv = home / "lab" / ".venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    box = the_box(desk, programs=(python,))
    (desk / "place").write_text(str(python))  # a path in the command itself would be shown
    code = "$(cat place) -m py_compile train.py; echo $?; ls -A ../../../.."
    (desk / "train.py").write_text("X = 1\n")
    assert call(["sh", "-c", code], box).split() == ["0", ".autoresearch", ".venv"]
    (desk / "train.py").write_text("def (")
    assert call(["sh", "-c", code], box).split()[0] == "1"
    assert call(["sh", "-c", "echo ok"], the_box(desk, programs=(venv / "gone",))) == "ok"


def test_links_that_an_agent_left_lead_nowhere_the_next_time(desk: Path, home: Path) -> None:
    config = home / ".agent"
    config.mkdir()
    (config / "sub").symlink_to(home / "other-lab")
    (desk / "data").symlink_to(home / "other-lab")
    box = AgentBox(desk, frozen=(desk / "data" / "train.py",), writable=(config, config / "sub"))
    ways = told(desk, [home / "other-lab" / "train.py", config / "sub" / "train.py"])
    assert json.loads(inside(READ, box, ways)) == []


# Network and processes


def test_the_network_is_there(desk: Path) -> None:
    code = """\
with socket.create_connection(("localhost", int(words[0])), 10) as there:
    print(there.recv(5).decode())
print([possible(lambda: socket.socket(each, socket.SOCK_STREAM).close()) for each in range(50)
       if each not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)])
print([possible(os.stat, path) for path in ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs")])
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        argv = [PYTHON, "-I", "-c", TRY + code, str(told(desk, [server.getsockname()[1]]))]
        with subprocess.Popen(
            enclose(argv, the_box(desk)), stdout=subprocess.PIPE, text=True
        ) as box:
            server.settimeout(20)
            with server.accept()[0] as connection:
                connection.sendall(b"hello")
            said, _ = box.communicate(timeout=20)
    there = [os.path.exists(f"/etc/{name}") for name in ("hosts", "resolv.conf", "ssl/certs")]  # noqa: PTH110
    assert said.splitlines() == ["hello", str([False] * 46), str(there)]


def test_processes_of_the_host_are_neither_seen_nor_signalled(desk: Path) -> None:
    code = """\
pid, libc = int(words[0]), ctypes.CDLL(None)
print(possible(os.kill, pid, 0), libc.ptrace(16, pid, 0, 0) == 0, os.path.exists(f"/proc/{pid}"),
      len([name for name in os.listdir("/proc") if name.isdigit()]) < 4)
"""
    with subprocess.Popen(["sleep", "60"]) as host:
        seen = inside(code, the_box(desk), told(desk, [host.pid]))
        host.kill()
    assert seen == "False False False True"


def test_nothing_can_be_typed_into_the_terminal_that_it_was_started_from(desk: Path) -> None:
    code = """\
import fcntl
print([possible(fcntl.ioctl, 0, call, b"x") for call in (0x5412, 0x541C)],
      possible(os.open, "/dev/tty", os.O_RDWR), os.isatty(0))
"""
    ours, theirs = pty.openpty()
    plain, said = [PYTHON, "-I", "-c", TRY + code], []
    for argv in (plain, enclose(plain, the_box(desk))):
        take = (
            "import fcntl, os, sys; fcntl.ioctl(0, 0x540e, 0); os.execv(sys.argv[1], sys.argv[1:])"
        )
        done = subprocess.run(
            [PYTHON, "-c", take, *argv], stdin=theirs, start_new_session=True,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        said.append(done.stdout.strip() + done.stderr)
    os.close(ours)
    os.close(theirs)
    assert said[0].endswith("True True")  # outside it is its terminal
    assert said[1] == "[False, False] False True"


CALL = """\
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, words):
    result = libc.syscall(number, -1, -1, -1, -1, -1, -1)
    if result != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS): print(number, result)
"""


def test_no_denied_call_gets_through(desk: Path) -> None:
    column = COLUMN[os.uname().machine]
    denied = [each[column] for name, each in CALLS.items() if name not in agentbox.OF_NAMESPACES]
    assert len(denied) > 25
    assert inside(CALL, the_box(desk), told(desk, [each for each in denied if each])) == ""


@pytest.mark.parametrize("machine", AUDIT)
def test_the_filter_on_both_kinds_of_machine(machine: str) -> None:
    code, kind, column = filter_for_agents(machine), AUDIT[machine], COLUMN[machine]
    special = {name: numbers[column] or 0 for name, numbers in SPECIAL.items()}
    allow, deny = 0x7FFF0000, 0x00050001
    for name, numbers in CALLS.items():
        expected = allow if name in agentbox.OF_NAMESPACES else deny
        assert numbers[column] is None or verdict(code, kind, numbers[column] or 0) == expected
    for name, arguments, expected in (
        *(("socket", (family, 1), allow) for family in (1, 2, 10, 16)),
        *(("socket", (family, 1), deny) for family in (17, 38, 40, 0)),
        *(("ioctl", (0, number), deny) for number in (0x5412, 0x541C)),
        ("ioctl", (0, 0x5401), allow),
        ("clone", (0x10000011,), allow),
        ("clone3", (), allow),
    ):
        assert verdict(code, kind, special[name], *arguments) == expected, (name, arguments)
    assert verdict(code, 0x40000003, 1) == deny  # 32-bit calls
    assert filter_for_agents("riscv64") == b""


def test_an_agents_own_sandbox_works_inside(desk: Path) -> None:
    words = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/"]
    said = call([*words, "--dev", "/dev", "sh", "-c", "touch x; echo $?"], the_box(desk))
    assert said == "1"


HEARTBEAT = """\
import time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    while True:
        open("beat", "w").write(str(time.time()))
        time.sleep(0.01)
while not os.path.exists("beat"): time.sleep(0.01)
if words: time.sleep(60)
"""


def beats(path: Path) -> bool:
    before = path.read_text()
    time.sleep(0.2)
    return path.read_text() != before


def test_everything_dies_with_the_box(desk: Path, tmp_path: Path) -> None:
    beat = desk / "beat"
    inside(HEARTBEAT, the_box(desk))
    assert not beats(beat)
    beat.unlink()
    argv = enclose([PYTHON, "-I", "-c", TRY + HEARTBEAT, str(told(desk, [1]))], the_box(desk))
    with Supervised(
        argv, cwd=desk, env=environment(), log=tmp_path / "log", caps=Caps()
    ) as process:
        deadline = time.monotonic() + 20
        while not beat.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert beats(beat)
        process.stop()
    assert not beats(beat)


# Programs


@pytest.fixture
def local_bin(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home / ".local" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


NODE = "console.log(require('words').text, require('fs').existsSync('{secret}'))\n"


@pytest.mark.parametrize("first", ["#!/usr/bin/env node", "#!/usr/bin/env -S node20 --no-warnings"])
@pytest.mark.parametrize("place", [".nvm/versions/node/v20.1.0/lib", ".npm-global/lib", "project"])
def test_programs_of_node_start(
    place: str, first: str, desk: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    modules = home / place / "node_modules"
    main = script(
        modules / "@maker" / "agent" / "dist" / "index.js",
        f"{first}\n{NODE.format(secret=home / 'secret')}",
    )
    script(modules / "words" / "index.js", "exports.text = 'started'\n")
    folder = modules / ".bin" if place == "project" else modules.parent.parent / "bin"
    folder.mkdir(parents=True)
    (folder / "agent").symlink_to(os.path.relpath(main, folder))
    (folder / "node20").symlink_to(str(shutil.which("node")))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert call(["agent"], the_box(desk)) == "started false"


def test_a_shim_of_pnpm_starts(local_bin: Path, desk: Path, home: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    main = "global/5/node_modules/agent/index.js"
    script(local_bin / main, NODE.format(secret=home / "secret"))
    script(local_bin / "global/5/node_modules/words/index.js", "exports.text = 'started'\n")
    shim = (
        '#!/bin/sh\nbasedir=$(dirname "$(echo "$0" | sed -e \'s,\\\\,/,g\')")\n\n'
        f'if [ -x "$basedir/node" ]; then\n  exec "$basedir/node"  "$basedir/{main}" "$@"\n'
        f'else\n  exec node  "$basedir/{main}" "$@"\nfi\n'
    )
    script(local_bin / "agent", shim)
    assert call(["agent"], the_box(desk)) == "started false"


PYTHON_TOOL = "import os, words; print(words.TEXT, os.path.exists({secret!r}))\n"


def test_tools_of_python_start(local_bin: Path, desk: Path, home: Path) -> None:
    """As pipx and uv install them: a link to a script in an environment of its own."""
    venv = home / ".local" / "share" / "uv" / "tools" / "my agent"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "words.py").write_text("TEXT = 'started'\n")
    # a path with a space cannot stand in a first line: this is what installers write instead
    first = f"#!/bin/sh\n'''exec' '{venv}/bin/python' \"$0\" \"$@\"\n' '''\n"
    tool = PYTHON_TOOL.format(secret=str(home / "secret"))
    main = script(venv / "bin" / "agent", first + tool)
    (local_bin / "agent").symlink_to(main)
    assert call(["agent"], the_box(desk)) == "started False"
    code = "import words; print(words.TEXT)"
    assert call([venv / "bin" / "python", "-c", code], the_box(desk)) == "started"
    neighbour = told(desk, [home / ".local" / "share" / "keyrings"])
    (home / ".local" / "share" / "keyrings").write_text("secret")
    assert json.loads(inside(READ, the_box(desk), neighbour)) == []


BOTH = (("bin", "lib"), ("lib", "bin"))


def test_a_tool_of_pip_for_one_user_starts(local_bin: Path, desk: Path, home: Path) -> None:
    system = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if system is None:
        pytest.skip("there is no Python of the system")
    code = "import site; print(site.getusersitepackages())"
    said = subprocess.run([system, "-c", code], capture_output=True, text=True, check=True)
    script(Path(said.stdout.strip()) / "words.py", "TEXT = 'started'\n")
    tool = PYTHON_TOOL.format(secret=str(home / "secret"))
    (home / ".local" / "share").mkdir()
    tool += f"print(os.listdir({str(home / '.local')!r}))\n"
    script(local_bin / "agent", f"#!{system}\n{tool}")
    assert call(["agent"], the_box(desk)) in [f"started False\n{[*names]}" for names in BOTH]


def test_a_binary_and_what_lies_beside_it_are_there(
    local_bin: Path, desk: Path, home: Path
) -> None:
    versions = home / ".local" / "share" / "agent" / "versions" / "1.0"
    versions.mkdir(parents=True)
    shutil.copy("/bin/ls", versions / "agent")
    (versions / "data").touch()
    (local_bin / "agent").symlink_to(versions / "agent")
    (local_bin / "other").touch()
    said = call(["agent", versions, local_bin, home / ".local" / "share"], the_box(desk))
    assert said.split() == [
        f"{local_bin}:", "agent", f"{home}/.local/share:", "agent", f"{versions}:", "agent", "data",
    ]  # fmt: skip


def test_a_script_shows_nothing_of_the_project_that_it_lies_in(
    local_bin: Path, desk: Path, home: Path
) -> None:
    main = script(home / "other-lab" / "agent.sh", "#!/bin/sh\nls -A $(dirname $(realpath $0))\n")
    (home / "other-lab" / "program.md").touch()
    (local_bin / "agent").symlink_to(main)
    assert call(["agent"], the_box(desk)) == "agent.sh"
    assert call([main], the_box(desk)) == "agent.sh"
    assert call(["sh", main], the_box(desk)) == "agent.sh"  # named in the command
    (home / "scripts").mkdir()
    loose = shutil.copy(main, home / "scripts" / "agent.sh")
    (home / "scripts" / "other").touch()
    assert call([loose], the_box(desk)) == "agent.sh"
    words = ["sh", "-c", f"ls -A {main.parent}", "sh", f"--script={main}"]
    assert call(words, the_box(desk)) == "agent.sh"


def test_a_file_of_the_desk_that_the_command_names_can_still_be_written(desk: Path) -> None:
    call(["sh", "-c", 'echo new >"$1"', "sh", desk / "train.py"], the_box(desk))
    assert (desk / "train.py").read_text() == "new\n"


@pytest.fixture
def own_program(local_bin: Path, home: Path) -> Path:
    """As `claude` lies after it has moved itself there: in the folder that the agent writes."""
    program = script(home / ".claude" / "local" / "claude", '#!/bin/sh\nexec cat "$@"\n')
    (local_bin / "claude").symlink_to(program)
    return program


TRAPS = {
    "a wrapper's second line": "#!/bin/sh\n: exec x {secret}\nexec cat {secret}\n",
    "a wrapper that is never run": "#!/bin/sh\ncat {secret}; exit\nexec {secret}\n",
    "a first line": "#!/usr/bin/env -S {secret}\n",
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
@pytest.mark.parametrize("name", ["claude", "{own}"])
def test_an_agent_that_rewrites_its_own_program_is_shown_nothing_for_it(
    name: str, trap: str, own_program: Path, desk: Path, home: Path
) -> None:
    box, secret = the_box(desk, writable=(home / ".claude",)), home / "secret"
    secret.chmod(0o755)
    name = name.format(own=own_program)
    first = "cd $1; mv local aside; mkdir local; cp $2 local/claude; chmod 755 local/claude"
    (desk / "trap").write_text(trap.format(secret=secret))
    call(["sh", "-c", first, "sh", home / ".claude", desk / "trap"], box)
    argv = enclose([name], box)
    assert str(secret) not in argv
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert secret.read_text() not in done.stdout


def test_no_link_of_an_agent_leads_out_of_its_folder(
    local_bin: Path, desk: Path, home: Path
) -> None:
    """Whichever way to it the person takes: the command, a grant, certificates."""
    config, secret = home / ".claude", home / "secret"
    (config / "inner").mkdir(parents=True)
    (config / "inner" / "file").write_text("its own")
    for way in (home / "script", local_bin / "tool"):
        way.symlink_to(config / "inner" / "file")
    (config / "inner" / "file").chmod(0o755)
    secret.chmod(0o755)
    ways = [home / "script", config / "inner" / "file", config / "inner"]
    for readable in ((), (home / "script",), (config / "inner" / "file",), (config / "inner",)):
        box = the_box(desk, writable=(config,), readable=readable)
        assert call(["cat", ways[0]], box) == "its own"
        (config / "inner" / "file").unlink()
        (config / "inner" / "file").symlink_to(secret)
        assert json.loads(inside(READ, box, told(desk, [*ways, secret]))) == []
        assert str(secret) not in enclose(["tool", str(ways[0])], box)
        (config / "inner" / "file").unlink()
        (config / "inner" / "file").write_text("its own")


def test_no_program_that_an_agent_wrote_is_run_outside_to_be_asked_what_it_needs(
    own_program: Path, desk: Path, home: Path
) -> None:
    fake = script(own_program.with_name("python3"), f"#!/bin/sh\ntouch {home}/escaped\n")
    own_program.write_text(f"#!{fake}\n")
    enclose(["claude"], the_box(desk, writable=(home / ".claude",)))
    assert not (home / "escaped").exists()


def test_a_program_among_the_agents_own_files_starts_with_the_node_of_the_path(
    own_program: Path, desk: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin = home / ".nvm" / "versions" / "node" / "v20.1.0" / "bin"
    script(bin / "node", "#!/bin/sh\necho started\n")
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    main = script(own_program.parent / "node_modules" / "agent.js", "#!/usr/bin/env node\n")
    own_program.write_text(f'#!/bin/sh\nexec "{main}" "$@"\n')
    assert call(["claude"], the_box(desk, writable=(home / ".claude",))) == "started"


def test_managers_of_versions_are_shown_whole(home: Path) -> None:
    shim = script(home / ".asdf" / "shims" / "agent", "#!/bin/sh\nexec asdf exec agent\n")
    assert home / ".asdf" in agentbox.needs(shim)
    volta = script(home / ".volta" / "bin" / "agent", "#!/bin/sh\n")
    assert home / ".volta" in agentbox.needs(volta)
    brew = home / "linuxbrew" / ".linuxbrew"
    keg = script(brew / "Cellar" / "agent" / "1.0" / "bin" / "agent", "binary")
    (brew / "bin").mkdir()
    (brew / "bin" / "agent").symlink_to(keg)
    assert {brew / "Cellar", brew / "bin"} <= set(agentbox.needs(brew / "bin" / "agent"))


# Whether it can be had


def test_what_is_not_there_is_said(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="'no-such-agent' is not there: install it"):
        enclose(["no-such-agent"], the_box(desk))
    with pytest.raises(UserError, match=r"cannot be shown .*missing: it is not there"):
        enclose(["sh"], the_box(desk, readable=(desk / "missing",)))
    with pytest.raises(UserError, match=r"train\.py/in cannot be made .*: make it yourself"):
        enclose(["sh"], the_box(desk, writable=(desk / "train.py" / "in",)))
    monkeypatch.setenv("AUTORESEARCH_TIER", "2")
    assert "AUTORESEARCH_TIER=2" in obstacle()
    monkeypatch.delenv("AUTORESEARCH_TIER")
    assert obstacle() == ""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="install your system's package `bubblewrap`"):
        enclose(["/bin/sh"], the_box(desk))


def test_a_box_that_does_not_hold_is_an_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_box = 'while [ "$1" != -- ]; do shift; done; shift; cd "$TREE" || exit; exec "$@"'
    fakes = {
        "a file outside can be read": f"#!/bin/sh\nTREE=/tmp\n{open_box}\n",
        "no namespaces today": "#!/bin/sh\necho 'no namespaces today' >&2; exit 1\n",
    }
    for expected, text in fakes.items():
        script(tmp_path / "bwrap", text)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert agentbox.trial.__wrapped__() == expected


def test_it_works_for_root_and_for_an_ordinary_user() -> None:
    system = shutil.which("python3", path="/usr/bin")
    if os.getuid() or system is None or shutil.which("setpriv") is None:
        pytest.skip("only root with setpriv and a system Python can become somebody else")
    with tempfile.TemporaryDirectory(prefix="ordinary-") as name:
        for each in (Path(name), *(Path(name, part) for part in ("home", "tmp", "home/desk"))):
            each.mkdir(exist_ok=True)
            os.chown(each, 65534, 65534)
        code = (
            "import subprocess, pathlib\n"
            "from autoresearch.box.agentbox import *; print(obstacle())\n"
            "box = AgentBox(pathlib.Path.home() / 'desk', writable=(pathlib.Path.home() / '.a',))\n"
            "own = 'bwrap --unshare-user --unshare-pid --ro-bind / / --proc /proc --dev /dev'\n"
            "words = f'id -u; touch x ~/.a/x; ls -A ~; cat /proc/1/comm; {own} echo nested'\n"
            "subprocess.run(enclose(['sh', '-c', words], box), check=True)\n"
        )
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", system, "-c"]
        known = {"HOME": f"{name}/home", "TMPDIR": f"{name}/tmp", "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            [*command, code], env={**environment(), **known, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "No module named 'autoresearch'" in done.stderr:
            pytest.skip("an ordinary user cannot read this checkout")
        assert done.stderr == ""
        assert done.stdout.split() == ["65534", ".a", "desk", "bwrap", "nested"]
        assert Path(name, "home", ".a", "x").exists()
