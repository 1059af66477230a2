"""Protects the comparison of two nights: what cannot be compared is not, and luck is no lead."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from autoresearch.analysis.view import StudyView
from autoresearch.compare.ahead import headline
from autoresearch.compare.comparison import Comparison, compare, found, lead, side_of
from autoresearch.compare.differences import Side, Weight
from autoresearch.compare.side_by_side import comparison_json, comparison_lines
from autoresearch.experiment import Usage, Verdict
from autoresearch.final import Final
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.program import Commands, Program
from autoresearch.store import Store
from autoresearch.testing.finished import Finished
from autoresearch.testing.long_study import long_study
from autoresearch.testing.tiny import PREPARE, TRAIN
from tests.conftest import Call
from tests.test_import_log import SMALL

X2 = TRAIN.replace("X = 1.0", "X = 2.0")


def set_x(value: float) -> str:
    return TRAIN.replace("X = 1.0", f"X = {value}")


def study(root: Path, tag: str, best: tuple[float, ...]) -> None:
    """A baseline of three runs, a discarded change, and one that was kept; saved."""
    made = Finished(Lab.open(root), tag, (1.50, 1.51, 1.49))
    made.add(set_x(9.0), 1.7, Verdict.DISCARD)
    made.add(X2, best, Verdict.KEEP, "a larger X")
    made.save()


def both(root: Path, one: str, other: str, data: Mapping[str, str] | None = None) -> Comparison:
    lab = Lab.open(root)
    with Store(store_path(lab)) as store:
        return compare(side_of(lab, store, one, data or {}), side_of(lab, store, other, data or {}))


def altered(side: Side, **facts: object) -> Side:
    """The same study, run otherwise."""
    program = replace(side.view.program, **facts)  # type: ignore[arg-type]
    return replace(side, view=replace(side.view, program=program))


def test_a_clear_lead_is_called_one(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.40, 1.41))
    study(tiny_lab, "two", (1.20, 1.21))
    found_of = both(tiny_lab, "one", "two")
    assert (found_of.is_comparable, found_of.differences) == (True, ())
    ahead = lead(*found_of.views)
    assert ahead
    assert ahead.amount == pytest.approx(0.2)
    # sd 0.0087 of 5 + 1 pooled degrees of freedom on either side; t(0.975, 6) = 2.447
    assert ahead.interval == pytest.approx(2.447 * 0.0091 * 1.0, rel=0.06)
    assert ahead.is_clear
    words = headline(found_of)
    half = f"{ahead.interval:.6f}"
    assert words.startswith(f"two ends 0.200000 ± {half} better (95% interval), 1.205000 against")


def test_a_lead_within_the_noise_is_none(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.405, 1.41))
    study(tiny_lab, "two", (1.40, 1.41))
    assert headline(both(tiny_lab, "one", "two")).startswith("No difference that chance could not")


def test_without_repeated_runs_nothing_is_sure(tiny_lab: Path) -> None:
    made = Finished(Lab.open(tiny_lab), "one")
    made.add(X2, 1.1, Verdict.KEEP)
    made.save()
    study(tiny_lab, "two", (1.2, 1.21))
    words = headline(both(tiny_lab, "one", "two"))
    assert "one ends 0.105000 better" in words
    assert "one repeated no run: it may be chance" in words


def test_a_lab_without_noise_and_a_draw(tiny_lab: Path) -> None:
    for tag, best in (("one", 1.2), ("two", 1.2), ("six", 1.1)):
        made = Finished(Lab.open(tiny_lab), tag, (1.5, 1.5))
        made.add(X2, best, Verdict.KEEP)
        made.save()
    assert headline(both(tiny_lab, "one", "two")) == "Both end at 1.200000 val_bpb."
    assert "repeated runs score the same" in headline(both(tiny_lab, "one", "six"))


def test_what_breaks_a_comparison_is_named(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.4, 1.41))
    pair = both(tiny_lab, "one", "one")
    side = pair.sides[0]
    commands = Commands(score=("python", "other.py"))
    for what, other in (
        ("metric", altered(side, metric="loss")),
        ("direction", altered(side, direction="higher")),
        ("training time", altered(side, budget_seconds=60.0)),
        ("score command", altered(side, commands=commands)),
        ("locked files", replace(side, locked={"prepare.py": b"other"})),
        ("data", replace(side, view=replace(side.view, data={"Data": "other"}))),
    ):
        first = replace(side, view=replace(side.view, data={"Data": "text"}))
        base = first if what == "data" else side
        broken = compare(base, other)
        assert broken.is_comparable is False
        assert [each.what for each in broken.known(Weight.BREAKS)] == [what]
        assert headline(broken).startswith(f"Not comparable, the {what} differ")
        assert "each gain stands for itself" in headline(broken)
        assert comparison_json(broken)["lead"] is None
        assert "reached the other's" not in "\n".join(comparison_lines(broken))


def test_the_files_that_judged_are_compared_byte_for_byte(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.4, 1.41))
    (tiny_lab / "prepare.py").write_text(PREPARE + "\n# another judge\n")
    study(tiny_lab, "two", (1.2, 1.21))
    found_of = both(tiny_lab, "one", "two")
    (difference,) = found_of.known(Weight.BREAKS)
    assert (difference.what, difference.values[0]) == ("locked files", "prepare.py of its own")
    assert found_of.is_comparable is False


def test_other_circumstances_are_said(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.4, 1.41))
    made = Finished(Lab.open(tiny_lab), "two", (1.50, 1.51, 1.49))
    made.machine["gpu"] = "Another GPU"
    made.add(X2, (1.2, 1.21), Verdict.KEEP)
    made.save()
    found_of = both(tiny_lab, "one", "two")
    assert found_of.is_comparable is True
    assert headline(found_of).endswith(", with another machine.")
    lines = comparison_lines(found_of)
    assert "Comparable with care:" in lines
    assert any(re.match(r"  another machine +Testing GPU +Another GPU", line) for line in lines)


def test_an_imported_log_says_too_little(tiny_lab: Path, autoresearch: Call) -> None:
    study(tiny_lab, "one", (1.4, 1.41))
    (tiny_lab / "old.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "old.tsv", "--tag", "old")
    found_of = both(tiny_lab, "old", "one")
    assert found_of.is_comparable is None
    assert {"locked files", "machine", "data"} <= {each.what for each in found_of.unknown}
    assert headline(found_of).startswith("If both were measured alike, which is not known: ")
    facts = found(*found_of.views)
    unknown = (facts.wall_hours, facts.experiment_hours, facts.device_hours, facts.proposal_tokens)
    assert unknown == (None,) * 4
    assert found_of.common is None
    done = autoresearch(tiny_lab, "compare", "old", "one")
    assert "Whether they are comparable is not known" in done.stdout


def test_the_figures_are_those_of_the_studies(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.4, 1.42))
    study(tiny_lab, "two", (1.25, 1.25))
    with Store(store_path(Lab.open(tiny_lab))) as store:
        store.spend("two", 2, "test", Usage(900, 100, 0, 0.5))
        store.event("two", "final", number=2, baseline=[2.0, 2.1], best=[1.5, 1.7])
    one, two = both(tiny_lab, "one", "two").views
    facts = found(two, one)
    assert (facts.baseline, facts.best, facts.best_number) == (1.5, 1.25, 2)
    assert (facts.gain, facts.relative_gain) == (0.25, pytest.approx(1 / 6))
    assert (facts.kept, facts.tried) == (1, 2)
    assert facts.device_hours == pytest.approx(60 / 3600)  # six runs of ten seconds
    assert facts.experiment_hours == pytest.approx(150 / 3600)
    assert facts.wall_hours == pytest.approx(170 / 3600)  # to the last verdict
    assert facts.gain_per_device_hour == pytest.approx(0.25 / (60 / 3600))
    assert (facts.proposal_tokens, facts.cost_usd, facts.has_gpu) == (1000, 0.5, True)
    assert facts.sealed_gain == pytest.approx(0.45)
    assert facts.sealed_interval == Final("", 2, (2.0, 2.1), (1.5, 1.7)).interval
    assert (facts.reached_other_after, found(one, two).reached_other_after) == (2, None)


def test_a_vetoed_change_does_not_count(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.4, 1.42))
    study(tiny_lab, "two", (1.25, 1.25))
    with Store(store_path(Lab.open(tiny_lab))) as store:
        store.veto("two", 2, True)
    found_of = both(tiny_lab, "one", "two")
    assert found(found_of.views[1], found_of.views[0]).kept == 0
    assert "one ends" in headline(found_of)
    assert "Kept in two: nothing" in comparison_lines(found_of)


def test_what_both_kept_is_found_by_its_place_in_the_code(tiny_lab: Path) -> None:
    for tag, x, y in (("one", 2.0, 0.7), ("two", 2.5, 0.7)):
        made = Finished(Lab.open(tiny_lab), tag)
        made.add(set_x(1.5), 1.4, Verdict.KEEP, "X, a first time")
        made.add(set_x(x), 1.3, Verdict.KEEP, "X")
        made.add(set_x(x).replace("Y = 0.5", f"Y = {y}"), 1.2, Verdict.KEEP, "Y")
        made.save()
    found_of = both(tiny_lab, "one", "two")
    assert found_of.common is not None
    facts = {each.name: (each.numbers, each.values, each.is_same) for each in found_of.common}
    assert facts == {"X": ((2, 2), ("2.0", "2.5"), False), "Y": ((3, 3), ("0.7", "0.7"), True)}
    lines = comparison_lines(found_of)
    assert "  X: 2.0 and 2.5 (#2 and #2)" in lines
    assert "  Y: 0.7 (#3 and #3)" in lines


def long_side(tag: str, seed: int, direction: str = "lower") -> Side:
    made = long_study(600, seed, direction)
    program = replace(Program(), direction=direction, metric="a_metric_with_a_very_long_name" * 2)
    view = StudyView(tag, program, made.history, themes=made.themes)
    return Side(view, {"prepare.py": b""})


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_the_page_fits_a_narrow_terminal_and_is_only_text(direction: str) -> None:
    sides = (long_side("a" * 60, 1, direction), long_side("見よ\u202e\x1b[31m" * 9, 2, direction))
    lines = comparison_lines(compare(*sides))
    assert max(map(cell_len, lines)) <= 80
    assert not re.search(r"[\x00-\x1f\u202e\u200b]", "".join(lines))
    assert any(line.startswith("  and ") for line in lines)


def test_a_study_without_a_result_is_compared_without_an_error(tiny_lab: Path) -> None:
    study(tiny_lab, "one", (1.4, 1.41))
    side = both(tiny_lab, "one", "one").sides[0]
    nothing = replace(side, view=StudyView("none", side.view.program, ()))
    found_of = compare(side, nothing)
    assert headline(found_of) == "Nothing to compare: none has no score."
    assert comparison_lines(found_of)
    json.dumps(comparison_json(found_of))


def test_the_command_prints_json_with_stable_keys(tiny_lab: Path, autoresearch: Call) -> None:
    study(tiny_lab, "one", (1.4, 1.41))
    study(tiny_lab, "two", (1.2, 1.21))
    facts = json.loads(autoresearch(tiny_lab, "compare", "one", "two", "--json").stdout)
    documented = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    names = set(re.findall(r"`(\w+)`", documented))
    assert facts.keys() <= names
    assert facts["studies"][0].keys() <= names
    assert (facts["comparable"], facts["lead"]["amount"]) == (True, pytest.approx(0.2))
    assert "two ends" in autoresearch(tiny_lab, "compare", "one", "two").stdout
    wrong = autoresearch(tiny_lab, "compare", "one", "tow", code=2).stderr
    assert "no study 'tow' in this lab (there are: one, two)" in wrong
