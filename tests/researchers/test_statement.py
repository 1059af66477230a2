"""Protects the record of a night: what an agent says of its change is found, short and harmless."""

import time

import pytest

from autoresearch.program import Program
from autoresearch.researchers.prompt import STATEMENT
from autoresearch.researchers.statement import (
    NO_DESCRIPTION,
    Statement,
    first_sentence,
    read_statement,
    to_proposal,
)

WHOLE = Statement("RATE from 1 to 2", "steps are too small", "-0.01")


@pytest.mark.parametrize(
    "text",
    [
        "Description: RATE from 1 to 2\nHypothesis: steps are too small\nExpected: -0.01",
        "Done!\n\n**Description:** RATE from 1 to 2\n**Hypothesis**: steps are too small\n"
        "**Expected:** **-0.01**",
        "- description : RATE from 1 to 2\n- HYPOTHESIS: steps are\n  too small\n- expected: -0.01",
        "1. Description: RATE from 1 to 2\n2. Hypothesis: steps are too small\n3. Expected effect"
        " on val_bpb: -0.01\n\nShall I do more?",
        "> `Description`: RATE from 1 to 2\n> Hypothesis: steps are too small\n> Expected: `-0.01`",
        "```\nDescription:\nRATE from 1 to 2\nHypothesis: steps are too small\n"
        "Expected: -0.01\n```",
        "Description: an earlier idea\n\nDescription: RATE from 1 to 2\r\nHypothesis: "
        "steps are too small\r\nExpected: -0.01\r\n",
    ],
)
def test_the_ways_in_which_models_write_it(text: str) -> None:
    assert read_statement(text) == WHOLE
    assert WHOLE.is_complete


@pytest.mark.parametrize("text", ["", "I changed the rate. Good night.", STATEMENT, "\0" * 9])
def test_what_states_nothing(text: str) -> None:
    assert read_statement(text) == Statement()
    assert not Statement().is_complete


def test_it_is_cut_and_cannot_steer_a_terminal() -> None:
    text = f"Description: \x1b[31m{'very ' * 500}long\nHypothesis: \u202e{'why ' * 900}"
    said = read_statement(text)
    assert len(said.description) <= 200
    assert len(said.hypothesis) <= 600
    assert said.description.startswith("very very")
    assert not {"\x1b", "\u202e", "\n"} & set(said.description + said.hypothesis)


@pytest.mark.parametrize("line", ["*" * 10**5, "Description" * 10**4, "> - " * 10**5, "\n" * 10**6])
def test_no_text_takes_long_to_read(line: str) -> None:
    began = time.monotonic()
    read_statement(line * 10)
    assert time.monotonic() - began < 1


def test_the_proposal_that_it_makes() -> None:
    proposal = to_proposal(WHOLE, Program())
    assert proposal.description == "RATE from 1 to 2"
    assert proposal.hypothesis == "steps are too small Expected: -0.01 (val_bpb)"
    said = to_proposal(Statement("a", "b", "val_bpb falls"), Program()).hypothesis
    assert said == "b Expected: val_bpb falls"
    assert to_proposal(Statement(), Program(), "I did it").description == "I did it"
    assert to_proposal(Statement(), Program()).description == NO_DESCRIPTION
    assert not to_proposal(Statement(), Program()).hypothesis


def test_the_first_sentence_of_a_message() -> None:
    assert first_sentence("\n## I raised it to 0.5. It was low.\nBye.") == "I raised it to 0.5."
    assert first_sentence("") == ""
