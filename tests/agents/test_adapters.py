"""Protects nights with Codex and Claude Code through their ACP adapters, where these are there."""

from tests.agents.faults import FaultTests
from tests.agents.homes import needs
from tests.agents.night import NightTests


@needs("codex")
class TestCodex(NightTests):
    agent = "codex"


@needs("codex")
class TestCodexFaults(FaultTests):
    agent = "codex"


@needs("claude")
class TestClaude(NightTests):
    agent = "claude"


@needs("claude")
class TestClaudeFaults(FaultTests):
    agent = "claude"
