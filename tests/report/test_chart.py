"""Protects the picture: every experiment where it belongs, nothing overlapping, the same bytes."""

import math
import random
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run, Verdict
from autoresearch.program import Program
from autoresearch.report.chart import COLOURS, draw, progress_png, progress_svg
from autoresearch.report.findings import chart_title
from autoresearch.text import number

NIGHT = Path(__file__).parents[2] / "docs" / "examples" / "overnight-125" / "results.tsv"
HOSTILE = "\x1b[31m<script>$x^2$--!></script>\u202e 漢字 🚀 \x00\ud800 & \" ' <!-- "


def experiment(
    number: int, score: float | None, verdict: Verdict, words: str = "", delta: float | None = None
) -> Experiment:
    parent = None if number == 0 else 0
    return Experiment(
        number, parent, "", description=words, verdict=verdict, score=score, delta=delta
    )


def study(count: int, seed: int = 0, *, higher: bool = False) -> StudyView:
    """A baseline and `count` experiments, some better, some hopeless, some without a score."""
    chance = random.Random(seed)
    sign = -1.0 if higher else 1.0
    best = 1.532
    found = [experiment(0, best, Verdict.KEEP, "baseline")]
    for each in range(1, count + 1):
        if chance.random() < 0.08:
            found.append(experiment(each, None, Verdict.CRASH, "too big"))
            continue
        step = sign * chance.gauss(0.006, 0.01) / (1 + each / 20)
        if chance.random() < 0.1:
            step += sign * chance.expovariate(3)
        verdict = Verdict.KEEP if sign * step < 0 else Verdict.DISCARD
        words = f"MATRIX_LR 0.02 -> {chance.random():.3f}, DEPTH {chance.randint(3, 9)}"
        found.append(experiment(each, best + step, verdict, words, step))
        best = best + step if verdict is Verdict.KEEP else best
    program = replace(Program(), direction="higher" if higher else "lower")
    return StudyView("nov23", program, tuple(found))


def published_night() -> StudyView:
    found = []
    for each, line in enumerate(NIGHT.read_text().splitlines()[1:]):
        _, score, _, verdict, words = line.split("\t")
        found.append(experiment(each, float(score) or None, Verdict(verdict), words))
    return StudyView("night", Program(), tuple(found))


def repeated(view: StudyView, apart: float = 0.002) -> StudyView:
    """The same with two runs of the baseline, that much apart."""
    first, *rest = view.experiments
    assert first.score is not None
    scores = (first.score - apart / 2, first.score + apart / 2)
    runs = tuple(Run(index, index, "scored", "", score) for index, score in enumerate(scores))
    return replace(view, experiments=(replace(first, runs=runs), *rest))


def axes_of(view: StudyView) -> Axes:
    (axes,) = draw(view).axes
    return axes


def points(axes: Axes, label: str) -> list[tuple[float, float]]:
    """The data of the artist with that label, as (x, y) pairs."""
    (artist,) = [
        each
        for each in axes.findobj(Line2D)
        if isinstance(each, Line2D) and each.get_label() == label
    ] or [Line2D([], [])]
    return list(zip(np.asarray(artist.get_xdata()), np.asarray(artist.get_ydata()), strict=True))


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 (our own output, or the test fails)


def labels(figure: Figure) -> list[tuple[float, float, float, float]]:
    """The boxes of the named changes, in pixels."""
    (axes,) = figure.axes
    return [text.get_window_extent().extents for text in axes.texts]


# ---------------------------------------------------------------------------------------------
# Facts


def test_every_experiment_is_where_its_score_is() -> None:
    view = study(126)
    axes = axes_of(view)
    bottom, top = axes.get_ylim()
    scored = {each.number: each.score for each in view.experiments if each.score is not None}
    shown = dict(points(axes, "kept")) | dict(points(axes, "discarded"))
    assert shown == {each: score for each, score in scored.items() if bottom <= score <= top}
    beyond = {each for each, _ in points(axes, "worse than shown")}
    assert beyond == {each for each, score in scored.items() if score > top}
    assert beyond, "the case needs hopeless experiments"
    ticks = {each for each, _ in points(axes, "no score")}
    assert ticks == {each.number for each in view.experiments if each.score is None}


def test_the_line_is_the_best_so_far_and_ends_at_the_last_experiment() -> None:
    view = study(40)
    line = points(axes_of(view), "best so far")
    kept = [(each.number, each.score) for each in view.experiments if each.is_kept]
    assert line == [*kept, (40, kept[-1][1])]


def test_the_axis_runs_from_the_best_to_a_little_beyond_the_baseline() -> None:
    axes = axes_of(published_night())
    bottom, top = axes.get_ylim()
    assert 0.96 < bottom < 0.969686
    assert 0.9979 < top < 1.01  # although one experiment scored 3.2
    assert [each for each, _ in points(axes, "worse than shown")] == [88]


