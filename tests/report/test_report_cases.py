"""Protects the odd nights: whatever a study is, its report is sensible and claims nothing."""

from dataclasses import replace

import pytest

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import IMPORTED, UNKNOWN_SEED, Experiment, Run, Usage, Verdict
from autoresearch.program import Program
from autoresearch.report.answers import answers
from autoresearch.report.findings import headline
from autoresearch.report.html import report_html
from autoresearch.report.markdown import report_markdown
from tests.pages import Page

AT = "2026-03-08T22:00:00+00:00"


def run(score: float | None, index: int = 0, seconds: float = 300.0) -> Run:
    figures = {"seconds": seconds + 20, "training_seconds": seconds} if seconds else {}
    return Run(index, index, "crash" if score is None else "scored", AT, score, figures=figures)


def baseline(*scores: float) -> Experiment:
    return Experiment(
        0, None, AT, AT, description="baseline", verdict=Verdict.KEEP,
        reason="the baseline: everything else is measured against it",
        score=sum(scores) / len(scores), seconds=330.0,
        runs=tuple(run(score, index) for index, score in enumerate(scores)),
    )  # fmt: skip


def tried(number: int, verdict: Verdict, score: float | None, base: float) -> Experiment:
    return Experiment(
        number, 0, AT, AT, commit=f"{number:040x}", description=f"WIDTH 512 -> {512 + number}",
        verdict=verdict, reason="out of memory" if score is None else "0.1 worse than #0",
        score=score, delta=None if score is None else score - base, seconds=330.0,
        runs=(run(score),),
    )  # fmt: skip


def study(*experiments: Experiment, direction: str = "lower") -> StudyView:
    program = replace(Program(), direction=direction)
    return StudyView("nov23", program, experiments, started_at=AT, machine={"gpu": "H100"})


def asked(view: StudyView) -> dict[str, str]:
    """The answers, as the page and the short form give them."""
    found = {each.question: each.text for each in answers(view)}
    shown = Page(report_html(view)).pairs()
    text = report_markdown(view)
    for question, answer in found.items():
        assert shown[question] == answer.replace("`", "")
        assert f"**{question}**" in text
    return found


def test_an_empty_study() -> None:
    view = study()
    assert headline(view) == "Nothing has finished yet"
    assert asked(view) == {"Did it work?": "It is too early to say: nothing has finished."}
    page = Page(report_html(view))
    assert page.tables == []
    assert "Can I believe it?" not in page.words


def test_an_experiment_that_is_under_way_alone() -> None:
    view = study(Experiment(0, None, AT, description="baseline"))
    assert asked(view)["Did it work?"] == "It is too early to say: nothing has finished."


def test_a_baseline_alone() -> None:
    view = study(baseline(1.5, 1.52))
    found = asked(view)
    assert found["Did it work?"] == "It is too early to say: only the baseline has run."
    assert found["By how much, and can I believe it?"] == (
        "There is no gain. The baseline rests on 2 runs."
    )
    assert found["What should I take over?"] == "Nothing: the baseline is still the best."
    assert "stray by 0.014142 (standard deviation, one degree of freedom)" in report_html(view)


def test_nothing_kept() -> None:
    lost = [tried(number, Verdict.DISCARD, 1.5 + number / 10, 1.5) for number in (1, 2, 3)]
    view = study(baseline(1.5), *lost)
    found = asked(view)
    assert headline(view) == "Nothing beat the baseline's 1.500000 val_bpb in 3 experiments"
    assert found["Did it work?"] == "No: none of 3 experiments beat the baseline."
    assert found["What did it learn?"] == (
        "The closest, #1 `WIDTH 512 -> 513`, lost 0.1000. "
        "Tried 3 times or more without success: `WIDTH`."
    )
    assert "WIDTH = 511" in found["What should I try next?"]  # the other side
    page = Page(report_html(view))
    (row,) = page.table("Place", "Tried", "Gains", "Why it did not pay")
    assert row[:3] == ["WIDTH", "3", "-0.3000 to -0.1000"]
    assert "None was better; the closest, #1, lost 0.1000. Only larger values were tried." in row[3]
    assert page.table("What", "In all")  # nothing to divide by


def test_everything_crashed() -> None:
    lost = [tried(number, Verdict.CRASH, None, 1.5) for number in (1, 2)]
    view = study(baseline(1.5), *lost)
    found = asked(view)
    assert found["Did it work?"] == "No: all 2 experiments ended without a score."
    assert found["What did it learn?"] == ("2 experiments ended without a score: `out of memory`.")
    assert found["What should I try next?"] == "Nothing follows from these experiments yet."


