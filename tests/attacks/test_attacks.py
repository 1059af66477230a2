"""Protects every protection of the box: each attack gets its verdict and its sentence where it
must, and really gets through where nothing stops it."""

import os
from pathlib import Path

import pytest

from autoresearch.attacks import attacks, execute
from autoresearch.box.sandbox import Tier
from tests.attacks.conftest import Findings

BOX = {each.name: each for each in attacks("box")}
STRONG = sorted(name for name, each in BOX.items() if each.needs_tier > Tier.PROCESSES)
NEEDS_MORE = {  # what an attack needs to get through, beside the absence of a box
    "file_in_packages": "packages that this user may write",
    "validation_by_device": "a device of a disk that may be opened",
    "validation_by_handle": "root's right to open files by handle",
    "validation_by_mount": "namespaces that may be made",
    "weights_in_packages": "weights among the packages: see tests/attacks/test_doctor.py",
}


def check(findings: Findings, name: str, tier: Tier) -> None:
    found = findings(tier)[name]
    assert found.holds is not False, found.sentence
    if found.holds is None:
        pytest.skip(f"NOT ATTACKED: {name}: {found.sentence}")


@pytest.mark.parametrize("name", BOX)
def test_bubblewrap_stops_it(findings: Findings, name: str) -> None:
    check(findings, name, Tier.BUBBLEWRAP)


@pytest.mark.parametrize("name", [n for n, each in BOX.items() if each.needs_tier == 2])
def test_landlock_stops_it(findings: Findings, name: str) -> None:
    check(findings, name, Tier.LANDLOCK)


@pytest.mark.parametrize("name", sorted(BOX.keys() - set(STRONG)))
def test_no_box_is_needed_to_stop_it(findings: Findings, name: str) -> None:
    check(findings, name, Tier.PROCESSES)


@pytest.mark.parametrize("name", STRONG)
def test_it_gets_through_where_there_is_no_box(findings: Findings, name: str) -> None:
    found = findings(Tier.PROCESSES)[name]
    if found.holds and name in NEEDS_MORE:
        pytest.skip(f"NOT SHOWN TO BE REAL: {name} needs {NEEDS_MORE[name]}")
    assert found.holds is False, found.sentence


def test_nothing_is_left_of_the_attacks(findings: Findings) -> None:
    findings(Tier.PROCESSES)
    for folder in execute.places(Path.home()):
        assert not list(folder.glob(f"autoresearch-attack-{os.getpid()}-*"))


@pytest.mark.parametrize("name", BOX)
def test_every_attack_says_what_it_is(name: str) -> None:
    attack = BOX[name]
    assert set(attack.expect) <= {"discard", "crash", "timeout", "invalid"}
    assert attack.needs_tier in (1, 2, 3)
    assert 10 < len(attack.tries) < 120
    assert attack.protects
    assert attack.says
    assert attack.script({"token": "x"})
