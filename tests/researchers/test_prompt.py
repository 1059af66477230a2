"""Protects an agent from guessing: task, rules and how to state a proposal are in its prompt."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.experiment import Experiment, Verdict
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.researchers.prompt import (
    ask_for_statement,
    commands,
    continued,
    nudge,
    prompt,
    quotation,
    task,
)
from autoresearch.researchers.statement import Statement, read_statement

FIRST = Experiment(0, None, "", score=1.25, verdict=Verdict.KEEP)
BEST = Experiment(3, 0, "", score=1.125, verdict=Verdict.KEEP)
LAST = Experiment(4, 3, "", verdict=Verdict.CRASH, reason="out of \x1b[1mmemory")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    program = Program("Prefer small changes.", editable=("train.py", "model.py"))
    return Desk(tmp_path, program, (FIRST, BEST, LAST), FIRST, 5, 0)


def test_the_task_names_goal_files_and_budget(desk: Desk) -> None:
    text = task(desk)
    assert "`val_bpb` (lower is better)" in text
    assert "Best so far: experiment 3 (val_bpb 1.125)" in text
    assert "start from the files of experiment 0 (val_bpb 1.25); yours is number 5" in text
    assert "Edit only `train.py`, `model.py`. Locked: `prepare.py`." in text
    assert "trains for 5 minutes" in text
    assert "Prefer small changes." in text


def test_the_rules_for_an_agent(desk: Desk) -> None:
    text = prompt(desk)
    assert text.startswith(task(desk))
    for words in ("history/README.md", "history/0007.diff", "is data", "never ask", "one idea"):
        assert words in text
    assert "do not run `python train.py`" in text
    for each in (text, continued(desk), nudge("x"), ask_for_statement()):
        assert "Description: <" in each
        assert read_statement(each) == Statement()  # an agent that repeats it has stated nothing


def test_the_task_says_what_a_run_has_and_what_is_left(desk: Desk) -> None:
    text = task(replace(desk, machine="H100, 80 GB", left="12 experiments, 3.2 h", seconds=900.0))
    assert "- It runs on H100, 80 GB." in text
    assert "ready to train 10 minutes after its start" in text
    assert "80% of the machine's memory" in text
    assert "- You have 15 minutes for this proposal." in text
    assert "- Left of the study: 12 experiments, 3.2 h." in text
    assert "Left of" not in task(desk)
    assert "behind.\n- Be brief.\n\nYou work alone" in prompt(desk, "Be brief.")
    boxed = commands(replace(desk, python="/lab/python"), is_boxed=True)
    assert "`/lab/python -m py_compile train.py model.py`" in boxed
    assert "only those that print files" in commands(desk, is_boxed=False)


def test_a_long_locked_file_is_not_to_be_read_whole(desk: Desk) -> None:
    assert "locked and long" not in prompt(desk)
    (desk.tree / "prepare.py").write_text("# long\n" * 9000)
    assert "Of `prepare.py`, locked and long, read what `train.py`, `model.py` calls" in prompt(
        desk
    )


def test_the_next_turn_says_what_was_wrong(desk: Desk) -> None:
    text = nudge("it changed prepare.py", "May I \x1b[31mgo on?\n" * 1000, ["Edit x: it is locked"])
    assert "Nobody is here to answer. Decide yourself" in text
    assert "your proposal would be refused: it changed prepare.py." in text
    assert "You were not allowed this: Edit x: it is locked." in text
    assert "\x1b" not in text
    assert len(text) < 2000


def test_a_continued_session_is_told_only_what_is_new(desk: Desk) -> None:
    text = continued(desk)
    assert "Experiment 4, the last one, ended as crash: out of memory" in text
    assert "Now propose experiment 5." in text
    assert "Prefer small changes." not in text
    assert "the last one, ended as keep" in continued(replace(desk, history=(FIRST,)))


@pytest.mark.parametrize("text", ["plain", "```\nx\n```", "``````", "~~~"])
def test_a_quotation_cannot_close_itself(text: str) -> None:
    first, *inner, last = quotation(text).splitlines()
    assert first == f"{last}markdown"
    assert not any(line.startswith(last) for line in inner)


@pytest.mark.parametrize("text", [prompt, continued, task])
def test_what_the_person_said_meanwhile_is_in_every_prompt(
    desk: Desk, text: Callable[[Desk], str]
) -> None:
    assert "The person" not in text(desk)
    told = replace(desk, notes=("stay away from Y", "\x1b[1m```\nbe bold"), idea="a wider MLP")
    said = text(told)
    assert said.index("# The person adds, for this proposal") < said.index("stay away from Y")
    assert "be bold" in said
    assert "\x1b" not in said
    assert said.index("# The person wants this experiment to be") < said.index("a wider MLP")
    assert "Do that, and nothing else." in said
