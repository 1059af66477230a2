"""Protects the morning: a report says what was found, no more and no less, and is only text."""

import csv
import io
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run, Verdict
from autoresearch.final import Final
from autoresearch.program import Commands, Program
from autoresearch.report.answers import answers, believe, take, worked
from autoresearch.report.belief import belief
from autoresearch.report.findings import chart_title, headline, quotable
from autoresearch.report.html import report_html
from autoresearch.report.markdown import report_markdown
from autoresearch.report.results import results_tsv
from tests.pages import Page

NIGHT = Path(__file__).parents[2] / "docs" / "examples" / "overnight-125" / "results.tsv"
HOSTILE = (
    "\x1b[31m</td><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\t\n"
    "`|[a](javascript:alert(3))| @someone #1 <!-- --!> \"quoted' & \x00\ud800 end"
)
DIFF = """diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -1,4 +1,4 @@
 # Model
--- not a header, a removed line
+++ not a header either
-DEPTH = 8
+DEPTH = 9

"""


def run_of(score: float | None, *, index: int = 0, memory_mb: float = 0.0) -> Run:
    figures = {"peak_memory_mb": memory_mb, "training_seconds": 300.0, "tokens": 1e6}
    outcome = "crash" if score is None else "scored"
    return Run(index, index, outcome, "", score=score, figures=figures if memory_mb else {})


def published_night(diffs: bool = False) -> StudyView:
    """The real log, as the store would tell it."""
    found: list[Experiment] = []
    best: Experiment | None = None
    for number, line in enumerate(NIGHT.read_text().splitlines()[1:]):
        commit, text, memory, status, words = line.split("\t")
        score = float(text) or None
        delta = None
        if best is not None and best.score is not None and score is not None:
            delta = score - best.score
        each = Experiment(
            number,
            best.number if best else None,
            started_at="",
            commit=None if number == 0 else commit,
            description=words,
            verdict=Verdict(status),
            reason="" if score else "out of memory",
            score=score,
            delta=delta,
            seconds=330.0 + number,
            runs=(run_of(score, memory_mb=float(memory) * 1024),),
        )
        found.append(each)
        best = each if each.is_kept else best
    return StudyView(
        "mar8",
        Program(),
        tuple(found),
        started_at="2026-03-08T22:00:00+00:00",
        ended_at="2026-03-09T10:12:00+00:00",
        machine={"GPU": "NVIDIA H100"},
        diffs={each.number: DIFF for each in found[1:]} if diffs else {},
        best_diff=DIFF if diffs else "",
    )


def small(baseline: list[float], best: list[float], direction: str = "lower") -> StudyView:
    """A baseline, one kept change and one crash; a score is the mean of its runs."""
    means = [sum(scores) / len(scores) for scores in (baseline, best)]
    runs = [
        tuple(run_of(score, index=index) for index, score in enumerate(scores))
        for scores in (baseline, best)
    ]
    found = (
        Experiment(0, None, "", verdict=Verdict.KEEP, score=means[0], runs=runs[0]),
        Experiment(
            1, 0, "", verdict=Verdict.KEEP, score=means[1], delta=means[1] - means[0], runs=runs[1]
        ),
        Experiment(2, 1, "", verdict=Verdict.CRASH, reason="out of memory"),
    )
    return StudyView("t", replace(Program(), direction=direction), found)


KEPT = ("#", "Change", "Score", "Gain", "Share", "Runs")
ALL = ("#", "Parent", "Verdict", "Score", "Delta", "Seconds", "GB", "Change and reason")

# ---------------------------------------------------------------------------------------------
# results.tsv


def test_the_published_log_comes_back_line_by_line() -> None:
    view = published_night()
    theirs, ours = NIGHT.read_text().splitlines(), results_tsv(view.experiments).splitlines()
    assert ours[0] == theirs[0]
    assert ours[1] == "-\t0.997900\t44.0\tkeep\tbaseline"  # its baseline has no commit
    assert ours[2:] == theirs[2:]


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.KEEP, "keep"),
        (Verdict.DISCARD, "discard"),
        (Verdict.CRASH, "crash"),
        (Verdict.TIMEOUT, "crash"),
        (Verdict.INVALID, "crash"),
        (Verdict.FAILED, "crash"),
    ],
)
def test_a_verdict_has_one_of_the_originals_three_states(verdict: Verdict, status: str) -> None:
    found = Experiment(1, 0, "", commit="0123456789abcdef", verdict=verdict)
    assert results_tsv([found]).splitlines()[1] == f"0123456\t0.000000\t0.0\t{status}\t"


