"""Protects `cmd:`: any program's edit becomes a proposal, and no program can stop the night."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autoresearch.box import agentbox, sandbox
from autoresearch.box.sandbox import Tier
from autoresearch.errors import Failed, Stopped, Unavailable, UserError
from autoresearch.experiment import Proposal
from autoresearch.researchers import command
from autoresearch.researchers.base import Desk
from autoresearch.researchers.command import Command
from autoresearch.researchers.fallback import WithFallback
from autoresearch.researchers.settings import Settings
from autoresearch.testing.bench import Bench

EDIT = "sed -i 's/^X = .*/X = 2.5/' train.py"
STATE = """\
echo 'Description: X 1 -> 2.5'
echo '**Hypothesis:** the loss has its minimum'
echo 'at 3.'
echo 'Expected: -3.75'
"""
WORDS = ("X 1 -> 2.5", "the loss has its minimum at 3. Expected: -3.75 (val_bpb)")
BARE = Settings(boxed=False)
Write = Callable[[str], str]


@pytest.fixture(params=[True, False], ids=["boxed", "not boxed"])
def settings(request: pytest.FixtureRequest) -> Settings:
    if request.param and (reason := sandbox.obstacle(Tier.BUBBLEWRAP)):
        pytest.skip(f"bubblewrap cannot run here: {reason}")
    assert not request.param or agentbox.obstacle() == ""
    return Settings(boxed=request.param)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def program(tmp_path: Path) -> Write:
    """A shell script, written at once; its whole path."""

    def write(text: str) -> str:
        path = tmp_path / "program" / "agent.sh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


def talk(bench: Bench) -> str:
    return "".join(bench.ledger.talks)


def propose(bench: Bench, line: str, settings: Settings, **desk: object) -> tuple[Desk, Proposal]:
    made = replace(bench.desk(), **desk)  # type: ignore[arg-type]
    return made, Command(shlex.split(line), settings).propose(made)


@contextmanager
def leaving_no_process() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def test_an_edit_and_its_statement_are_the_proposal(
    bench: Bench, program: Write, settings: Settings
) -> None:
    line = program(f"cat >/dev/null\n{EDIT}\nprintf '\\033[1mdone\\033[0m\\n'\n{STATE}")
    desk, proposal = propose(bench, line, settings)
    assert (proposal.description, proposal.hypothesis) == WORDS
    assert desk.objection() == ""
    assert b"X = 2.5\n" in (desk.tree / "train.py").read_bytes()
    assert line in talk(bench)
    assert "the minimum" in talk(bench) or "its minimum" in talk(bench)
    assert bench.ledger.notes == []
    _, silent = propose(bench, program(EDIT), settings)
    assert (silent.description, silent.hypothesis) == ("a change by agent.sh", "")


ECHO = f"cp prompt-seen /dev/stdout; {EDIT}"


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("", "cat"),
        ("--message-file {prompt} --yes", 'test "$3" = --yes && cat "$2"'),
        ("--message-file={prompt}", 'cat "${1#--message-file=}"'),
        ("'-m {text}' x", 'test "$2" = x && printf %s "${1#-m }"'),
    ],
)
def test_the_prompt_comes_as_the_command_asks(
    words: str, read: str, bench: Bench, program: Write, settings: Settings
) -> None:
    """With quotes and placeholders in it, which stay what they are."""
    strategy = "Find \"X\"; $(touch hacked) {prompt} {text} `id` and 'Y'."
    own = replace(bench.program, body=strategy)
    line = f"{program(f'{read} >seen; test -t 0 || cat >rest; {EDIT}')} {words}"
    desk, _ = propose(bench, line, settings, program=own)
    seen = (desk.tree / "seen").read_text()
    assert strategy in seen
    assert "`history/README.md`" in seen
    assert seen.rstrip().endswith("e.g. -0.01>")
    assert (desk.tree / "rest").read_text() == ""  # nothing is left to wait for
    assert not (desk.tree / "hacked").exists()


def test_a_prompt_that_no_argument_can_hold_is_named_instead(bench: Bench, program: Write) -> None:
    own = replace(bench.program, body="0123456789\n" * 20_000)
    line = program(f'file=${{1#*file }}; cat "${{file%%: read*}}" >seen; {EDIT}') + " {text}"
    desk, _ = propose(bench, line, BARE, program=own)
    assert (desk.tree / "seen").stat().st_size > 220_000


def test_one_that_changes_nothing_is_told_to_go_on(bench: Bench, program: Write) -> None:
    """As an agent that asks a question and waits: nobody answers."""
    ask = f"cat >prompt; if grep -q 'Nobody is here to answer' prompt; then {EDIT}; {STATE}else "
    line = program(f"{ask} echo 'May I change X?'; fi")
    desk, proposal = propose(bench, line, BARE)
    assert proposal.description == WORDS[0]
    (note,) = bench.ledger.notes
    assert note[0] == "nudged"
    assert "changes nothing" in note[1]
    prompt = (desk.tree / "prompt").read_text()
    assert "You ended with: May I change X?" in prompt
    assert "`history/README.md`" in prompt  # it forgot everything, so all is said again


def test_one_that_never_changes_anything_is_given_up(bench: Bench, program: Write) -> None:
    calls = bench.folder / "place" / "desk" / "calls"
    with pytest.raises(Failed, match=r"agent\.sh ended without .*: the proposal changes nothing"):
        propose(bench, program("echo . >>calls; echo OK"), BARE)
    assert len(calls.read_text().split()) == 1 + BARE.nudges
    assert bench.ledger.kinds() == ["nudged"] * BARE.nudges


def test_locked_files_the_history_and_git_cannot_be_changed_in_the_box(
    bench: Bench, program: Write
) -> None:
    tries = "echo 1 >>prepare.py; rm -f prepare.py; echo 1 >history/README.md; echo 1 >program.md"
    tries += "; echo 1 >>.git/config; mkdir .git/hooks"
    desk, _ = propose(bench, program(f"{tries}; {EDIT}"), Settings())
    assert desk.objection() == ""
    said = talk(bench)
    assert said.count("Read-only file system") + said.count("Permission denied") == 5
    assert "Device or resource busy" in said


def test_a_locked_file_that_was_changed_is_said_to_the_program(
    bench: Bench, program: Write
) -> None:
    """Without a box it can; then it is told, and may mend it."""
    first = f"cp prepare.py ../kept; rm -f prepare.py; echo 1 >prepare.py; {EDIT}"
    line = program(f"if [ -e ../kept ]; then mv -f ../kept prepare.py; else {first}; fi")
    propose(bench, line, BARE)
    assert bench.ledger.notes == [("nudged", "agent.sh: changed prepare.py, which is locked")]
    with pytest.raises(Failed, match=r"changed prepare\.py, which is locked"):
        propose(bench, program("rm -f prepare.py; touch prepare.py"), BARE)


SECRETS = """\
for path in "$HOME/.ssh-like" ../../lab/train.py ../../lab/.git/HEAD; do
    if cat "$path"; then echo "read $path"; fi
