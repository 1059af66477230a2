"""Protects a model that is shown no more than an outline: what train.py uses is in it."""

from importlib.resources import files

import pytest

from autoresearch.researchers.oneshot import LOCKED_CHARACTERS
from autoresearch.researchers.signatures import Uses, outline, uses_of

LAB = files("autoresearch") / "labs" / "gpt"
SOURCE = '''
"""What it is."""
LIMIT = 3
RATE = 0.5
class Clock:
    """Time."""
    zone: str = "utc"
    def over(self):
        """True at the end. More of it."""
        return secret()
    def _own(self): ...
class Other:
    """Other things. At length."""
    def unused(self): ...
@cached
def start(model, *, seed: int = 0) -> Clock:
    """Starts it.

    All of it."""
def helper(): return secret()
'''


def test_what_is_used_comes_first_and_no_body_is_shown() -> None:
    train = (
        "import prepare\nclock = prepare.start(m, seed=prepare.LIMIT)\nwhile not clock.over(): x"
    )
    uses = uses_of({"train.py": train, "broken.py": "def ("}, "lib/prepare.py")
    assert uses == Uses(frozenset({"start", "LIMIT"}), frozenset({"over"}))
    whole = outline(SOURCE, uses, 10_000)
    assert "secret" not in whole
    assert "_own" not in whole
    assert "@cached\ndef start(model, *, seed: int=0) -> Clock:\n" in whole
    assert "    All of it." in whole
    assert 'class Other:\n    """Other things."""' in whole
    assert '    zone: str = \'utc\'\n    def over(self):\n        """True at the end. More' in whole
    short = outline(SOURCE, uses, 150)
    assert len(short) <= 150
    assert "LIMIT = 3" in short
    assert "def start" in short
    assert "helper" not in short
    assert outline("def (", uses, 200) == ""
    assert uses_of({"a.py": "from prepare import LIMIT"}, "prepare.py").names == {"LIMIT"}


@pytest.mark.parametrize("name", ["start", "batches", "submit", "over", "rows_that_fit", "speed"])
def test_the_reference_labs_own_is_shown(name: str) -> None:
    uses = uses_of({"train.py": (LAB / "train.py").read_text()}, "prepare.py")
    shown = outline((LAB / "prepare.py").read_text(), uses, LOCKED_CHARACTERS)
    assert f"def {name}(" in shown
    assert len(shown) <= LOCKED_CHARACTERS
