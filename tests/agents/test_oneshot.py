"""Protects nights with one call of a model an experiment, at two kinds of endpoint."""

from collections.abc import Mapping, Sequence

import pytest

from autoresearch.testing.model_server import ModelServer
from autoresearch.testing.scripts import (
    Answer,
    Cut,
    Nonsense,
    Refuse,
    Reply,
    Request,
    Say,
    Stall,
)
from tests.agents.faults import FLOOD
from tests.agents.night import EASIER, INJECTION, SCORE, START, TOKENS, number_of
from tests.agents.whole import WholeNight, spend

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed: make test installs it")


def change(file: str, old: str, new: str) -> Answer:
    edits = [{"file": file, "search": old, "replace": new}]
    return Answer({"description": f"{old} -> {new}", "hypothesis": "3 is best", "edits": edits})


def set_x(old: str, new: str) -> Answer:
    return change("train.py", f"X = {old} ", f"X = {new} ")


EASIER_SCORE = change("prepare.py", SCORE, EASIER.new)
ASKS, BAD, EASY, SPEAKS, OBEYS = 1, 2, 3, 4, 5
FAULTS: Mapping[int, Reply] = {  # and X may be anything from here on
    6: Refuse(429, "quota", 1), 7: Refuse(500), 8: Stall(), 9: Cut(), 10: Nonsense(),
    11: Say(FLOOD), 12: Say("I would rather talk."),
}  # fmt: skip
LAST = 13
PLAN: Mapping[int, Sequence[Reply]] = {  # of each experiment the first answer, and the second
    ASKS: [Say("I could raise X. Shall I?"), set_x("1.0", "2.0")],
    BAD: [set_x("2.0", "5.9")],
    EASY: [EASIER_SCORE, set_x("2.0", "2.4")],
    SPEAKS: [change("train.py", START, f'    raise SystemExit("{INJECTION}")\n{START}')],
    OBEYS: [EASIER_SCORE, set_x("2.4", "2.9")],
    **{number: [fault] for number, fault in FAULTS.items()},
    LAST: [change("train.py", 'if __name__ == "__main__":', 'X = 3.0\nif __name__ == "__main__":')],
}


def script(request: Request) -> Reply:
    if (number := number_of(request)) is None:  # the call of the evening
        return Say("OK")
    answers = PLAN[number]
    is_told = any(each.role in ("assistant", "tool") for each in request.messages)
    return answers[-1] if is_told else answers[0]


@pytest.mark.parametrize(
    "endpoint", ["openai:scripted@{}/v1", "anthropic:scripted@{}"], scope="class"
)
class TestNight:
    @pytest.fixture(scope="class")
    @classmethod
    def served(
        cls, endpoint: str, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[WholeNight, list[Request]]:
        with ModelServer(script) as server:
            spec = f"oneshot: {endpoint.format(server.url)}"
            night = spend(spec, tmp_path_factory.mktemp("oneshot"), len(PLAN))
            return night, server.requests

    def test_good_and_bad_ideas_get_their_verdicts(
        self, served: tuple[WholeNight, list[Request]]
    ) -> None:
        night, _ = served
        verdicts = [str(row.verdict) for row in night.rows[1 : OBEYS + 1]]
        assert verdicts == ["keep", "discard", "keep", "crash", "keep"]
        assert night.rows[ASKS].description == "X = 1.0 -> X = 2.0"
        assert night.rows[OBEYS].score == pytest.approx(1.01)

    def test_a_question_is_answered_by_go_on(
        self, served: tuple[WholeNight, list[Request]]
    ) -> None:
        night, _ = served
        assert "nudged: the answer cannot be used" in night.happened(ASKS)
        assert "Shall I?" in night.talk(ASKS)

    def test_an_edit_of_a_locked_file_is_refused_and_said_so(
        self, served: tuple[WholeNight, list[Request]]
    ) -> None:
        night, requests = served
        for number in (EASY, OBEYS):
            assert "refused: an edit of prepare.py" in night.happened(number)
            told = [each for each in requests if number_of(each) == number][-1].messages[-1]
            assert "prepare.py" in told.text

    def test_a_log_reaches_the_model_as_a_quotation_only(
        self, served: tuple[WholeNight, list[Request]]
    ) -> None:
        _, requests = served
        shown = next(each for each in requests if number_of(each) == OBEYS).text
        lines = [line for line in shown.splitlines() if INJECTION in line]
        assert lines
        assert all(f"`{INJECTION}`" in line for line in lines)

    def test_every_fault_is_on_record_and_the_night_goes_on(
        self, served: tuple[WholeNight, list[Request]]
    ) -> None:
        night, requests = served
        for number in (6, 7, 8, 9, 10):
            assert "unavailable: " in night.happened(number), (number, night.events)
            assert night.rows[number].researcher == "knobs"
            assert night.rows[number].score is not None
            assert sum(number_of(each) == number for each in requests) == 1
        for number in (11, 12):
            assert night.rows[number].verdict == "failed"
            assert "two unusable answers" in night.rows[number].reason
        assert (night.rows[LAST].verdict, night.rows[LAST].researcher) != ("failed", "knobs")
        assert night.rows[LAST].score == pytest.approx(1.0)

    def test_tokens_are_counted(self, served: tuple[WholeNight, list[Request]]) -> None:
        night, requests = served
        for number in (*range(1, OBEYS + 1), LAST):
            calls = sum(number_of(each) == number for each in requests)
            assert night.used[number].tokens == TOKENS * calls