def test_where_higher_is_better_the_worse_edge_is_below() -> None:
    view = study(60, higher=True)
    axes = axes_of(view)
    bottom, top = axes.get_ylim()
    assert view.best is not None
    assert view.best.score is not None
    assert bottom < 1.532 < view.best.score < top
    beyond = points(axes, "worse than shown")
    assert beyond
    assert all(y < 0.1 for _, y in beyond)
    assert "higher is better" in axes.get_ylabel()


def test_one_diverged_experiment_does_not_decide_the_axis() -> None:
    found = (experiment(0, 1.5, Verdict.KEEP), experiment(1, 1e308, Verdict.DISCARD))
    _, top = axes_of(StudyView("t", Program(), found)).get_ylim()
    assert top < 2


def test_an_open_experiment_is_not_shown_yet() -> None:
    view = study(3)
    running = Experiment(4, 0, "", description="running")
    more = replace(view, experiments=(*view.experiments, running))
    assert chart_title(more) == chart_title(view)
    assert progress_svg(more) == progress_svg(view)


def test_the_title_counts_changes_and_not_the_baseline() -> None:
    found = [experiment(0, 1.532, Verdict.KEEP)]
    found += [experiment(each, 1.532 - each / 100, Verdict.KEEP) for each in (1, 2)]
    found += [experiment(3, 1.4981, Verdict.KEEP), experiment(4, None, Verdict.TIMEOUT)]
    found += [experiment(each, 1.6, Verdict.DISCARD) for each in (5, 6, 7)]
    view = StudyView("nov23", Program(), tuple(found))
    assert chart_title(view) == "nov23: 7 experiments, 3 kept, 1.5320 → 1.4981 val_bpb"
    first = replace(view, experiments=view.experiments[:1])
    assert chart_title(first) == "nov23: 0 experiments, 0 kept, 1.5320 val_bpb"


def test_vetoed_changes_are_marked_and_the_line_goes_on_without_them() -> None:
    found = [experiment(each, 1.532 - each / 100, Verdict.KEEP) for each in range(4)]
    found[2:] = [replace(each, undone=True, vetoed=each.number == 2) for each in found[2:]]
    axes = axes_of(StudyView("t", Program(), tuple(found)))
    assert [each for each, _ in points(axes, "vetoed")] == [2, 3]
    assert [each for each, _ in points(axes, "kept")] == [0, 1]
    assert points(axes, "discarded") == []
    assert points(axes, "best so far") == [(0, 1.532), (1, 1.522), (3, 1.522)]


def bands(view: StudyView) -> list[PolyCollection]:
    found = axes_of(view).findobj(PolyCollection)
    return [each for each in found if isinstance(each, PolyCollection)]


def test_the_noise_is_a_band_around_the_best_so_far() -> None:
    (band,) = bands(repeated(study(1), 0.002))
    (path,) = band.get_paths()
    sd = 0.002 / math.sqrt(2)
    heights = sorted({round(float(y) - 1.532, 9) for _, y in path.vertices})
    assert heights[0] == pytest.approx(-sd, abs=1e-6)
    assert sd == pytest.approx(0.001414, abs=1e-6)


def test_without_repeated_runs_no_noise_is_drawn() -> None:
    assert bands(study(30)) == []
    assert bands(repeated(study(30), 0.0)) == []  # repeated, and there is none


def test_the_chart_for_phones_shares_no_name_with_the_other() -> None:
    view = repeated(study(30))
    names = [
        {value for each in parse(svg).iter() for name, value in each.attrib.items() if name == "id"}
        for svg in (progress_svg(view), progress_svg(view, narrow=True))
    ]
    assert all(names)
    assert names[0].isdisjoint(names[1])
    narrow = parse(progress_svg(view, narrow=True))
    links = [value for each in narrow.iter() for value in each.attrib.values() if value[:1] == "#"]
    assert links
    assert {link[1:] for link in links} <= names[1]


# ---------------------------------------------------------------------------------------------
# Sizes


