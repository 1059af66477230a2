"""Real agents at work: released programs, a scripted model, the engine's own command line."""

import pytest

pytest.register_assert_rewrite("tests.agents.night", "tests.agents.faults")
