"""A study as one picture: every experiment a dot, the kept ones named, the best so far a line.

The y axis shows what is worth looking at: from the best score to a little beyond the baseline.
What is worse than that is an arrow at the edge, what has no score a red tick on the axis.
Labels never cover each other; where there is no room, a kept change goes unnamed (the report's
table names them all). The same facts always give the same bytes, on any machine.
"""

import math
import os
import re
from collections.abc import Sequence
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from autoresearch.analysis.view import StudyView, has_score, score_of
from autoresearch.experiment import Experiment
from autoresearch.report.findings import chart_title, in_short
from autoresearch.report.labels import drawable, name_kept
from autoresearch.text import clean_line

# ---------------------------------------------------------------------------------------------
# The two pictures


def progress_png(view: StudyView, path: Path) -> None:
    """Write the picture to `path`, which at no moment holds half of one."""
    image = BytesIO()
    with _style():
        draw(view).savefig(image, format="png", dpi=160, metadata={"Software": None})
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(image.getvalue())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def progress_svg(view: StudyView, *, narrow: bool = False) -> str:
    """The picture as one `<svg>` element, to stand in a page or by itself; `narrow` for a phone.

    Its colours are CSS variables with a default (`--chart-ink`, ...), so that a page may have a
    dark theme; text is drawn as paths, so that it looks the same everywhere.
    """
    image = StringIO()
    with _style():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        size = NARROW if narrow else SIZE
        draw(view, size).savefig(image, format="svg", transparent=True, metadata=nothing)
    svg = re.sub(r"<!--.*?-->\n?", "", image.getvalue(), flags=re.DOTALL)  # labels, once more
    svg = re.sub(r" *<defs>\s*<style.*?</style>\s*</defs>\n", "", svg, count=1, flags=re.DOTALL)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--chart-{name}, {colour})")
    if narrow:  # beside the other one on a page: no name twice
        body = re.sub(r'(\bid="|href="#|url\(#)', r"\1narrow-", body)
    width, height = (round(72 * side) for side in size)
    return (
        f'<svg role="img" aria-label="{escape(chart_title(view))}" viewBox="0 0 {width} {height}"'
        ' style="stroke-linejoin: round; stroke-linecap: butt"'
        ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{body.strip()}\n"
    )


SIZE, NARROW = (12.0, 6.3), (5.4, 5.4)  # inches
COLOURS = {
    "ink": "#1f2428",
    "muted": "#69717a",
    "rule": "#e4e7ea",
    "kept": "#157347",
    "line": "#63b58c",
    "band": "#e2f2e9",
    "discard": "#b9c0c7",
    "fail": "#c8372d",
    "paper": "#fefefe",
}
HOLLOW = {
    "markerfacecolor": "none",
    "markeredgecolor": COLOURS["muted"],
    "markeredgewidth": 1.0,
}


def _style() -> Any:
    """The library's own defaults for the length of one drawing, whatever the user's settings.

    The library keeps them in one place for the whole process: draw in one thread at a time.
    """
    ours = {"svg.hashsalt": "autoresearch", "svg.fonttype": "path", "font.size": 9}
    return matplotlib.style.context(["default", ours])


def draw(view: StudyView, size: tuple[float, float] = SIZE) -> Figure:
    """The picture before it is written, for who wants to look into it or add to it."""
    figure = Figure(figsize=size, dpi=72, facecolor=COLOURS["paper"])  # at 72 a pixel is a point
    width, height = (72 * side for side in size)
    is_narrow = size[0] < 8
    above = 92 if is_narrow else 70  # for the title and the legend
    left, bottom = 65 / width, 41 / height
    frame = (left, bottom, 1 - left - 17 / width, 1 - bottom - above / height)
    axes = figure.add_axes(frame, facecolor="none")
    shown = [each for each in view.closed if has_score(each)]
    _frame(axes, view, shown)
    handles = [*_dots(axes, view, shown), *_failures(axes, view), *_lines(axes, view)]
    name_kept(axes, view, shown, ink=COLOURS["kept"], leader=COLOURS["line"])
    title = drawable(in_short(view) if is_narrow else chart_title(view))
    look: dict[str, Any] = {
        "size": 11 if is_narrow else 14,
        "weight": "bold",
        "color": COLOURS["ink"],
    }
    figure.text(left, 1 - 25 / height, title, parse_math=False, **look)
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(left - 0.008, 1 - (58 if is_narrow else 41) / height),
        ncols=max(1, 3 if is_narrow else len(handles)),
        frameon=False,
        handletextpad=0.5,
        columnspacing=1.0 if is_narrow else 1.8,
        labelcolor=COLOURS["muted"],
    )
    return figure


# ---------------------------------------------------------------------------------------------
# Its parts


def _frame(axes: Axes, view: StudyView, shown: Sequence[Experiment]) -> None:
    last = max((each.number for each in view.closed), default=0)
    axes.set_xlim(-0.5 - 0.01 * last, last * 1.01 + 0.5)
    axes.set_ylim(*_window(view, [score_of(each) for each in shown]))
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=12, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    axes.tick_params(length=0, colors=COLOURS["muted"], pad=6)
    axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["rule"])
    axes.set_xlabel("experiment", color=COLOURS["muted"], labelpad=5)
    better = f"{view.program.direction} is better"
    metric = drawable(clean_line(view.program.metric, 40))
    axes.set_ylabel(f"{metric} ({better})", color=COLOURS["muted"], labelpad=9, parse_math=False)
    if not shown:
        axes.set_yticks([])
        middle = {"ha": "center", "va": "center"}
        words = axes.text(0.5, 0.5, "no scores yet", middle, transform=axes.transAxes)
        words.set(color=COLOURS["muted"], size=12)


