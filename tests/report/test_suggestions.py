"""Protects what is learned and suggested: it follows from experiments and can be typed."""

import shlex
from dataclasses import replace

import pytest

from autoresearch.analysis.descriptions import remark, size, spoken
from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run, Verdict
from autoresearch.program import Program
from autoresearch.report.answers import command
from autoresearch.report.learned import causes, failed_places, size_of, worths
from autoresearch.report.suggestions import beyond, suggestions
from autoresearch.source.change import Theme, fingerprint
from autoresearch.source.constants import assignments
from autoresearch.testing.long_study import long_study


def change(
    number: int,
    verdict: Verdict,
    gain: float | None,
    words: str = "",
    parent: int = 0,
    reason: str = "",
    runs: int = 1,
) -> Experiment:
    """Its score does not matter, except that the latest kept one is the best."""
    score = None if gain is None else 1.5 - number / 1000
    outcome = "crash" if score is None else "scored"
    return Experiment(
        number, parent, "", description=words or f"change {number}", verdict=verdict,
        reason=reason, score=score, delta=None if gain is None else -gain,
        runs=tuple(Run(index, index, outcome, "", score) for index in range(runs)),
    )  # fmt: skip


BASE = Experiment(0, None, "", verdict=Verdict.KEEP, score=1.5, runs=(
    Run(0, 0, "scored", "", 1.501),
    Run(1, 1, "scored", "", 1.499),
))  # fmt: skip


def study(themes: dict[int, tuple[Theme, ...]], *experiments: Experiment) -> StudyView:
    return StudyView("t", Program(), (BASE, *experiments), themes=themes)


def lines(view: StudyView) -> list[str]:
    return [each.text for each in suggestions(view)]


# ---------------------------------------------------------------------------------------------
# What to try next


def test_a_near_miss_is_suggested_again_once_the_best_has_changed() -> None:
    themes = {1: (Theme("SOFTCAP", "15.0", "20.0"),), 2: (Theme("WIDTH", "512", "640"),)}
    miss = change(1, Verdict.DISCARD, -0.0001)
    alone = study(themes, miss)
    assert "SOFTCAP = 20.0" not in lines(alone)
    later = study(themes, miss, change(2, Verdict.KEEP, 0.01))
    (first, *_) = suggestions(later)
    assert (first.text, first.after) == ("SOFTCAP = 20.0", (1,))
    assert first.why == "#1 missed by 0.00010 in one run; the best has one change since"


def test_what_was_tried_again_since_is_not_suggested() -> None:
    theme = (Theme("SOFTCAP", "15.0", "20.0"),)
    found = (
        change(1, Verdict.DISCARD, -0.0001),
        change(2, Verdict.KEEP, 0.01),
        change(3, Verdict.DISCARD, -0.02, parent=2),
    )
    view = study({1: theme, 2: (Theme("Model.forward"),), 3: theme}, *found)
    assert "SOFTCAP = 20.0" not in lines(view)


def test_a_step_that_paid_is_taken_further_until_somebody_has() -> None:
    themes = {1: (Theme("WIDTH", "512", "640"),)}
    view = study(themes, change(1, Verdict.KEEP, 0.01))
    assert "WIDTH = 800" in lines(view)
    themes[2] = (Theme("WIDTH", "640", "1024"),)
    gone = study(themes, change(1, Verdict.KEEP, 0.01), change(2, Verdict.DISCARD, -0.1, parent=1))
    assert "WIDTH = 800" not in lines(gone)


def test_the_other_side_of_what_lost_is_suggested() -> None:
    themes = {1: (Theme("SOFTCAP", "15.0", "20.0"),)}
    view = study(themes, change(1, Verdict.DISCARD, -0.5))
    (first, *_) = suggestions(view)
    assert first.text == "SOFTCAP = 11.0"
    assert first.why == "only a larger value than `15.0` was tried (#1), and not kept"
    themes[2] = (Theme("SOFTCAP", "15.0", "10.0"),)
    both = study(themes, *view.tried, change(2, Verdict.DISCARD, -0.5))
    assert not [line for line in lines(both) if line.startswith("SOFTCAP")]


