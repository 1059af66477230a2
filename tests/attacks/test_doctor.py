"""Protects the doctor's word: a protection that is missing is said to be, and lowers the tier."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.attacks import Attack, attacks, doctor, execute
from autoresearch.attacks.doctor import Report
from autoresearch.attacks.execute import Result
from autoresearch.box.sandbox import Box, Tier, best_tier, obstacle
from autoresearch.cli import launch
from autoresearch.runners import local

ATTACKS = {each.name: each for each in attacks("box")}


@pytest.fixture
def ring() -> Iterator[Path]:
    """Not below /tmp, which every box hides: there an attack would prove nothing."""
    repository = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(dir=repository, prefix=".attacks-") as folder:
        yield Path(folder)


def chosen(*names: str) -> list[Attack]:
    return [ATTACKS[name] for name in names]


def result(name: str, holds: bool | None, sentence: str = "worse") -> Result:
    return Result(ATTACKS[name], holds, sentence, 0.1)


def report(tier: Tier, *results: Result) -> Report:
    return Report(tier, results, {"kernel": "a kernel"}, 12.3)


def needs(tier: Tier) -> None:
    if why := obstacle(tier):
        pytest.skip(f"NOT TESTED: tier {tier} cannot be had here ({why})")


def test_the_counter_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with launch.counter("attacks") as one_more:
        one_more(None)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with launch.counter("attacks") as one_more:
        one_more(None)
        one_more(None)
    *_, last = capsys.readouterr().err.rpartition("2 attacks")
    assert last == f"\r{' ' * 9}\r"


def test_without_a_box_the_doctor_says_unprotected(
    ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", "1")
    seen: list[Result] = []
    names = ("network_tcp", "file_in_home", "file_in_tmp", "validation_by_path", "log_flood")
    monkeypatch.chdir(ring.parent)  # as on the command line: the folder is said from where we are
    found = doctor.check(Path(ring.name), chosen=chosen(*names), on_result=seen.append)
    assert found.tier is found.shown is Tier.PROCESSES
    assert sorted(seen, key=str) == sorted(found.results, key=str)
    holds = {each.attack.name: each.holds for each in found.results}
    assert holds == dict.fromkeys(names, False) | {"log_flood": True}
    lines = doctor.table(found).splitlines()
    assert "DOES NOT HOLD" in next(line for line in lines if line.startswith("no network"))
    assert "DOES NOT HOLD" in next(line for line in lines if line.startswith("nothing carries"))
    assert "holds" in next(line for line in lines if line.startswith("caps hold"))
    assert lines[-1].endswith("tier 1, unprotected")
    assert found.is_sound  # all that this tier promises: caps


@pytest.mark.parametrize("tier", [Tier.LANDLOCK, Tier.BUBBLEWRAP])
def test_a_protection_that_is_off_lowers_the_tier(
    ring: Path, tier: Tier, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(tier)

    def leaky(**words: object) -> Box:
        written = words.pop("writable")
        assert isinstance(written, tuple)
        return Box(**words, writable=(*written, Path.home()))  # type: ignore[arg-type]

    monkeypatch.setattr(local, "Box", leaky)
    found = doctor.check(ring, highest=tier, chosen=chosen("file_in_home", "network_tcp"))
    assert found.tier is tier
    assert found.shown is Tier.PROCESSES
    assert not found.is_sound
    assert {each.attack.name: each.holds for each in found.results} == {
        "file_in_home": False,
        "network_tcp": True,
    }


def test_weights_in_a_package_are_found_and_masked(ring: Path) -> None:
    """With an interpreter of our own: nothing may be put among the packages of another."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ring / "venv"], check=True)
    packages = next((ring / "venv" / "lib").glob("python*/site-packages"))
    (packages / "vision").mkdir()
    (packages / "vision" / "model.safetensors").write_bytes(b"w" * (5 * 2**20))
    python = str(ring / "venv" / "bin" / "python")
    for number, tier in enumerate([Tier.PROCESSES, best_tier()]):
        folder = ring / str(number)
        folder.mkdir()
        found = doctor.check(folder, python, tier, chosen=chosen("weights_in_packages"))
        assert found.results[0].holds is (tier > Tier.PROCESSES), found.results


def test_the_tier_shown_is_the_one_whose_attacks_all_failed() -> None:
    well = result("network_tcp", True)
    for name, shown in (("library_sources", 2), ("network_udp", 1), ("log_flood", 1)):
        found = report(Tier.BUBBLEWRAP, well, result(name, False))
        assert found.shown == shown
        assert not found.is_sound
    assert report(Tier.BUBBLEWRAP, well).shown is Tier.BUBBLEWRAP
    assert report(Tier.BUBBLEWRAP, well).is_sound
    untried = report(Tier.BUBBLEWRAP, well, result("network_udp", None, "no network here"))
    assert untried.shown is Tier.BUBBLEWRAP
    assert report(Tier.PROCESSES, result("log_flood", False)).shown is Tier.PROCESSES
    assert not report(Tier.PROCESSES, result("log_flood", False)).is_sound


def test_the_table_says_by_what() -> None:
    text = doctor.table(
        report(
            Tier.LANDLOCK,
            result("network_tcp", True),
            result("network_udp", True),
            result("file_in_tmp", False, "it got through: ['/tmp']"),
            result("late", None, "no clock"),
        )
    )
    assert "no network                            holds          2 attacks failed" in text
    assert "DOES NOT HOLD  file_in_tmp: it got through: ['/tmp']" in text
    assert "not tested     no clock" in text
    assert text.splitlines()[-2] == f"the box: tier 2, {Tier.LANDLOCK.words}"
    assert text.endswith("shown by 4 attacks in 12 s: tier 1, unprotected")
    assert text.isascii()


def test_many_failures_never_come_in_a_row() -> None:
    turns = execute.in_turn([each for each in ATTACKS.values() if not each.is_slow])
    scored = [each.is_scored for each in turns]
    assert len(turns) == sum(each.runs for each in ATTACKS.values() if not each.is_slow)
    assert not any(scored[i : i + 4] == [False] * 4 for i in range(len(scored)))