def _window(view: StudyView, scores: Sequence[float]) -> tuple[float, float]:
    """The range of scores worth looking at, as (bottom, top).

    From the best score to the baseline, and on to the dots that lie close beyond it. Where
    nothing beat the baseline, three quarters of the dots are taken in, diverged ones aside.
    """
    if not scores:
        return 0.0, 1.0
    sign = 1.0 if view.lower else -1.0
    losses = sign * np.array(scores)  # lower is better from here on
    base = sign * score_of(view.baseline) if view.baseline else float(np.median(losses))
    gain = base - float(losses.min())
    behind = losses[losses > base] - base
    near = behind[behind <= (0.6 * gain if gain > 0 else abs(base) or 1.0)]
    if gain > 0:
        reach = float(near.max()) if near.size else 0.0
    else:
        reach = float(np.quantile(near, 0.75)) if near.size else abs(base) * 0.01 or 1.0
    room = gain + reach
    better, worse = base - gain - 0.16 * room, base + reach + 0.1 * room
    return (better, worse) if view.lower else (-worse, -better)


def _dots(axes: Axes, view: StudyView, shown: Sequence[Experiment]) -> list[Line2D]:
    """Kept, discarded, vetoed, and what lies beyond the edge. A dot shrinks with their number."""
    size = float(np.clip(60 / math.sqrt(len(shown) + 1), 2.0, 6))
    bottom, top = axes.get_ylim()
    undone = {each.number for each in view.vetoed}
    others = [(each.number, score_of(each)) for each in shown if not each.is_kept]
    inside = [each for each in others if bottom <= each[1] <= top and each[0] not in undone]
    vetoed = [each for each in others if bottom <= each[1] <= top and each[0] in undone]
    beyond = [(x, 0.98 if view.lower else 0.02) for x, y in others if not bottom <= y <= top]
    kept = [(each.number, min(max(score_of(each), bottom), top)) for each in shown if each.is_kept]
    handles = [
        *_marks(
            axes, kept, "o", "kept", "kept", markersize=size + 2, markeredgewidth=size / 8, zorder=5
        ),
        *_marks(axes, inside, "o", "discard", "discarded", markersize=size, markeredgewidth=0),
        *_marks(axes, vetoed, "o", "muted", "vetoed", markersize=size, **HOLLOW),
    ]
    edge = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    arrow = "^" if view.lower else "v"
    return handles + _marks(axes, beyond, arrow, "discard", "worse than shown", **edge)


def _failures(axes: Axes, view: StudyView) -> list[Line2D]:
    """Those without a score are not on the scale: ticks across the axis."""
    ticks = [(each.number, 0.0) for each in view.closed if not has_score(each)]
    width = float(np.clip(20 / math.sqrt(len(ticks) + 1), 0.4, 1.3))
    look = {"markersize": 8, "markeredgewidth": width, "markeredgecolor": COLOURS["fail"]}
    edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 6}
    return _marks(axes, ticks, "|", "fail", "no score", **look, **edge)


def _marks(
    axes: Axes, points: Sequence[tuple[float, float]], marker: str, colour: str, label: str,
    **look: Any,
) -> list[Line2D]:  # fmt: skip
    """Draw marks of one kind; none at all leave no entry in the legend."""
    if not points:
        return []
    x, y = zip(*points, strict=True)
    mark = Line2D(x, y, linestyle="none", marker=marker, color=COLOURS[colour], label=label)
    mark.set(**{"markeredgecolor": COLOURS["paper"], "markeredgewidth": 0.8, "zorder": 2} | look)
    axes.add_artist(mark)
    return [mark]


def _lines(axes: Axes, view: StudyView) -> list[Artist]:
    """The best so far as steps with the noise around it, and the baseline."""
    if not view.baseline:
        return []
    x, y = zip(*view.steps(max(each.number for each in view.closed)), strict=True)
    best = Line2D(x, y, drawstyle="steps-post", color=COLOURS["line"], label="best so far")
    best.set(linewidth=1.8, zorder=3)
    axes.add_artist(best)
    baseline = axes.axhline(score_of(view.baseline), color=COLOURS["muted"], label="baseline")
    baseline.set(linewidth=1.0, dashes=(5, 4), zorder=1.5)
    return [best, *_band(axes, view, x, y), baseline]


def _band(axes: Axes, view: StudyView, x: Sequence[float], y: Sequence[float]) -> list[Artist]:
    """One standard deviation of single runs around the best so far, where runs were repeated."""
    sd = view.noise.sd
    if not sd:
        return []
    low, high = (np.array(y) + sign * sd for sign in (-1, 1))
    band = axes.fill_between(x, low, high, step="post", linewidth=0, color=COLOURS["band"])
    band.set(label="noise (±1 sd of a run)", zorder=1)
    return [band]