def test_small_scores_come_back() -> None:
    scores = (3.1e-9, 0.0123456789, 0.05, 0.969686, 1.23456789, -1e-12)
    found = [Experiment(0, None, "", verdict=Verdict.KEEP, score=each) for each in scores]
    written = [line.split("\t")[1] for line in results_tsv(found).splitlines()[1:]]
    assert written == ["3.1e-09", "0.01234568", "0.050000", "0.969686", "1.234568", "-1e-12"]


def test_hostile_words_stay_in_their_field() -> None:
    words = ['"opens a quote', "a\tb\nc\r\nd\x0be\u2028f", HOSTILE, 'closes it"']
    found = [
        Experiment(number, None, "", commit="c" * 40, verdict=Verdict.DISCARD, description=each)
        for number, each in enumerate(words)
    ]
    text = results_tsv(found)
    rows = list(csv.reader(io.StringIO(text), delimiter="\t"))
    assert [len(row) for row in rows] == [5] * 5
    assert rows[2][4] == "a b c d e f"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800]", text)


def test_the_log_leaves_out_what_is_not_over() -> None:
    assert results_tsv([Experiment(0, None, "")]).count("\n") == 1


def test_memory_is_the_hungriest_runs_in_gb() -> None:
    runs = (run_of(1.0, memory_mb=2048), run_of(1.0, memory_mb=4608), run_of(None))
    found = Experiment(0, None, "", verdict=Verdict.KEEP, score=1.0, runs=runs)
    assert results_tsv([found]).splitlines()[1].split("\t")[2] == "4.5"


def test_the_log_needs_no_drawing_library() -> None:
    """It is written after every experiment."""
    code = "import sys, autoresearch.report.results; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------------------------------
# The headline


def said(view: StudyView) -> str:
    """All that is said of how far the numbers can be believed."""
    return "\n".join(words for _, words in belief(view))


def test_one_run_each_is_never_sold_as_confirmed() -> None:
    view = small([1.5], [1.4])
    assert headline(view) == (
        "It seems to have worked: val_bpb fell from 1.500000 to 1.400000,"
        " 6.67% better than the baseline"
    )
    assert worked(view) == (
        "It seems so, but it is not confirmed. One change kept of 2 experiments."
    )
    assert believe(view) == (
        "0.100000 (6.67% of the baseline); no run was repeated, so nothing here says how much of "
        "it is chance."
    )
    assert "chosen among 2 attempts" in said(view)


@pytest.mark.parametrize(
    ("baseline", "best", "says", "confirmed"),
    [
        ([1.50, 1.52], [1.40], "the baseline rests on 2 runs, the best on one run", False),
        ([1.5], [1.40, 1.41], "the baseline rests on one run, the best on 2 runs", False),
        ([1.48, 1.52], [1.49, 1.47], "more than the gain: it may be chance", False),
        ([1.50, 1.52], [1.40, 1.41], "0.105000 (6.95% of the baseline), ± 0.048", True),
    ],
)
def test_it_is_said_what_each_number_rests_on(
    baseline: list[float], best: list[float], says: str, confirmed: bool
) -> None:
    view = small(baseline, best)
    assert says in said(view)
    assert headline(view).startswith("It worked: ") is confirmed
    assert worked(view).startswith("Yes. ") is confirmed
    assert "not confirmed by a second run" in said(view) or len(best) > 1


def test_the_interval_is_students_of_the_pooled_spread() -> None:
    """By hand: sd of (1.50, 1.52) and (1.40, 1.41) is sqrt(0.00025 / 2); t of 2 degrees 4.3027."""
    sd = (0.00025 / 2) ** 0.5
    assert f"± {4.302653 * sd:.6f}" in believe(small([1.50, 1.52], [1.40, 1.41]))


def test_where_runs_never_differ_no_chance_shows() -> None:
    view = small([1.5, 1.5], [1.4, 1.4])
    assert headline(view).startswith("It worked: ")
    assert "no chance shows in it" in believe(view)
    assert "it was confirmed by another run with another seed" in said(view)
    assert headline(small([1.5, 1.5], [1.4])).startswith("It seems to have worked: ")