@pytest.mark.parametrize("count", [0, 1, 7, 126, 5000])
def test_any_size_is_drawn(count: int, tmp_path: Path) -> None:
    view = study(count, seed=2)
    progress_png(view, tmp_path / "progress.png")
    png = (tmp_path / "progress.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 1_000_000
    svg = progress_svg(view)
    parse(svg)
    assert len(svg) < 2_000_000


@pytest.mark.parametrize("found", [(), (experiment(0, None, Verdict.CRASH),)])
def test_a_study_without_a_score_says_so(found: tuple[Experiment, ...], tmp_path: Path) -> None:
    view = StudyView("none", Program(), found)
    assert [text.get_text() for text in axes_of(view).texts] == ["no scores yet"]
    progress_png(view, tmp_path / "progress.png")
    parse(progress_svg(view))


def test_scores_without_a_baseline_are_drawn() -> None:
    view = StudyView("odd", Program(), (experiment(3, 1.5, Verdict.DISCARD),))
    assert points(axes_of(view), "discarded") == [(3, 1.5)]


# ---------------------------------------------------------------------------------------------
# Labels


@pytest.mark.parametrize("count", [7, 126, 5000])
@pytest.mark.parametrize("higher", [False, True])
def test_labels_cover_neither_each_other_nor_a_dot(count: int, higher: bool) -> None:
    figure = draw(study(count, seed=3, higher=higher))
    (axes,) = figure.axes
    boxes = labels(figure)
    assert boxes
    for (left, bottom, right, top), (left_2, bottom_2, right_2, top_2) in combinations(boxes, 2):
        assert right < left_2 or right_2 < left or top < bottom_2 or top_2 < bottom
    dots = axes.transData.transform([*points(axes, "kept"), *points(axes, "discarded")])
    frame = axes.get_window_extent()
    for left, bottom, right, top in boxes:
        inside = (dots > (left, bottom)).all(axis=1) & (dots < (right, top)).all(axis=1)
        assert not inside.any()
        assert frame.x0 <= left < right <= frame.x1
        assert frame.y0 <= bottom < top <= frame.y1


def test_most_of_the_published_night_is_named_and_the_best_always_is() -> None:
    (axes,) = draw(published_night()).axes
    named = [text.get_text() for text in axes.texts]
    assert len(named) >= 14  # of 22
    assert "warmdown 0.7 to 0.75" in named


# ---------------------------------------------------------------------------------------------
# Hostile text


def test_hostile_descriptions_are_drawn_as_text_and_leave_nothing_in_the_file() -> None:
    found = (experiment(0, 1.5, Verdict.KEEP), experiment(1, 1.4, Verdict.KEEP, HOSTILE, -0.1))
    view = StudyView(HOSTILE, replace(Program(), metric="$\\frac{1}$<b>"), found)
    svg = progress_svg(view)
    tree = parse(svg)
    assert "script" not in {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert "<!--" not in svg
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800]", svg)
    (label,) = axes_of(view).texts
    assert label.get_text().startswith("<script>$x^2$--!></script>")
    assert "□" in label.get_text()  # what the font does not have


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (0.969686, None, "0.969686"),
        (1.4981234, None, "1.498123"),
        (1234.5678, None, "1234.568"),
        (-0.000028, 0.972821, "-0.000028"),
        (0.0, None, "0.000000"),
        (0.00001234, None, "1.234e-05"),
        (1e300, None, "1e+300"),
        (-2.05e-9, 0.0, "-2.05e-09"),  # of a score of 0
    ],
)
def test_numbers_are_written_for_reading(value: float, like: float | None, text: str) -> None:
    assert number(value, like=like) == text


# ---------------------------------------------------------------------------------------------
# Files


def test_the_same_facts_give_the_same_bytes_whatever_the_users_settings(tmp_path: Path) -> None:
    view = study(30)
    progress_png(view, tmp_path / "one.png")
    first = progress_svg(view)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        progress_png(view, tmp_path / "two.png")
        assert progress_svg(view) == first
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_svg_asks_for_nothing_and_follows_the_pages_theme() -> None:
    svg = progress_svg(study(30))
    tree = parse(svg)
    targets = [
        value
        for element in tree.iter()
        for name, value in element.attrib.items()
        if name.rpartition("}")[2] in {"href", "src"}
    ]
    assert targets
    assert all(target.startswith("#") for target in targets)
    assert set(re.findall(r"url\((.)", svg)) <= {"#"}
    assert not re.search(r"<(style|script|image|foreignObject|!DOCTYPE|\?xml)", svg)
    themed = re.sub(r"var\(--chart-[a-z]+, #[0-9a-f]{6}\)", "", svg)
    assert not re.search(r": #[0-9a-f]{6}", themed)
    noisy = progress_svg(repeated(study(30)))
    assert all(f"--chart-{name}" in noisy for name in COLOURS if name != "paper")


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "progress.png"
    target.mkdir()
    with pytest.raises(OSError, match=r"progress\.png"):
        progress_png(study(1), target)
    assert list(tmp_path.iterdir()) == [target]


def test_a_picture_replaces_the_last_one_and_is_readable_by_others(tmp_path: Path) -> None:
    target = tmp_path / "progress.png"
    target.write_text("old")
    target.chmod(0o600)
    progress_png(study(1), target)
    (tmp_path / "plain").write_text("")
    assert target.read_bytes().startswith(b"\x89PNG")
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_drawing_needs_no_display_and_no_pyplot() -> None:
    code = "import sys, autoresearch.report.chart; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