def test_what_was_vetoed_did_beat_the_baseline() -> None:
    first = replace(tried(1, Verdict.KEEP, 1.3, 1.5), vetoed=True, undone=True)
    view = study(baseline(1.5, 1.51), first)
    said = "No kept change stands against the baseline's 1.505000 val_bpb: one was vetoed"
    assert headline(view) == said
    found = asked(view)
    assert found["Did it work?"] == "No: no kept change stands; one was vetoed."
    assert "closest" not in found["What did it learn?"]
    second = replace(tried(2, Verdict.KEEP, 1.2, 1.3), parent=1, undone=True)
    lost = tried(3, Verdict.DISCARD, 1.6, 1.5)
    found = asked(study(baseline(1.5, 1.51), first, second, lost))
    assert found["Did it work?"] == (
        "No: no kept change stands; 2 were vetoed, or built on one that was."
    )
    assert found["What did it learn?"].startswith(
        "The closest, #3 `WIDTH 512 -> 515`, lost 0.1000."
    )


def test_a_tie_in_a_lab_without_noise() -> None:
    ties = [tried(number, Verdict.DISCARD, 1.5, 1.5) for number in (1, 2)]
    view = study(baseline(1.5, 1.5), *ties)
    assert (
        asked(view)["What did it learn?"]
        == "The closest, #1 `WIDTH 512 -> 513`, made no difference."
    )
    page = Page(report_html(view))
    (row,) = page.table("Place", "Tried", "Gains", "Why it did not pay")
    assert row[3].startswith("None was better; the closest, #1, made no difference.")


def test_what_lost_on_other_text_was_not_too_little_to_tell() -> None:
    reason = "0.0100 better at first, but 0.0100 worse on other text: not kept"
    lost = tried(1, Verdict.DISCARD, 1.49, 1.5)
    first = replace(lost, reason=reason, runs=(run(1.49), run(1.49, 1)))
    view = study(baseline(1.5, 1.5), first, tried(2, Verdict.DISCARD, 1.6, 1.5))
    (row,) = Page(report_html(view)).table("Place", "Tried", "Gains", "Why it did not pay")
    assert row[3].startswith("#1 was better by 0.0100, but not on other text.")


def test_the_most_frequent_cause_is_that_of_most() -> None:
    crash = tried(1, Verdict.CRASH, None, 1.5)
    failed = [
        replace(tried(number, Verdict.FAILED, None, 1.5), reason="changed nothing")
        for number in (2, 3)
    ]
    learned = asked(study(baseline(1.5), crash, *failed))["What did it learn?"]
    assert learned.endswith("3 experiments ended without a score, most often: `changed nothing`.")
    learned = asked(study(baseline(1.5), crash, failed[0]))["What did it learn?"]
    assert learned.endswith("2 experiments ended without a score.")  # one each


def test_a_baseline_that_crashed() -> None:
    crash = Experiment(0, None, AT, AT, verdict=Verdict.CRASH, reason="CUDA out of memory.")
    view = study(crash)
    assert asked(view) == {
        "Did it work?": "No: the baseline did not run (`CUDA out of memory.`).",
    }
    assert len(Page(report_html(view)).tables) == 1  # all experiments; there is no gain to price


def test_a_metric_of_which_more_is_better() -> None:
    kept = replace(tried(1, Verdict.KEEP, 0.8, 0.5), runs=(run(0.8), run(0.8, 1)))
    worse = tried(2, Verdict.DISCARD, 0.7, 0.8)
    view = study(baseline(0.5, 0.52, 0.48), kept, worse, direction="higher")
    assert headline(view) == (
        "It worked: val_bpb rose from 0.500 to 0.800, 60% better than the baseline"
    )
    assert asked(view)["Did it work?"] == "Yes. One change kept of 2 experiments."
    page = Page(report_html(view))
    (row,) = page.table("#", "Change", "Score", "Gain", "Share", "Runs")
    assert row[3:] == ["+0.300000", "100%", "2, confirmed"]
    assert "It lost 0.1000." not in page.words  # tried once: only named


def test_one_run_each_is_told_as_what_it_is() -> None:
    view = study(baseline(1.5), tried(1, Verdict.KEEP, 1.4, 1.5))
    assert headline(view).startswith("It seems to have worked: ")
    page = report_html(view)
    assert "no run was repeated, so nothing here says how much of it is chance" in page
    assert "it was not confirmed by a second run" in page
    assert "band" not in page.partition("<figcaption>")[2].partition("</figcaption>")[0]