@pytest.mark.parametrize("baseline", [[1.5, 1.52, 1.51], [1.5]])
def test_a_best_of_two_runs_is_never_called_unconfirmed(baseline: list[float]) -> None:
    """Its gain may still be within the interval."""
    view = small(baseline, [1.49, 1.485])
    assert headline(view).startswith("Too noisy to tell: ")
    assert worked(view).startswith("It cannot be told: the gain is within what chance does. ")
    assert "it was confirmed by another run with another seed" in said(view)


def test_a_gain_within_what_chance_does_is_not_offered() -> None:
    """The digits of the scores are those of their noise."""
    view = small([3.869675, 4.0, 3.75], [3.662567, 3.6])
    assert headline(view) == (
        "Too noisy to tell: val_bpb fell from 3.87 to 3.63, and chance alone moves it by 0.31 "
        "(95% interval)"
    )
    assert take(view).startswith("Nothing yet: the gain of #1")
    assert "autoresearch adopt" not in report_html(view) + report_markdown(view)


@pytest.mark.parametrize(
    ("best", "opening", "answer"),
    [
        ((1.35, 1.36, 1.34), "It worked: ", "Yes. "),
        ((1.45, 1.55, 1.46), "It may have worked: ", "Perhaps: "),
        ((1.55, 1.56, 1.54), "It did not hold up: ", "No: on the sealed text"),
    ],
)
def test_the_sealed_text_has_the_last_word(
    best: tuple[float, ...], opening: str, answer: str
) -> None:
    final = Final("2026-03-09T08:00:00+00:00", 1, (1.5, 1.51, 1.49), best)
    view = replace(small([1.50, 1.52], [1.40, 1.41]), final=final)
    assert headline(view).startswith(opening)
    assert worked(view).startswith(answer)
    assert believe(view).startswith(
        "On text and seeds that nothing was chosen by, 3 seeds against 3"
    )


@pytest.mark.parametrize(
    ("best", "words"),
    [
        ((1.35, 1.36, 1.34), "0.150000 better (95% interval of the gain +0."),
        ((1.45, 1.55, 1.46), "to +0.103062, so it may be luck)."),
        ((1.45, 1.60, 1.50), "to +0.106808, so it may be luck)."),
        ((1.65, 1.66, 1.64), "0.150000 worse (95% interval of the gain -0.172670 to -0.127330)."),
        ((1.5, 1.51, 1.49), "no different (95% interval of the gain -0.022670 to +0.022670)."),
    ],
)
def test_luck_is_named_where_the_sealed_text_leaves_room_for_it(
    best: tuple[float, ...], words: str
) -> None:
    final = Final("", 1, (1.5, 1.51, 1.49), best)
    told = quotable(replace(small([1.50, 1.52], [1.40, 1.41]), final=final))
    assert words in told
    assert ("luck" in told) is ("luck" in words)


def test_the_interval_of_the_sealed_text() -> None:
    """Two samples, pooled: 3.1824 is the 97.5% quantile of Student's t with 3 degrees."""
    final = Final("", 1, (1.5, 1.51, 1.49), (1.2, 1.21))
    error = math.sqrt((0.0002 + 0.00005) / 3 * (1 / 3 + 1 / 2))
    assert final.interval == pytest.approx(3.1824 * error, rel=1e-4)
    assert Final("", 1, (1.5,), (1.2,)).interval is None
    assert Final("", 1, (1.5, 1.5), (1.2, 1.2)).interval == 0.0


def test_an_old_opening_of_the_sealed_text_says_nothing_of_a_new_best() -> None:
    final = Final("2026-03-09T08:00:00+00:00", 7, (1.5, 1.51), (1.2, 1.21))
    view = replace(small([1.5], [1.4]), final=final)
    assert believe(view).startswith("0.100000")
    assert "opened for #7; the best is #1 now" in said(view)


def test_where_higher_is_better_a_rise_is_a_gain() -> None:
    view = small([0.5], [0.6], "higher")
    assert "rose from 0.500000 to 0.600000, 20% better" in headline(view)
    ((_, _, score, gain, share, runs),) = Page(report_html(view)).table(*KEPT)
    assert (score, gain, share, runs) == ("0.600000", "+0.100000", "100%", "1, not confirmed")


