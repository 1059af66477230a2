"""Protects the machine from a run: caps hold, nothing of it survives, it sees no key of ours."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch import process
from autoresearch.errors import Stopped
from autoresearch.process import Caps, Ending, Supervised, environment, last_line, run
from autoresearch.runners.local import Neighbours

ORPHAN = """\
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    path = pathlib.Path(sys.argv[1])
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
    time.sleep(60)
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
"""


def execute(tmp_path: Path, code: str, *words: str, caps: Caps | None = None) -> Ending:
    argv = [sys.executable, "-c", code, *words]
    log = tmp_path / "log"
    return run(argv, cwd=tmp_path, env=environment(), log=log, caps=caps or Caps(seconds=20))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state != b"Z"


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_exit_code_output_and_peak_memory(tmp_path: Path) -> None:
    code = "import time; x = bytearray(b'x' * 2**26); time.sleep(.3); print('bye'); exit(7)"
    ending = execute(tmp_path, code)
    assert (ending.exit_code, ending.stopped, ending.error) == (7, "", "")
    assert 2**26 < ending.peak_memory_bytes < 2**28
    assert last_line(tmp_path / "log") == "bye"


def test_a_killed_command_and_one_that_is_not_there(tmp_path: Path) -> None:
    assert execute(tmp_path, "import os; os.kill(os.getpid(), 9)").exit_code == -9
    missing = run(
        ["/no/such/program"], cwd=tmp_path, env=environment(), log=tmp_path / "log", caps=Caps()
    )
    assert missing.exit_code == 127
    assert "No such file" in missing.error


def test_the_cap_on_time(tmp_path: Path) -> None:
    began = time.monotonic()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    assert execute(tmp_path, code, caps=Caps(seconds=0.3)).stopped == "time"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("before", ["", "import os\nif os.fork(): os.wait(); raise SystemExit\n"])
def test_the_cap_on_memory_counts_children_too(tmp_path: Path, before: str) -> None:
    code = before + "import time\nx = []\nwhile True: x.append(b'x' * 2**22); time.sleep(0.002)"
    ending = execute(tmp_path, code, caps=Caps(seconds=20, memory_bytes=2**28))
    assert ending.stopped == "memory"
    assert ending.peak_memory_bytes < 2**30


def test_the_bound_of_the_log(tmp_path: Path) -> None:
    ending = execute(tmp_path, "while True: print('x' * 1000)", caps=Caps(20, log_bytes=100_000))
    assert ending.stopped == "log"
    assert (tmp_path / "log").stat().st_size == 100_000


def test_the_cap_on_a_file(tmp_path: Path) -> None:
    code = "open('big', 'wb').write(bytes(2**20))"
    ending = execute(tmp_path, code, caps=Caps(20, file_bytes=2**16))
    assert ending.exit_code
    assert (tmp_path / "big").stat().st_size <= 2**16
    assert "File too large" in last_line(tmp_path / "log")


def test_the_cap_on_processes(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nmany, seconds = map(int, sys.argv[1:])\n"
        "for _ in range(many):\n    if not os.fork(): break\ntime.sleep(seconds)"
    )
    caps = Caps(seconds=20, processes=20)
    assert execute(tmp_path, code, "15", "1", caps=caps).stopped == ""
    assert execute(tmp_path, code, "100", "60", caps=caps).stopped == "processes"


FLOODS = {
    "one file": "f = open('out/x', 'wb')\nwhile True: f.write(bytes(2**16)); f.flush()",
    "many files": (
        "import os, itertools\nos.makedirs('out/deep/er')\n"
        "for i in itertools.count(): open(f'out/deep/er/{i}', 'wb').write(bytes(2**16))"
    ),
    "a deleted file": (
        "import os\nf = open('out/x', 'wb')\nos.unlink('out/x')\n"
        "while True: f.write(bytes(2**16)); f.flush()"
    ),
    "a file in memory": (
        "import os\nf = open(os.memfd_create('x'), 'wb')\n"
        "while True: f.write(bytes(2**16)); f.flush()"
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_the_cap_on_the_disk(tmp_path: Path, flood: str) -> None:
    (tmp_path / "out").mkdir()
    folders = (tmp_path / "out", tmp_path / "missing")
    caps = Caps(seconds=20, file_bytes=2**30, disk_bytes=2**24, disk_folders=folders)
    assert execute(tmp_path, FLOODS[flood], caps=caps).stopped == "disk"


def test_what_fits_the_disk_and_what_lies_elsewhere_is_no_flood(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    code = (
        "import os, time\n"
        "for path in ('out/x', 'elsewhere'): open(path, 'wb').write(bytes(2**20))\n"
        "for i in range(40): os.link('out/x', f'out/{i}')\n"  # one file, whatever its names
        "time.sleep(.4)"
    )
    caps = Caps(seconds=20, disk_bytes=2**21, disk_folders=(tmp_path / "out",))
    assert execute(tmp_path, code, caps=caps).stopped == ""


def test_an_orphan_in_its_own_session_is_killed_when_the_command_ends(tmp_path: Path) -> None:
    began = time.monotonic()
    assert execute(tmp_path, ORPHAN, str(tmp_path / "pid")).exit_code == 0
    assert not is_alive(int((tmp_path / "pid").read_text()))
    assert time.monotonic() - began < 10


def test_a_fork_bomb_cannot_outrun_the_end(tmp_path: Path) -> None:
    code = (
        "import os, time\nend = time.time() + 5\nopen('go', 'w')\n"
        "while time.time() < end:\n    if os.fork(): time.sleep(0.02); os._exit(0)\n"
        "    os.setsid()\n"
    )
    argv = [sys.executable, "-c", code]
    with Supervised(
        argv,
        cwd=tmp_path,
        env=environment({"MARK": str(tmp_path)}),
        log=tmp_path / "log",
        caps=Caps(),
    ) as process:
        assert process.ending(timeout=3.0) is not None
    time.sleep(0.1)
    mark = os.fsencode(f"MARK={tmp_path}")
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert mark not in entry.read_bytes()
        except OSError:
            continue


def test_leaving_the_block_stops_all_and_a_tick_may_raise(tmp_path: Path) -> None:
    def tick() -> None:
        if (tmp_path / "pid").exists():
            raise Stopped

    argv = [sys.executable, "-c", ORPHAN + "time.sleep(60)", str(tmp_path / "pid")]
    with pytest.raises(Stopped):
        run(argv, cwd=tmp_path, env=environment(), log=tmp_path / "log", caps=Caps(), tick=tick)
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_stop_that_ended_the_command_first_is_a_stop(tmp_path: Path) -> None:
    """A shutdown signals all processes, one after the other: the supervisor before the engine."""

    def tick() -> None:
        if (tmp_path / "asked").exists():
            raise Stopped

    code = "import os, time; os.kill(os.getppid(), 15); time.sleep(0.1); open('asked', 'w')"
    with pytest.raises(Stopped):
        run(
            [sys.executable, "-c", code],
            cwd=tmp_path, env=environment(), log=tmp_path / "log", caps=Caps(), tick=tick,
        )  # fmt: skip


ENGINE = """\
import json, pathlib, sys
from autoresearch.process import Caps, environment, run
folder = pathlib.Path(sys.argv[1])
argv = [sys.executable, "-c", sys.argv[2], str(folder / "pid")]
run(argv, cwd=folder, env=environment(), log=folder / "log", caps=Caps())
"""


def test_the_death_of_the_engine_kills_everything(tmp_path: Path) -> None:
    words = [str(tmp_path), ORPHAN + "time.sleep(60)"]
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, *words])
    orphan = wait_for(tmp_path / "pid")
    assert is_alive(orphan)
    engine.kill()
    engine.wait()
    assert gone_within(orphan, 3)


def test_nothing_is_started_whose_log_cannot_be_made(tmp_path: Path) -> None:
    ending = run(
        [sys.executable, "-c", "open('ran', 'w')"],
        cwd=tmp_path, env=environment(), log=tmp_path / "missing" / "log", caps=Caps(),
    )  # fmt: skip
    assert ending.exit_code == 127
    assert "No such file" in ending.error
    assert not (tmp_path / "ran").exists()


def test_a_supervisor_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE_SECONDS", 0.2)
    code = ORPHAN.replace("time.sleep(60)", "os.kill(SUPERVISOR, 19); time.sleep(60)")
    argv = [sys.executable, "-c", f"import os; SUPERVISOR = os.getppid()\n{code}time.sleep(60)"]
    log, pid = tmp_path / "log", tmp_path / "pid"
    with Supervised(
        [*argv, str(pid)], cwd=tmp_path, env=environment(), log=log, caps=Caps()
    ) as stopped:
        wait_for(pid)
        time.sleep(0.1)
        began = time.monotonic()
        assert stopped.stop().error == "its supervisor does not answer"
    assert time.monotonic() - began < 3
    assert gone_within(wait_for(pid), 3)


OTHER_USER = """\
import os, pathlib, sys, time
def work():
    os.setresuid(0, 0, 0)
    path = pathlib.Path("pid")
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
    time.sleep(60)