def trained(experiment: Experiment, *tokens: float) -> Experiment:
    """It, with one run for each number of tokens; scores as they are."""
    score = experiment.score or 0.0
    runs = (run(score + 0.001 * n, n) for n in range(len(tokens)))
    figures = ({"seconds": 300.0, "tokens": each} for each in tokens)
    return replace(
        experiment,
        runs=tuple(replace(r, figures=f) for r, f in zip(runs, figures, strict=True)),
    )


def timed(experiment: Experiment, *runs: tuple[float, float]) -> Experiment:
    """The same with tokens and seconds of training."""
    found = trained(experiment, *(tokens for tokens, _ in runs))
    pairs = zip(found.runs, runs, strict=True)
    return replace(
        found,
        runs=tuple(
            replace(run, figures={**run.figures, "training_seconds": seconds})
            for run, (_, seconds) in pairs
        ),
    )


@pytest.mark.parametrize(
    ("base", "best", "told", "pace"),
    [
        (
            (1e6, 1.2e6),
            (1.25e6, 1.17e6),
            "in the same time, runs of one and the same file trained on up to 20% more tokens than "
            "others, as the machine was faster or slower; those of the best trained on 10% more "
            "tokens than the baseline's. Part of the gain may be that.",
            "2, confirmed; 10% more tokens",
        ),
        (
            (1e6, 1.01e6),
            (9e5, 9.1e5),
            "in the same time, those of the best trained on 10% fewer tokens than the baseline's.",
            "2, confirmed; 10% fewer tokens",
        ),
        ((1e6, 1.01e6), (1.02e6, 1.02e6), None, "2, confirmed"),
        ((0.0, float("inf")), (1e6, 1.5e6), "trained on up to 50% more", "2, confirmed"),
    ],
)
def test_the_machines_speed_is_told(
    base: tuple[float, ...], best: tuple[float, ...], told: str | None, pace: str
) -> None:
    first = trained(baseline(1.5), *base)
    view = study(first, trained(tried(1, Verdict.KEEP, 1.4, 1.5), *best))
    text = report_markdown(view)
    assert f"{pace} |" in text
    assert (told in text) if told else ("- Speed:" not in text)
    shown = "".join(Page(report_html(view)).words)
    assert pace in shown
    assert told is None or told in shown


def test_a_run_of_half_the_time_is_no_slower_machine() -> None:
    first = timed(baseline(1.5), (100e6, 300.0), (50e6, 150.0))
    best = timed(tried(1, Verdict.KEEP, 1.4, 1.5), (120e6, 300.0), (118e6, 300.0))
    assert "- Speed: in the same time, those of the best trained on 19% more tokens than" in (
        report_markdown(study(first, best))
    )
    untimed = replace(best, runs=(*best.runs, replace(best.runs[0], figures={"tokens": 90e6})))
    assert "those of the best trained on 46% more tokens" in report_markdown(study(first, untimed))


def test_an_imported_log_gets_no_times_seeds_or_commands() -> None:
    found = [
        replace(
            each, started_at="", finished_at=None, seconds=None, commit=None, researcher=IMPORTED,
            reason="says the imported log", details={"commit": f"abc000{each.number}"},
            runs=(Run(0, UNKNOWN_SEED, "scored", "", each.score),),
        )
        for each in (baseline(1.5), tried(1, Verdict.KEEP, 1.4, 1.5))
    ]  # fmt: skip
    program = replace(Program(), budget_seconds=0.0)
    view = StudyView(
        "old", program, tuple(found), researcher=IMPORTED, keep_rule="greedy", seed=UNKNOWN_SEED
    )
    for text in (report_html(view), report_markdown(view)):
        assert "imported from a log, which says nothing of times, seeds or the machine" in text
        assert "No time is known of this study" in text
        assert "abc0001" in text
        for word in ("UTC", "AUTORESEARCH_SEED", "autoresearch run", "Training time", "git switch",
                     "-1,", "Seed of"):  # fmt: skip
            assert word not in text


@pytest.mark.parametrize("price", [None, 0.0, 12.3456])
def test_money_is_told_as_far_as_it_is_known(price: float | None) -> None:
    view = study(baseline(1.5), tried(1, Verdict.KEEP, 1.4, 1.5))
    view = replace(view, usage={1: Usage(1000, 200, 0, price)})
    page = Page(report_html(view))
    rows = {row[0]: row[1:] for row in page.table("What", "In all", "Per kept change",
                                                  "Per 0.1 gained")}  # fmt: skip
    assert rows["Tokens of proposals"] == ["1,200", "1,200", "1,200"]
    words = " ".join(page.words)
    assert ("No price is known of one proposal" in words) is (price is None)
    assert rows.get("Money") == (["$12.35"] * 3 if price else None)