def test_a_night_without_progress_says_so() -> None:
    view = small([1.5], [1.4])
    base, _, crash = view.experiments
    lost = replace(base, number=1, parent=0, verdict=Verdict.DISCARD, score=1.7, delta=0.2)
    found = replace(view, experiments=(base, lost, crash))
    assert headline(found) == "Nothing beat the baseline's 1.500000 val_bpb in 2 experiments"
    assert worked(found) == "No: none of 2 experiments beat the baseline."
    assert believe(found) == "There is no gain. The baseline rests on one run."
    alone = replace(view, experiments=(base,))
    assert headline(alone).startswith("The baseline stands at 1.500000 val_bpb; nothing else")


def test_a_baseline_without_a_score_is_no_result() -> None:
    crash = Experiment(0, None, "", verdict=Verdict.CRASH, reason="CUDA out of memory.")
    view = StudyView("t", Program(), (crash,))
    assert headline(view) == "No result: the baseline has no score"
    assert [each.text for each in answers(view)] == [
        "No: the baseline did not run (`CUDA out of memory.`)."
    ]
    assert headline(replace(view, experiments=())) == "Nothing has finished yet"


# ---------------------------------------------------------------------------------------------
# Numbers


def test_every_row_of_the_page_is_the_inputs() -> None:
    view = published_night(diffs=True)
    rows = Page(report_html(view)).table(*ALL)
    assert len(rows) == len(view.experiments) == 126
    for row, each in zip(rows, view.experiments, strict=True):
        number, parent, verdict, score, delta, seconds, memory, words = row
        assert int(number) == each.number
        assert (int(parent) if parent else None) == each.parent
        assert verdict == each.verdict
        assert (float(score) if score else None) == each.score
        assert (float(delta) if delta else None) == pytest.approx(each.delta, abs=5e-7)
        assert float(seconds) == each.seconds
        expected = max(run.figures.get("peak_memory_mb", 0) for run in each.runs) / 1024
        assert float(memory or 0) == pytest.approx(expected)
        assert words == each.description + each.reason


def test_every_row_of_the_kept_changes_is_the_inputs() -> None:
    view = published_night()
    kept = [each for each in view.experiments if each.is_kept and each.number]
    rows = Page(report_html(view)).table(*KEPT)
    assert len(rows) == len(kept) == 22
    for (number, words, score, gain, _, runs), each in zip(rows, kept, strict=True):
        assert (int(number), words, float(score)) == (each.number, each.description, each.score)
        assert each.delta is not None
        assert float(gain) == pytest.approx(-each.delta, abs=5e-7)
        assert runs == "1, not confirmed"
    total = sum(float(gain) for _, _, _, gain, _, _ in rows)
    assert total == pytest.approx(0.9979 - 0.969686)


def test_the_opening_and_the_costs_are_the_inputs() -> None:
    page = " ".join(Page(report_html(published_night())).words)
    assert "val_bpb fell from 0.997900 to 0.969686, 2.83% better" in page
    assert "8 March 2026, 22:00 to 9 March 2026, 10:12 UTC" in page
    assert "125 experiments, 22 kept." in page
    assert "12.2 hours" in page  # from start to end
    busy = sum(330 + number for number in range(126))
    assert f"{busy / 3600:.1f} hours" in page
    assert f"{busy / 22 / 60:.1f} minutes" in page  # per kept change
    assert "125,000,000" in page  # training tokens: a crash tells of none
    assert f"{125 * 300 / 3600:.1f} hours" in page


def test_what_failed_is_grouped_by_its_cause() -> None:
    view = small([1.5], [1.4])
    slow = Experiment(3, 1, "", verdict=Verdict.TIMEOUT, description="d", reason="took 400 s")
    again = Experiment(4, 1, "", verdict=Verdict.TIMEOUT, description="d", reason="took 410 s")
    page = Page(report_html(replace(view, experiments=(*view.experiments, slow, again))))
    assert page.table("Count", "What happened", "Cause", "Experiments") == [
        ["2", "ran out of time", "took 400 to 410 s", "3, 4"],
        ["1", "crashed", "out of memory", "2"],
    ]


def test_how_to_reproduce_it_can_be_typed() -> None:
    commands = Commands(prepare=("make", "data set"), train=("python", "go.py", "--fast"))
    view = replace(
        small([1.5], [1.4]),
        tag="my tag",
        program=replace(Program(), commands=commands),
        machine={"GPU": "NVIDIA <H100>"},
    )
    page = Page(report_html(view))
    text = "\n".join(page.words)
    typed = "make 'data set'\nAUTORESEARCH_BUDGET=300 AUTORESEARCH_SEED=0 python go.py --fast"
    assert f"git switch --detach 'autoresearch/my tag'\n{typed}" in text
    assert "NVIDIA <H100>" in page.words