done
echo >../escaped
"""


def test_the_box_is_around_it_and_grants_open_it(
    bench: Bench, program: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    secret = tmp_path / "home" / ".ssh-like"
    secret.write_text("secret")
    line = program(f"{SECRETS}\n{EDIT}")
    desk, _ = propose(bench, line, Settings())
    assert "read " not in talk(bench)
    assert not (desk.tree.parent / "escaped").exists()
    propose(bench, line, Settings(grants=(secret,)))
    assert talk(bench).count("read ") == 1
    propose(bench, line, BARE)
    assert talk(bench).count("read ") == 3
    assert (desk.tree.parent / "escaped").exists()


def test_an_agent_that_is_known_finds_its_login_and_its_key(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bin", "home/.claude"):
        (tmp_path / name).mkdir(parents=True)
    script = tmp_path / "bin" / "claude"
    script.write_text(f'#!/bin/sh\ncat ~/.claude/login; echo "$CLAUDE_CODE_OAUTH_TOKEN"; {EDIT}\n')
    script.chmod(0o755)
    (tmp_path / "home" / ".claude" / "login").write_text("it's me\n")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "token-1")
    propose(bench, "claude -p", Settings())
    assert "it's me\ntoken-1\n" in talk(bench)
    script.rename(script.with_name("other"))
    propose(bench, "other -p", Settings())
    assert "it's me" not in talk(bench)
    assert "token-1" not in talk(bench)


def test_without_a_box_it_is_said_once(
    bench: Bench, program: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", "1")
    researcher = Command([program(EDIT)])
    researcher.propose(bench.desk())
    assert bench.ledger.kinds() == ["unboxed"]
    assert "AUTORESEARCH_TIER=1" in bench.ledger.notes[0][1]
    researcher.propose(bench.desk())
    assert bench.ledger.notes == []


# Programs that fail


def test_one_that_dies_twice_at_once_cannot_be_reached(
    bench: Bench, program: Write, settings: Settings
) -> None:
    line = program("echo 'no such option: --yes' >&2; exit 3")
    with pytest.raises(Unavailable, match=r"agent\.sh ended with exit code 3: no such .*, twice"):
        propose(bench, line, settings)
    assert bench.ledger.kinds() == ["restarted"]
    line = program(f"[ -e born ] || {{ touch born; exit 3; }}; {EDIT}")
    propose(bench, line, settings)
    assert bench.ledger.kinds() == ["restarted"]


def test_one_that_dies_at_its_work_has_failed(
    bench: Bench, program: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "INSTANT_SECONDS", 0.0)
    with pytest.raises(Failed, match="exit code 3: I give up") as error:
        propose(bench, program("echo 'I give up'; exit 3"), BARE)
    assert not isinstance(error.value, Unavailable)
    assert bench.ledger.notes == []
    propose(bench, program(f"{EDIT}; {STATE}exit 1"), BARE)  # its change is good all the same
    assert bench.ledger.kinds() == ["ended"]


@pytest.mark.parametrize("code", [0, 1])
def test_one_whose_model_cannot_be_reached_says_so(code: int, bench: Bench, program: Write) -> None:
    line = program(f"echo 'API Error: 429 rate limit, try again in 90s'; exit {code}")
    with pytest.raises(Unavailable, match=r"agent\.sh: rate limit") as error:
        propose(bench, line, BARE)
    assert error.value.retry_seconds == 90
    assert bench.ledger.notes == []
    propose(bench, program(f"echo 'rate limit, tried again'; {EDIT}; exit {code}"), BARE)


def test_one_that_hangs_is_stopped_with_its_children(
    bench: Bench, program: Write, settings: Settings
) -> None:
    line = program(f"{EDIT}; setsid sleep 60 & echo thinking; sleep 60")
    began = time.monotonic()
    with leaving_no_process(), pytest.raises(Unavailable, match=r"hangs: .* after \d+ s: thinking"):
        propose(bench, line, settings, seconds=1.0)
    assert time.monotonic() - began < 10


def test_children_that_outlive_it_end_with_it(
    bench: Bench, program: Write, settings: Settings
) -> None:
    line = program(f"(setsid sleep 60 &) ; {EDIT}")
    began = time.monotonic()
    with leaving_no_process():
        propose(bench, line, settings)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("edit", ["true", EDIT])
def test_a_flood_is_stopped_and_a_good_change_is_taken(
    edit: str, bench: Bench, program: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TALK_BYTES", 2**20)
    line = program(f"{edit}; {STATE}yes 'all work and no play'")
    if edit is EDIT:
        propose(bench, line, BARE)
        assert bench.ledger.kinds() == ["ended"]
    else:
        with pytest.raises(Failed, match=r"agent\.sh printed more than 1 MB"):
            propose(bench, line, BARE)
    assert len(talk(bench)) < 2**20 + 2**16


def test_a_stop_ends_it_at_once(bench: Bench, program: Write, settings: Settings) -> None:
    """And what it had said by then is in the talk."""

    def tick() -> None:
        if "thinking" in talk(bench):
            raise Stopped

    line = program("echo thinking; sleep 60")
    began = time.monotonic()
    with leaving_no_process(), pytest.raises(Stopped):
        propose(bench, line, settings, tick=tick)
    assert time.monotonic() - began < 10


def test_a_stop_that_ended_it_first_is_a_stop(bench: Bench, program: Write) -> None:
    """Half an edit is no proposal."""
    asked = bench.folder / "asked"

    def tick() -> None:
        if asked.exists():
            raise Stopped

    line = program(f"{EDIT}; kill $PPID; sleep 0.1; touch {asked}")
    with pytest.raises(Stopped):
        propose(bench, line, BARE, tick=tick)


def test_bytes_that_are_no_text_do_no_harm(bench: Bench, program: Write) -> None:
    line = program(
        f"printf 'ha\\377lf \\303'; sleep 0.5; printf '\\251\\r100%%\\n'; {EDIT}; {STATE}"
    )
    _, proposal = propose(bench, line, BARE)
    assert proposal.description == WORDS[0]
    assert "ha\ufffdlf é\n100%\n" in talk(bench)


# What cannot be understood


def test_a_command_that_cannot_be_run_is_refused_before_the_night() -> None:
    with pytest.raises(UserError, match="names no program that is there: install it"):
        Command(["no-such-program", "--yes"])


def test_what_was_there_in_the_evening_and_is_gone(
    bench: Bench, program: Write, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="it is not there"):
        Command([sys.executable], Settings(grants=(tmp_path / "missing",)))
    line = program(EDIT)
    researcher = Command([line], BARE)
    Path(line).unlink()
    with pytest.raises(Unavailable, match=r"agent\.sh"):
        researcher.propose(bench.desk())


def test_a_grant_that_is_gone_at_night_ends_no_study(
    bench: Bench, program: Write, tmp_path: Path
) -> None:
    if reason := agentbox.obstacle():
        pytest.skip(f"no box: {reason}")
    grant = tmp_path / "grant"
    grant.touch()
    researcher = Command([program(EDIT)], Settings(grants=(grant,)))
    grant.unlink()
    with pytest.raises(Unavailable, match=r"agent\.sh: an agent cannot be shown .*grant"):
        researcher.propose(bench.desk())


@pytest.mark.parametrize("ends", ["exit 0", "exit 3"])
@pytest.mark.parametrize("then", ["", "rm -rf {place}/scratch", "ln -s . {place}/desk"])
def test_one_that_removes_its_desk_has_failed_and_the_desk_comes_back(
    then: str, ends: str, bench: Bench, program: Write
) -> None:
    desk = bench.desk()
    place = desk.tree.parent
    line = program(f"rm -rf {place}/desk\n{then.format(place=place)}\n{ends}")
    researcher = Command([line], BARE)
    with pytest.raises(Failed, match=r"agent\.sh removed its desk"):
        WithFallback("cmd", researcher, researcher).propose(desk)
    assert (desk.tree / "prepare.py").is_file()
