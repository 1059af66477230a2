"""Protects the seam: our researchers keep its rules, and the suite sees who breaks one."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

import pytest

from autoresearch import parts
from autoresearch.errors import Failed, Spent, Stopped
from autoresearch.experiment import Proposal, Usage
from autoresearch.researchers.acp import Acp
from autoresearch.researchers.base import Desk
from autoresearch.researchers.command import Command
from autoresearch.researchers.knobs import Knobs
from autoresearch.researchers.presets import by_hand
from autoresearch.researchers.settings import Settings
from autoresearch.testing import conformance
from autoresearch.testing.bench import Bench
from autoresearch.testing.conformance import CHECKS, Make, check_researcher
from autoresearch.testing.model_server import ModelServer
from autoresearch.testing.scripts import Answer, Reply, Request, Say

PAGE = Path(__file__).parent.parent.parent / "docs" / "researchers.md"
Check = Callable[[Make, Bench], None]


# --- Who keeps the rules ----------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_knobs(check: Check, tmp_path: Path) -> None:
    check(Knobs, Bench(tmp_path))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_agent(check: Check, tmp_path: Path) -> None:
    preset = by_hand((sys.executable, "-m", "autoresearch.testing.acp_agent", "edit"))
    settings = Settings(boxed=False, nudges=1)  # in the box: test_acp
    check(lambda: Acp("scripted", preset, settings), Bench(tmp_path))


SCRIPT = r"""#!/bin/sh
number=$(sed -n 's/.*yours is number \([0-9]*\).*/\1/p')  # of the prompt
new=$(sed "s/^X = [^ ]*/X = $number.75/" train.py) && printf '%s\n' "$new" > train.py
echo "Description: X -> $number.75"
echo "Hypothesis: It may be nearer."
"""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_shell_script(check: Check, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "script.sh"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    settings = Settings(grants=(script,), nudges=1)
    check(lambda: Command(["sh", str(script)], settings), Bench(tmp_path))


def one_more(request: Request) -> Reply:
    """A model that sets X to the number of the proposal."""
    number = re.search(r"yours is number (\d+)", request.text)
    there = re.search(r"^X = \S+ ", request.text, re.MULTILINE)
    if not number or not there:
        return Say("There is no X.")
    edit = {"file": "train.py", "search": there[0], "replace": f"X = {number[1]}.75 "}
    words = {"description": f"X -> {number[1]}.75", "hypothesis": "It may be nearer."}
    return Answer({**words, "edits": [edit]})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_oneshot(check: Check, tmp_path: Path) -> None:
    oneshot = pytest.importorskip("autoresearch.researchers.oneshot").Oneshot
    with ModelServer(one_more) as server:
        check(lambda: oneshot(f"openai:scripted@{server.url}/v1"), Bench(tmp_path))


# --- Who breaks one ---------------------------------------------------------------------------


class Plain:
    """Keeps all rules: X is the number of the proposal. Each breaker differs in one thing."""

    description, hypothesis = "X -> {}", "It may be nearer."

    def propose(self, desk: Desk) -> Proposal:
        desk.tick()
        script = desk.tree / "train.py"
        source = script.read_text(errors="replace")
        if "\nX = " not in source:
            raise Failed("there is no X")
        value = self.value(desk)
        script.write_text(re.sub(r"(?m)^X = \S+", f"X = {value}", source))
        self.meddle(desk)
        return Proposal(self.description.format(value), self.hypothesis, self.details())

    def value(self, desk: Desk) -> float:
        return desk.number + 1.5

    def meddle(self, desk: Desk) -> None:
        """What a breaker does besides."""

    def details(self) -> dict[str, object]:
        return {}


CHILDREN: list[subprocess.Popen[bytes]] = []
OPENED: list[IO[bytes]] = []


def lab_of(desk: Desk) -> Path:
    return desk.tree.parent.parent / "lab"


def undoes(_: Plain, desk: Desk) -> None:
    (desk.tree / "train.py").write_bytes((lab_of(desk) / "train.py").read_bytes())


def formats(_: Plain, desk: Desk) -> None:
    (desk.tree / "train.py").write_text(f"# mine\n{(lab_of(desk) / 'train.py').read_text()}")


def leaves_a_child(_: Plain, desk: Desk) -> None:
    CHILDREN.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))


def leaves_a_thread(_: Plain, desk: Desk) -> None:
    threading.Thread(target=time.sleep, args=(0.5,), name="thinker").start()


def leaves_files_open(_: Plain, desk: Desk) -> None:
    OPENED.append((desk.tree / "train.py").open("rb"))


def calls_on(_: Plain, desk: Desk) -> None:
    for _ in range(3):
        with suppress(Spent):
            desk.ledger.spend(Usage(10, 10))


def fails_for_money(_: Plain, desk: Desk) -> None:
    try:
        desk.ledger.spend(Usage(10, 10))
    except Spent as error:
        raise Failed("no money") from error


def spends_on(_: Plain, desk: Desk) -> None:
    with suppress(Spent):
        desk.ledger.spend(Usage(10, 10))
    desk.ledger.spend(Usage(10, 10))


def ignores_a_stop(_: Plain, desk: Desk) -> None:
    for _ in range(5):
        with suppress(Stopped):
            desk.tick()


def stops_late(_: Plain, desk: Desk) -> None:
    try:
        desk.tick()
        desk.tick()
    finally:
        time.sleep(0.3)


def raises(_: Plain, desk: Desk) -> None:
    if desk.objection() == "no change is wanted":
        raise KeyError("choices")


def gives_up(_: Plain, desk: Desk) -> None:
    raise Failed("no idea")


BREAKERS: dict[str, tuple[Check, dict[str, object]]] = {
    r"changed or left junk\.py, and may only edit train\.py": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: (desk.tree / "junk.py").write_text("")},
    ),
    r"changed or left program\.md": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: (desk.tree / "program.md").write_text("mine")},
    ),
    r"changed or left prepare\.py": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: (desk.tree / "prepare.py").unlink()},
    ),
    "it changed nothing": (conformance.changes_only_what_is_editable, {"meddle": undoes}),
    "its change would be refused: .*formatting": (
        conformance.changes_only_what_is_editable,
        {"meddle": formats},
    ),
    "no proposal for a plain desk: no idea": (
        conformance.changes_only_what_is_editable,
        {"meddle": gives_up},
    ),
    "its description is empty": (
        conformance.changes_only_what_is_editable,
        {"description": " \n"},
    ),
    "more than one line": (
        conformance.changes_only_what_is_editable,
        {"description": "X\n-> {}"},
    ),
    "description has 900 characters": (
        conformance.changes_only_what_is_editable,
        {"description": "X" * 900},
    ),
    "it states no hypothesis": (conformance.changes_only_what_is_editable, {"hypothesis": ""}),
    "details cannot be stored": (
        conformance.changes_only_what_is_editable,
        {"details": lambda _: {"a": Path()}},
    ),
    "it changed the current folder": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: os.chdir(desk.tree)},
    ),
    "it changed the environment": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: os.environ.update(MINE="1")},
    ),
    "it changed the signal handlers": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: signal.signal(signal.SIGINT, lambda number, frame: None)},
    ),
    "it changed the lab's files": (
        conformance.changes_only_what_is_editable,
        {"meddle": lambda _, desk: (lab_of(desk) / "train.py").write_text("")},
    ),
    r"still runs: process \d+": (
        conformance.changes_only_what_is_editable,
        {"meddle": leaves_a_child},
    ),
    "still runs: thinker": (
        conformance.changes_only_what_is_editable,
        {"meddle": leaves_a_thread},
    ),
    "as proposal 2 it gave what is refused: .*#1": (
        conformance.proposes_something_new,
        {"value": lambda _, desk: 2.5},
    ),
    "made anew, it gave what is refused: .*#1": (
        conformance.goes_on_after_a_restart,
        {"value": lambda _, desk: 2.5},
    ),
    "two more proposals left 2 more files": (
        conformance.leaves_nothing_open,
        {"meddle": leaves_files_open},
    ),
    "although `tick` had raised Stopped": (
        conformance.stops_when_told,
        {"meddle": ignores_a_stop},
    ),
    r"it took 0\.\d s to stop": (conformance.stops_when_told, {"meddle": stops_late}),
    "had raised Spent, and it made a proposal": (
        conformance.obeys_the_limit,
        {"meddle": calls_on},
    ),
    "had raised Spent, and it raised Failed: no money": (
        conformance.obeys_the_limit,
        {"meddle": fails_for_money},
    ),
    "it spent 2 times": (conformance.obeys_the_limit, {"meddle": spends_on}),
    "it raised KeyError .'choices'.; what is expected is Failed": (
        conformance.fails_as_it_may,
        {"meddle": raises},
    ),
}


@pytest.fixture
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a breaker does to this process is undone."""
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setenv("MINE", "0")
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)
    while CHILDREN:
        CHILDREN.pop().communicate()
    while OPENED:
        OPENED.pop().close()


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("words", BREAKERS)
def test_who_breaks_a_rule_is_told(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(conformance, "GONE_SECONDS", 0.2)
    check, ways = BREAKERS[words]
    with pytest.raises(AssertionError, match=words):
        check(type("Breaker", (Plain,), ways), Bench(tmp_path))


def test_who_breaks_none_passes(tmp_path: Path) -> None:
    check_researcher(Plain, tmp_path)


# --- The page ---------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The page's Python files by the names that it gives them, written down here."""
    blocks = re.findall(r"`(\w+\.py)`[^`]*```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name, source in blocks:
        (tmp_path / name).write_text(source)
    monkeypatch.chdir(tmp_path)
    modules = set(sys.modules)
    yield dict(blocks)
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_the_example_of_the_page_works_as_the_page_says(
    page: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(page) == {"scale.py", "test_scale.py"}
    made = parts.researcher("py:scale:Scale")
    bench = Bench(tmp_path / "bench")
    desk = bench.desk()
    assert made.propose(desk).hypothesis
    assert not desk.objection()
    assert not bench.ledger.notes
    monkeypatch.syspath_prepend(tmp_path)
    import_module("test_scale").test_scale(tmp_path)


def test_the_example_fails_as_the_page_says(page: dict[str, str], tmp_path: Path) -> None:
    del page
    sys.path.insert(0, str(tmp_path))
    try:
        scale = import_module("scale").Scale()
    finally:
        sys.path.pop(0)
    bench = Bench(tmp_path / "bench", train="import prepare\nLAYERS = 3\n")
    with pytest.raises(Failed, match="all 0 changes that Scale can make"):
        scale.propose(bench.desk())