def test_a_side_that_crashed_was_tried() -> None:
    themes = {
        1: (Theme("WIDTH", "512", "1024"),),
        2: (Theme("WIDTH", "512", "256"),),
        3: (Theme("WIDTH", "512", "2048"),),
    }
    crash = change(2, Verdict.CRASH, None, reason="misaligned address")
    losses = (change(1, Verdict.DISCARD, -0.04), change(3, Verdict.DISCARD, -0.09))
    view = study(themes, losses[0], crash, losses[1])
    assert lines(view) == []
    (place,) = failed_places(view)
    assert "Only" not in place.why
    larger = study({**themes, 2: (Theme("WIDTH", "512", "4096"),)}, losses[0], crash, losses[1])
    (first,) = suggestions(larger)
    assert (first.text, first.after) == ("WIDTH = 256", (1, 3))
    assert first.why == "only larger values than `512` were tried (#1, #3), and not kept"
    (place,) = failed_places(larger)
    assert place.why.endswith("lost 0.0400. Only larger values were tried.")


def test_the_other_side_is_no_value_that_was_tried() -> None:
    """The second one was built on a smaller value, so that it was larger, too."""
    themes = {1: (Theme("SOFTCAP", "15.0", "20.0"),), 2: (Theme("SOFTCAP", "8.0", "11.0"),)}
    losses = (change(1, Verdict.DISCARD, -0.5), change(2, Verdict.DISCARD, -0.6))
    assert lines(study(themes, *losses)) == []


def test_two_near_misses_at_different_places_are_put_together() -> None:
    themes = {1: (Theme("WIDTH", "512", "640"),), 2: (Theme("SOFTCAP", "15.0", "20.0"),)}
    found = (change(1, Verdict.DISCARD, -0.0001), change(2, Verdict.DISCARD, -0.0002))
    assert "WIDTH = 640 and SOFTCAP = 20.0" in lines(study(themes, *found))


SOURCE = """
LEVEL = 8  # range: 1 to 9
SHAPE = 4  # one of: 2, 4
WIDTH = 512
SOFTCAP = 15.0
"""


def test_a_hint_leaves_no_room_for_a_value_that_is_not_suggested() -> None:
    themes = {1: (Theme("LEVEL", "4", "8"),), 2: (Theme("SHAPE", "4", "2"),)}
    found = (change(1, Verdict.KEEP, 0.1), change(2, Verdict.DISCARD, -0.5, parent=1))
    view = study(themes, *found)
    assert {"LEVEL = 16", "SHAPE = 8"} <= {*lines(view)}
    assert lines(replace(view, files={"train.py": SOURCE})) == []
    wider = SOURCE.replace("1 to 9", "1 to 16").replace("2, 4", "2, 4, 8")
    assert lines(replace(view, files={"train.py": wider})) == ["LEVEL = 16", "SHAPE = 8"]


def test_what_ran_already_or_cannot_be_set_is_not_suggested() -> None:
    themes = {1: (Theme("WIDTH", "512", "640"),), 2: (Theme("SOFTCAP", "15.0", "20.0"),)}
    found = (change(1, Verdict.DISCARD, -0.0001), change(2, Verdict.DISCARD, -0.0002))
    both = "WIDTH = 640 and SOFTCAP = 20.0"
    view = replace(study(themes, *found), files={"train.py": SOURCE})
    assert both in lines(view)
    assert both not in lines(replace(view, files={"train.py": SOURCE.replace("WIDTH", "W")}))
    ran = SOURCE.replace("512", "640  # as is").replace("15.0", "20.0")
    assert both not in lines(
        replace(view, ran=frozenset({fingerprint({"train.py": ran.encode()})}))
    )


def test_constants_that_nobody_touched_are_named() -> None:
    view = study({1: (Theme("WIDTH", "512", "640"),)}, change(1, Verdict.DISCARD, -0.5))
    view = replace(view, constants={"WIDTH": "512", "SOFTCAP": "15.0", "DEPTH": "8"})
    assert lines(view)[-1] == "try another value of SOFTCAP (15.0) or DEPTH (8)"


