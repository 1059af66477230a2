"""A folder for labs under attack, and the attacks on the box, run once a session and tier."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from autoresearch import resilience
from autoresearch.attacks import attacks, doctor, execute
from autoresearch.box.sandbox import Tier, obstacle
from autoresearch.runners import local

Findings = Callable[[Tier], dict[str, execute.Result]]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many failures the engine waits. Here everything fails."""
    monkeypatch.setattr(resilience, "LONGEST_PAUSE_SECONDS", 0.0)


@pytest.fixture(scope="session")
def ring() -> Iterator[Path]:
    """Not below /tmp, which every box hides: there an attack would prove nothing."""
    repository = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(dir=repository, prefix=".attacks-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def findings(ring: Path) -> Findings:
    """What became of every attack that a tier must stop; in tier 1 of all, to see them succeed."""

    @cache
    def find(tier: Tier) -> dict[str, execute.Result]:
        if why := obstacle(tier):
            pytest.skip(f"NOT ATTACKED: tier {tier} cannot be had here ({why})")
        every = attacks("box")
        boxed = [each for each in every if each.needs_tier == tier]
        chosen = boxed if tier is Tier.LANDLOCK else every  # the others need no box to be stopped
        folder = ring / tier.name
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local, "OVERTIME_SECONDS", 2.0)  # what hangs need not hang for long
            report = doctor.check(folder, sys.executable, tier, chosen=chosen)
        assert report.tier is tier
        return {each.attack.name: each for each in report.results}

    return find
