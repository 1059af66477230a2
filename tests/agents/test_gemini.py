"""Protects nights with Gemini CLI: the released program works a study and survives its faults."""

from tests.agents.faults import FaultTests
from tests.agents.homes import needs
from tests.agents.night import NightTests

pytestmark = needs("gemini")


class TestNight(NightTests):
    agent = "gemini"


class TestFaults(FaultTests):
    agent = "gemini"