if sys.argv[1] == "command" or os.fork() == 0: work()
while not os.path.exists("pid"): time.sleep(0.01)
"""
ENGINE_OF_A_USER = """\
import pathlib, sys
from autoresearch import process
process.PATIENCE_SECONDS = 0.2
folder, argv = pathlib.Path(sys.argv[1]), [sys.executable, "-c", *sys.argv[2:]]
caps = process.Caps(seconds=1)
print(process.run(argv, cwd=folder, env=process.environment(), log=folder / "log", caps=caps))
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="no two users here")
@pytest.mark.parametrize("who", ["command", "its child"])
def test_what_cannot_be_killed_is_named_and_not_waited_for(tmp_path: Path, who: str) -> None:
    """As behind `sudo`; a process that hangs in a driver is no different."""
    user = ["--reuid=65534", "--inh-caps=+setuid,+dac_override"]
    user += ["--ambient-caps=+setuid,+dac_override", "--bounding-set=-kill"]
    argv = ["setpriv", *user, sys.executable, "-c", ENGINE_OF_A_USER, str(tmp_path)]
    engine = subprocess.Popen([*argv, OTHER_USER, who], stdout=subprocess.PIPE, text=True)
    left = wait_for(tmp_path / "pid")
    try:
        said, _ = engine.communicate(timeout=20)
    finally:
        engine.kill()
        os.kill(left, signal.SIGKILL)
    assert f"error='not all of it can be killed: {left}'" in said
    assert "exit_code=1" in said