def test_an_experiment_under_way_is_shown_as_open() -> None:
    view = small([1.5], [1.4])
    page = Page(report_html(replace(view, experiments=(*view.experiments, Experiment(3, 1, "")))))
    assert page.table(*ALL)[-1] == ["3", "1", "open", "", "", "", "", "(no description)"]


def test_a_period_is_told_as_far_as_it_is_known() -> None:
    view = replace(small([1.5], [1.4]), started_at="2026-03-08T22:00:00Z")
    assert "since 8 March 2026, 22:00 UTC, not over yet" in report_html(view)
    over = replace(view, ended_at="2026-03-08T23:30:00+00:00")
    assert "8 March 2026, 22:00 to 23:30 UTC" in report_html(over)
    assert "90.0 minutes" not in report_html(over)
    assert "1.5 <small>hours" in report_html(over)
    assert "UTC" not in report_html(replace(view, started_at="yesterday"))


# ---------------------------------------------------------------------------------------------
# Diffs


def test_a_diff_is_marked_by_what_a_line_is_and_not_by_how_it_looks() -> None:
    page = report_html(published_night(diffs=True))
    for line in ("-- not a header, a removed line", "DEPTH = 8"):
        assert f"<del>-{line}</del>" in page
    for line in ("++ not a header either", "DEPTH = 9"):
        assert f"<ins>+{line}</ins>" in page
    assert "<b>--- a/train.py</b>\n<b>+++ b/train.py</b>\n<b>@@ -1,4 +1,4 @@</b>\n # Model" in page


def test_what_a_diff_hides_is_shown() -> None:
    diff = "@@ -1 +1 @@\n+x = 1  \x1b]0;\u202e hidden\x07\x1b[8m y = 2\r\n"
    view = replace(small([1.5], [1.4]), best_diff=diff)
    assert "<ins>+x = 1  \ufffd]0;\ufffd hidden\ufffd\ufffd[8m y = 2</ins>" in report_html(view)


@pytest.mark.parametrize("diff", ["+x\n" * 5000, "+" + "x" * 10**6])
def test_an_endless_diff_is_cut_and_says_so(diff: str) -> None:
    view = replace(small([1.5], [1.4]), best_diff=diff, diffs={1: diff})
    for text in (report_html(view), report_markdown(view)):
        assert "cut here" in text
        assert len(text) < 300_000


def test_links_lead_to_their_change() -> None:
    page = Page(report_html(published_night(diffs=True)))
    targets = {value[1:] for name, value in page.attributes if name == "href"}
    known = [value for name, value in page.attributes if name == "id"]
    assert targets <= set(known)
    assert len(known) == len(set(known))
    assert {"change-1", "change-125"} <= targets


# ---------------------------------------------------------------------------------------------
# Text that was written to do harm


def hostile() -> StudyView:
    view = small([1.5], [1.4])
    found = tuple(
        replace(each, description=HOSTILE, reason=HOSTILE, hypothesis=HOSTILE)
        for each in view.experiments
    )
    diff = f"--- a\n+++ b\n@@ -1 +1 @@\n+{HOSTILE}\n+```\n+</code></pre></details>\n"
    return StudyView(
        HOSTILE,
        replace(Program(), metric=HOSTILE, editable=(HOSTILE,)),
        found,
        machine={HOSTILE: HOSTILE},
        diffs=dict.fromkeys((0, 1, 2), diff),
        best_diff=diff,
    )