def test_suggested_values_need_no_model() -> None:
    """`NAME = value` and two of those are understood by `autoresearch idea` as they are."""
    found = long_study(300)
    view = StudyView("t", Program(), found.history, themes=found.themes)
    exact = [each.text for each in suggestions(view) if " = " in each.text]
    assert exact
    assert all(assignments(line) for line in exact)


def test_every_line_is_one_word_to_a_shell_whatever_was_described() -> None:
    evil = "'; rm -rf ~ #\n$(reboot) `reboot` \u202e"
    view = study({2: (Theme("Model.forward"),)}, change(1, Verdict.DISCARD, -1e-5, evil),
                 change(2, Verdict.KEEP, 0.01))  # fmt: skip
    (first, *_) = suggestions(view)
    words = shlex.split(command(first))
    assert words[:2] == ["autoresearch", "idea"]
    assert len(words) == 3
    assert words[2].startswith("'; rm -rf ~ #")


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("512", "640", "800"),
        ("20.0", "15.0", "11.0"),
        ("15.0", "14.0", "13.0"),
        ("0.02", "0.03", "0.045"),
        ("0.05", "0.0", ""),  # no less than nothing
        ("0.95", "0.97", "0.982"),
        ("0.99", "0.999", "0.9995"),
        ("0.7", "0.75", "0.79"),
        ("0.0", "0.05", "0.1"),
        ("1", "2", "4"),
        ("2", "1", ""),  # half a layer is none
        ("10K", "200K", "400K"),  # no further than twice
        ("4x", "5x", "6.2x"),
        ("-1", "-2", "-4"),
        ("'SSL'", "'SL'", ""),
        ("3", "3", ""),
        ("1e-9", "1e-8", "2e-08"),
        ("1", "9007199254740992", ""),
    ],
)
def test_a_step_further(before: str, after: str, value: str) -> None:
    assert beyond(before, after) == value


def test_nothing_is_suggested_before_there_is_a_baseline() -> None:
    assert suggestions(StudyView("t", Program(), ())) == []


# ---------------------------------------------------------------------------------------------
# What was learned


@pytest.mark.parametrize(
    ("words", "name", "before", "after"),
    [
        ("embedding LR 0.6 to 0.8", "embedding LR", "0.6", "0.8"),
        ("ROPE_BASE 10_000.0 -> 21_000.0", "ROPE_BASE", "10_000.0", "21_000.0"),
        ('WINDOWS "SSL" -> "SL"', "WINDOWS", '"SSL"', '"SL"'),
        ("USE_BIAS True -> False", "USE_BIAS", "True", "False"),
        ("RoPE base 200K to 400K", "RoPE base", "200K", "400K"),
        ("VE LR 1.5x (flat)", "VE LR", "", "1.5x"),
        ("tiny VE WD 0.001", "VE WD", "", "0.001"),
        ("halve batch 524K to 262K (more steps in 5 min)", "batch", "524K", "262K"),
    ],
)
def test_plain_descriptions_are_understood(words: str, name: str, before: str, after: str) -> None:
    assert spoken(words) == (Theme(name, before, after),)


def test_several_places_in_one_description() -> None:
    assert [each.name for each in spoken('WINDOWS "SSL" -> "SL", BETA2 0.95 -> 0.9')] == [
        "WINDOWS",
        "BETA2",
    ]
    assert spoken("MATRIX_LR 0.02 -> 0.03, DEPTH 3 -> 4") == (
        Theme("MATRIX_LR", "0.02", "0.03"),
        Theme("DEPTH", "3", "4"),
    )


@pytest.mark.parametrize(
    "words",
    ["", "baseline", "cosine warmdown schedule (linear better)", "weight tying", "x" * 500 + " 1",
     "depth 10 aspect 51 dim 512 (too narrow)", "1 to 2", "\x1b[31m 3 to 4"],
)  # fmt: skip
def test_everything_else_is_left_alone(words: str) -> None:
    assert spoken(words) == ()


def test_a_long_description_is_read_in_no_time() -> None:
    """A pattern that goes back and forth would take for ever."""
    assert spoken("a 1" * 50_000) == ()
    assert remark("(" * 50_000) == ""