BUSY = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


def test_the_share_of_other_programs(tmp_path: Path) -> None:
    """A program beside the run counts, the run itself does not; never a share that is made up."""
    argv, caps = [sys.executable, "-c", BUSY], Caps(seconds=60)
    with (
        Supervised(
            argv, cwd=tmp_path, env=environment(), log=tmp_path / "log", caps=caps
        ) as process,
        subprocess.Popen(argv) as neighbour,
    ):
        while process.cpu_seconds() < 0.1:
            time.sleep(0.05)
        own = process.cpu_seconds()
        with Neighbours(process) as both:
            time.sleep(2)
        assert own < process.cpu_seconds()
        with Neighbours(process) as blink:
            time.sleep(0.1)
        with Neighbours(process) as ended:
            time.sleep(1.1)
            process.stop()
        neighbour.kill()
    assert both.percent > 30 / (os.cpu_count() or 1)
    assert both.percent < 100
    assert blink.percent == ended.percent == 0.0


def test_a_ctrl_c_on_the_terminal_does_not_reach_the_command(tmp_path: Path) -> None:
    words = [str(tmp_path), ORPHAN + "time.sleep(60)"]
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + ENGINE
    engine = subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=True)
    orphan = wait_for(tmp_path / "pid")
    os.killpg(engine.pid, signal.SIGINT)
    time.sleep(0.3)
    assert engine.poll() is None
    assert is_alive(orphan)
    engine.kill()
    engine.wait()
    assert gone_within(orphan, 3)


def test_no_key_and_no_python_setting_of_ours_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "GH_TOKEN",
    )
    python = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD", "SSH_AUTH_SOCK", "GIT_DIR")
    for name in (*secret, *python):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    seen = environment({"MORE": "1"})
    assert not set(seen) & {*secret, *python}
    assert "secret" not in seen.values()
    assert (seen["PATH"], seen["MORE"]) == (os.environ["PATH"], "1")
    assert seen["CUDA_VISIBLE_DEVICES"] == "0"
    monkeypatch.delenv("PYTHONHOME")  # the supervisor's own interpreter is started with `seen`
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    execute(tmp_path, code)
    told = json.loads((tmp_path / "log").read_text())
    assert "secret" not in told.values()


def test_there_is_no_standard_input(tmp_path: Path) -> None:
    code = "import sys; print(repr(sys.stdin.read()))"
    execute(tmp_path, code)
    assert last_line(tmp_path / "log") == "''"


def test_the_last_line_is_the_last_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes(b"x" * 100_000 + b"\nfirst\rlast \x1b[31mred\xff\n\n  \n")
    assert last_line(log).startswith("last red")


def test_a_command_can_be_talked_to_and_is_told_when_nobody_is_left(tmp_path: Path) -> None:
    code = (
        "import sys\nfor line in sys.stdin: print('heard', line.strip(), flush=True)\n"
        "print('nobody is left', file=sys.stderr)"
    )
    (theirs, ours), (ear, mouth) = os.pipe(), os.pipe()
    with Supervised(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), log=tmp_path / "log",
        caps=Caps(seconds=20), stdin=theirs, stdout=mouth,
    ) as process:  # fmt: skip
        os.close(theirs)
        os.close(mouth)
        with os.fdopen(ours, "w") as voice, os.fdopen(ear) as answers:
            print("one", file=voice, flush=True)
            assert answers.readline() == "heard one\n"
            assert process.ending(timeout=0.0) is None
            voice.close()
            ending = process.ending(timeout=10.0)
            assert answers.read() == ""  # no copy of its end is left open anywhere
    assert ending is not None
    assert (ending.exit_code, ending.said) == (0, "nobody is left")
    assert (tmp_path / "log").read_text() == "nobody is left\n"  # and what it printed is not there


def test_the_end_of_a_command_is_heard_while_the_supervisor_lives(tmp_path: Path) -> None:
    ear, mouth = os.pipe()
    code = "import os, time; os.close(1); time.sleep(60)"
    with Supervised(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), log=tmp_path / "log",
        caps=Caps(seconds=20), stdout=mouth,
    ) as process:  # fmt: skip
        os.close(mouth)
        with os.fdopen(ear, "rb") as answers:
            assert answers.read() == b""  # so neither the supervisor nor we hold a copy
        assert process.ending(timeout=0.0) is None