def test_hostile_words_are_words_on_the_page() -> None:
    text = report_html(hostile())
    page = Page(text)
    assert {"script", "img", "iframe", "object", "link", "form"}.isdisjoint(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in "".join(page.words)
    text.encode()


@pytest.mark.parametrize("report", [report_html, report_markdown])
def test_nothing_hidden_reaches_a_report(report: Callable[[StudyView], str]) -> None:
    pattern = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    assert not re.search(pattern, report(hostile()))


def test_hostile_words_are_words_in_the_short_form_too() -> None:
    """Read by a real Markdown parser that lets every bit of HTML through."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    page = Page(reader.render(report_markdown(hostile())))
    ours = {"h2", "h3", "p", "code", "pre", "ol", "ul", "li", "strong", "details", "summary"}
    assert set(page.tags) <= ours | {"table", "thead", "tbody", "tr", "th", "td"}
    assert [len(row) for table in page.tables for row in table] == [6] * 2 + [4] * 4
    assert page.tags.count("details") == 1
    assert "@someone" in page.tables[0][1][1]
    assert "@someone" not in page.bare  # in a code span: nobody is called
    assert not re.search(r"#\d", page.bare)  # and no issue is linked


def test_the_page_asks_nobody_for_anything() -> None:
    text = report_html(published_night(diffs=True))
    page = Page(text)
    asking = {"src", "srcset", "action", "poster", "data", "background", "ping", "formaction"}
    assert asking.isdisjoint(name for name, _ in page.attributes)
    links = [value for name, value in page.attributes if name in ("href", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'<> ]*", text)) <= namespaces
    assert "default-src 'none'; style-src 'unsafe-inline'" in dict(page.attributes)["content"]


# ---------------------------------------------------------------------------------------------
# The page as a whole


def test_the_outline_is_one_heading_and_its_sections() -> None:
    text = report_html(published_night(diffs=True))
    assert re.findall("<h[23]>(.*?)</h[23]>", text) == [
        "Can I believe it?",
        "What did it learn?",
        "What each kept change is worth",
        "Places that did not pay, and why",
        "What crashed, by its cause",
        "What should I take over?",
        "The best against the baseline",
        "Reproduce it",
        "The machine",
        "What should I try next?",
        "What it cost",
        "Every experiment",
        "Every change",
    ]
    assert re.findall(r"<dt><a href=\"#(\w+)\">(.*?)</a></dt>", text) == [
        ("worked", "Did it work?"),
        ("believe", "By how much, and can I believe it?"),
        ("learned", "What did it learn?"),
        ("take", "What should I take over?"),
        ("next", "What should I try next?"),
    ]
    assert text.count("<h1>") == text.count("<main>") == 1
    assert text.startswith('<!doctype html>\n<html lang="en">')


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_any_size_is_reported(count: int) -> None:
    found = [
        Experiment(
            number,
            number - 1 if number else None,
            "",
            verdict=Verdict.DISCARD if number % 9 else Verdict.KEEP,
            score=1.5 - number / 1e5,
            delta=-1e-5 if number else None,
            description=f"step {number}",
        )
        for number in range(count)
    ]
    view = StudyView("t", Program(), tuple(found), diffs={each.number: DIFF for each in found})
    text = report_html(view)
    page = Page(text)
    assert sum(len(table) - 1 for table in page.tables) >= count
    assert page.tags.count("details") == count
    assert len(text) < 10_000_000
    assert report_markdown(view).startswith("## t: ")


def test_two_scores_that_differ_look_different() -> None:
    view = small([1.0, 1.0], [1 - 1e-7])
    assert "fell from 1.0000000 to 0.9999999, 1e-05% better" in headline(view)
    assert chart_title(view).endswith("1.0000000 → 0.9999999 val_bpb")
    facts = Page(report_html(view)).pairs()
    assert facts["Baseline"] == "1.0000000"
    assert believe(view).startswith("0.0000001 (1e-05% of the baseline); ")


def test_the_same_facts_give_the_same_report() -> None:
    view = published_night(diffs=True)
    assert report_html(view) == report_html(view)
    assert report_markdown(view) == report_markdown(view)


def test_the_short_form_has_the_same_numbers() -> None:
    view = published_night(diffs=True)
    text = report_markdown(view)
    assert text.startswith("## mar8: It seems to have worked: val\\_bpb fell from 0.997900 to")
    assert "1. **Did it work?** It seems so, but it is not confirmed." in text
    pattern = r"^\| (\d+) \| `(.*)` \| (\S+) \| (\S+) \| (\S+) \| 1, not confirmed \|$"
    rows = re.findall(pattern, text, re.MULTILINE)
    kept = [each for each in view.experiments if each.is_kept and each.number]
    assert [(int(row[0]), row[1], float(row[2])) for row in rows] == [
        (each.number, each.description, each.score) for each in kept
    ]
    assert "| 1 | crashed | `out of memory` | 15 |" in text
    assert "```diff\ndiff --git" in text
    assert "- GPU: `NVIDIA H100`" in text
    assert "python train.py" in text