def test_remarks_and_sizes() -> None:
    assert remark("depth 8 dim 640 (too shallow)") == "too shallow"
    assert remark("init scale 1/sqrt(layer+1)") == ""
    assert [size(each) for each in ("262K", "0.5x", "50%", "2**4", "'SSL'", "True", "x")] == [
        262_000.0, 0.5, 0.5, 16.0, None, None, None
    ]  # fmt: skip
    assert [size_of(each) for each in (0.0123, -0.00048, 0.000028, 0.0, 12.5, 1e-12, 1e9)] == [
        "0.0123", "0.00048", "0.000028", "0.0000", "12.5000", "1e-12", "1e+09"
    ]  # fmt: skip


def test_why_a_place_did_not_pay() -> None:
    place = (Theme("DEPTH", "8", "9"),)
    found = (
        change(1, Verdict.CRASH, None, reason="out of `memory`"),
        change(2, Verdict.DISCARD, 0.0002, runs=2),
        change(3, Verdict.DISCARD, -0.3, "deeper (too slow)"),
    )
    (place_found,) = failed_places(study(dict.fromkeys((1, 2, 3), place), *found))
    assert place_found.why == (
        "1 of 3 crashed: `out of 'memory'`. #2 was better by 0.00020, but not on a second seed. "
        "Only larger values were tried. Noted: `too slow`."
    )
    assert place_found.gains == "-0.3000 to +0.00020"
    assert list(place_found.values) == ["9 (+0.00020)"]


def test_no_difference_is_better_than_a_loss() -> None:
    place = (Theme("DEPTH", "8", "4"),)
    found = (change(1, Verdict.DISCARD, 0.0), change(2, Verdict.DISCARD, -0.4))
    (tie,) = failed_places(study(dict.fromkeys((1, 2), place), *found))
    assert tie.values == ["4 (+0.0000)"]


def test_only_those_that_ended_alike_are_counted_together() -> None:
    place = (Theme("DEPTH", "8", "9"),)
    found = [
        change(1, Verdict.CRASH, None, reason="out of memory"),
        change(2, Verdict.TIMEOUT, None, reason="no model after 330 s"),
        change(3, Verdict.INVALID, None, reason="late by 9%"),
        change(4, Verdict.DISCARD, -0.04),
    ]
    (mixed,) = failed_places(study(dict.fromkeys((1, 2, 3, 4), place), *found))
    assert mixed.why.startswith("1 of 4 crashed: `out of memory`. ")
    found[1] = change(2, Verdict.CRASH, None, reason="misaligned address")
    (crashes,) = failed_places(study(dict.fromkeys((1, 2, 3, 4), place), *found))
    assert crashes.why.startswith("2 of 4 crashed, the last: `misaligned address`. ")


def test_shares_are_of_the_best_and_add_up() -> None:
    kept = [change(number, Verdict.KEEP, 0.001, parent=number - 1) for number in (1, 2, 3)]
    aside = replace(change(4, Verdict.KEEP, 0.5, parent=1), score=1.4995)
    view = study({}, *kept, aside)
    found = {each.experiment.number: each.share for each in worths(view)}
    assert found[4] is None  # the best was not built on it
    assert sum(share or 0.0 for share in found.values()) == pytest.approx(1.0)


def test_crashes_are_grouped_whatever_the_numbers_in_them() -> None:
    reason = "Tried to allocate {} MiB of 3, see 0x7f{}a, #{}"
    found = [
        change(number, Verdict.CRASH, None, reason=reason.format(amount, 1, 5))
        for number, amount in enumerate((0.5, 200, 30), 1)
    ]
    (cause,) = causes(study({}, *found))
    assert [each.number for each in cause.experiments] == [1, 2, 3]
    said = "Tried to allocate 0.5 to 200 MiB of 3, see 0x7f1a, #5"
    assert (cause.happened, cause.reason) == ("crashed", said)
    other = change(4, Verdict.CRASH, None, reason=reason.format(7, 2, 6))
    (cause,) = causes(study({}, *found, other))
    assert cause.reason == other.reason, "names are no amounts"
