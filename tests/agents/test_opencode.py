"""Protects nights with OpenCode: the released program works a study and survives its faults."""

import pytest

from autoresearch.testing.model_server import INPUT_TOKENS, OUTPUT_TOKENS
from tests.agents.faults import FaultTests
from tests.agents.homes import needs
from tests.agents.night import DEADLY, PLAN, Books, NightTests

CALL_USD = (INPUT_TOKENS * 1 + OUTPUT_TOKENS * 2) / 1e6  # as its configuration names the prices

pytestmark = needs("opencode")


class TestNight(NightTests):
    agent = "opencode"
    reports_every_call = False  # it tells the tokens of a turn's last call, and the cost of all

    def test_money_is_counted(self, books: Books) -> None:
        for number in set(PLAN) - {DEADLY}:
            assert books.used[number].cost_usd == pytest.approx(len(books.of(number)) * CALL_USD)


class TestFaults(FaultTests):
    agent = "opencode"
