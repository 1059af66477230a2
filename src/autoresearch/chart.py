"""A study as one picture: every experiment a dot, the kept ones named, the best so far a line.

The y axis shows what is worth looking at: from the best score to a little beyond the baseline.
What is worse than that is an arrow at the edge, what has no score a red tick on the axis.
Labels never cover each other; where there is no room, a kept change goes unnamed (the report's
table names them all). The same facts always give the same bytes, on any machine.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from autoresearch.experiment import Experiment, incumbent
from autoresearch.program import Program

# ---------------------------------------------------------------------------------------------
# What is shown


@dataclass(frozen=True, slots=True)
class StudyView:
    """Everything that a chart or a report says of a study comes from here."""

    tag: str
    program: Program
    experiments: tuple[Experiment, ...]  # by number; number 0 is the baseline
    started_at: str = ""  # ISO 8601, UTC; empty where it is not known
    ended_at: str | None = None  # None while the study goes on
    machine: Mapping[str, str] = field(default_factory=dict)  # name -> value, shown as given
    diffs: Mapping[int, str] = field(default_factory=dict)  # number -> diff against its parent
    best_diff: str = ""  # the incumbent against the baseline

    @property
    def lower(self) -> bool:
        """Whether a lower score is better."""
        return self.program.direction == "lower"

    @property
    def closed(self) -> tuple[Experiment, ...]:
        """The experiments that have their verdict."""
        return tuple(each for each in self.experiments if not each.is_open)

    @property
    def tried(self) -> tuple[Experiment, ...]:
        """The closed experiments without the baseline, which changes nothing."""
        return tuple(each for each in self.closed if each.number != 0)

    @property
    def kept(self) -> tuple[Experiment, ...]:
        """The kept changes: the baseline is kept too, but it is no change."""
        return tuple(each for each in self.tried if each.is_kept and has_score(each))

    @property
    def baseline(self) -> Experiment | None:
        """Experiment 0, if it has a score to compare with."""
        return next((each for each in self.closed if each.number == 0 and has_score(each)), None)

    @property
    def best(self) -> Experiment | None:
        """The incumbent; the baseline itself until something beat it."""
        return incumbent(self.kept) or self.baseline


def has_score(experiment: Experiment) -> bool:
    """Whether there is a score that can be drawn and compared."""
    return experiment.score is not None and math.isfinite(experiment.score)


def score_of(experiment: Experiment) -> float:
    """The score of one that `has_score`."""
    assert experiment.score is not None
    return experiment.score


def number(value: float, digits: int = 7, like: float | None = None) -> str:
    """A score for reading: as many decimals as give about `digits` digits in all.

    A difference of scores is written with the decimals of a score: that which it is `like`.
    """
    size = abs(value if like is None else like)
    if (0 < size < 1e-3) or size >= 1e15:
        return f"{value:.{digits - 2}g}"
    return f"{value:.{max(0, digits - len(str(int(size))))}f}"


# Terminal colours and the like, whole; then control characters (tab and newline are none), what
# cannot be seen, what turns the reading direction round, and lone surrogates.
_TERMINAL = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Lines of unknown origin with a mark in place of whatever hides: nothing vanishes unseen."""
    return _HIDDEN.sub("\ufffd", text.replace("\r\n", "\n"))


def plain(text: str, limit: int | None = None) -> str:
    """Words of unknown origin on one line, nothing hidden left, cut at about `limit` characters."""
    line = " ".join(_TERMINAL.sub("", text).split())
    line = " ".join(_HIDDEN.sub("", line).split())
    if limit is None or len(line) <= limit:
        return line
    cut = line.rfind(" ", limit // 2, limit)
    return line[: cut if cut > 0 else limit - 1].rstrip(" ,;:([-") + "…"


def chart_title(view: StudyView) -> str:
    """Such as "nov23: 7 experiments, 3 kept, 1.5320 → 1.4981 val_bpb"."""
    count = len(view.tried)
    parts = [f"{count} experiment{'' if count == 1 else 's'}", f"{len(view.kept)} kept"]
    if view.baseline and view.best:
        scores = dict.fromkeys((score_of(view.baseline), score_of(view.best)))
        metric = plain(view.program.metric, 24)
        parts.append(f"{' → '.join(number(each, 5) for each in scores)} {metric}")
    return f"{plain(view.tag, 32)}: {', '.join(parts)}"


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


def progress_svg(view: StudyView) -> str:
    """The picture as one `<svg>` element, to stand in a page or by itself.

    Its colours are CSS variables with a default (`--chart-ink`, ...), so that a page may have a
    dark theme; text is drawn as paths, so that it looks the same everywhere.
    """
    image = StringIO()
    with _style():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        draw(view).savefig(image, format="svg", transparent=True, metadata=nothing)
    svg = re.sub(r"<!--.*?-->\n?", "", image.getvalue(), flags=re.DOTALL)  # labels, once more
    svg = re.sub(r" *<defs>\s*<style.*?</style>\s*</defs>\n", "", svg, count=1, flags=re.DOTALL)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--chart-{name}, {colour})")
    width, height = (round(72 * side) for side in SIZE)
    return (
        f'<svg role="img" aria-label="{escape(chart_title(view))}" viewBox="0 0 {width} {height}"'
        ' style="stroke-linejoin: round; stroke-linecap: butt"'
        ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{body.strip()}\n"
    )


SIZE = (12.0, 6.3)  # inches
COLOURS = {
    "ink": "#1f2428",
    "muted": "#69717a",
    "rule": "#e4e7ea",
    "kept": "#157347",
    "line": "#63b58c",
    "discard": "#b9c0c7",
    "fail": "#c8372d",
    "paper": "#fefefe",
}


def _style() -> Any:
    """The library's own defaults for the length of one drawing, whatever the user's settings.

    The library keeps them in one place for the whole process: draw in one thread at a time.
    """
    ours = {"svg.hashsalt": "autoresearch", "svg.fonttype": "path", "font.size": 9}
    return matplotlib.style.context(["default", ours])


def draw(view: StudyView) -> Figure:
    """The picture before it is written, for who wants to look into it or add to it."""
    figure = Figure(figsize=SIZE, dpi=72, facecolor=COLOURS["paper"])  # at 72 a pixel is a point
    axes = figure.add_axes((0.075, 0.09, 0.905, 0.755), facecolor="none")
    shown = [each for each in view.closed if has_score(each)]
    _frame(axes, view, shown)
    handles = [*_dots(axes, view, shown), *_failures(axes, view), *_lines(axes, view)]
    _labels(axes, view, shown)
    left = axes.get_position().x0
    title = _drawable(chart_title(view))
    figure.text(left, 0.945, title, size=14, weight="bold", color=COLOURS["ink"], parse_math=False)
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(left - 0.008, 0.91),
        ncols=max(1, len(handles)),
        frameon=False,
        handletextpad=0.5,
        columnspacing=1.8,
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
    metric = _drawable(plain(view.program.metric, 40))
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
    """Kept, discarded, and what lies beyond the edge. A dot shrinks with their number."""
    size = float(np.clip(60 / math.sqrt(len(shown) + 1), 2.0, 6))
    bottom, top = axes.get_ylim()
    others = [(each.number, score_of(each)) for each in shown if not each.is_kept]
    inside = [each for each in others if bottom <= each[1] <= top]
    beyond = [(x, 0.98 if view.lower else 0.02) for x, y in others if not bottom <= y <= top]
    kept = [(each.number, min(max(score_of(each), bottom), top)) for each in shown if each.is_kept]
    handles = [
        *_marks(
            axes, kept, "o", "kept", "kept", markersize=size + 2, markeredgewidth=size / 8, zorder=5
        ),
        *_marks(axes, inside, "o", "discard", "discarded", markersize=size, markeredgewidth=0),
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


def _lines(axes: Axes, view: StudyView) -> list[Line2D]:
    """The best so far as steps, and the baseline."""
    if not view.baseline:
        return []
    x, y = zip(*_steps(view, max(each.number for each in view.closed)), strict=True)
    best = Line2D(x, y, drawstyle="steps-post", color=COLOURS["line"], label="best so far")
    best.set(linewidth=1.8, zorder=3)
    axes.add_artist(best)
    baseline = axes.axhline(score_of(view.baseline), color=COLOURS["muted"], label="baseline")
    baseline.set(linewidth=1.0, dashes=(5, 4), zorder=1.5)
    return [best, baseline]


def _steps(view: StudyView, end: float) -> list[tuple[float, float]]:
    """The corners of the best score so far, from the baseline to `end`."""
    kept = (view.baseline, *view.kept)
    steps = [(float(each.number), score_of(each)) for each in kept if each]
    return [*steps, (end, steps[-1][1])]


# ---------------------------------------------------------------------------------------------
# Labels. All of this is in points, y upwards; a box is (left, bottom, right, top).

Spot = tuple[float, float]
Box = tuple[float, float, float, float]
Points = NDArray[np.float64]  # [count, 2]
LABEL_SIZE = 8.0
MOST_LABELS = 40


def _labels(axes: Axes, view: StudyView, shown: Sequence[Experiment]) -> None:
    """Name the kept changes: the best first, then by what each was worth, while there is room."""
    latest = view.kept[-1:]
    by_worth = sorted(view.kept[:-1], key=lambda each: -abs(each.delta or 0.0))
    chosen = [each for each in (*latest, *by_worth) if plain(each.description)][:MOST_LABELS]
    obstacles, taken = _obstacles(axes, view, shown), list[Box]()
    for each in chosen:
        dot: Spot = tuple(axes.transData.transform((each.number, score_of(each))))
        words = axes.text(0, 0, _drawable(plain(each.description, 40)), parse_math=False)
        words.set(color=COLOURS["kept"], size=LABEL_SIZE, va="bottom", zorder=6)
        extent = words.get_window_extent()
        box = _place(dot, (extent.width, extent.height), obstacles, taken, _edges(axes))
        if box is None:
            words.remove()
            continue
        taken.append(box)
        start = _nearest(dot, box)
        obstacles = np.vstack([obstacles, _along([dot, start])])
        place, *line = axes.transData.inverted().transform([box[:2], dot, start])
        words.set_position(place)
        if math.dist(dot, start) > 9:
            x, y = zip(*line, strict=True)
            axes.add_artist(Line2D(x, y, color=COLOURS["line"], linewidth=0.6, zorder=2.5))


def _place(dot: Spot, size: Spot, obstacles: Points, taken: list[Box], edges: Box) -> Box | None:
    """The free place nearest to the dot, or None."""
    boxes = [*_around(dot, size)]
    for box in sorted(boxes, key=lambda each: math.dist(dot, _nearest(dot, each))):
        inside = edges[0] <= box[0] and edges[1] <= box[1] < box[3] <= edges[3]
        if not inside or box[2] > edges[2] or _covers(box, obstacles, 1.5):
            continue
        leader = _along([dot, _nearest(dot, box)])
        if any(_overlap(box, other) or _covers(other, leader, 1.0) for other in taken):
            continue
        if not _crosses(leader, obstacles):
            return box
    return None


def _around(dot: Spot, size: Spot) -> Iterator[Box]:
    """Candidate boxes in the four quarters around a dot, nearer ones and farther ones."""
    width, height = size
    for aside in (5, 16, 32, 54):
        for away in (-4, 2, 8, 16, 26, 38, 52, 68, 86, 106):
            for left in (dot[0] + aside, dot[0] - aside - width):
                for bottom in (dot[1] + away, dot[1] - away - height):
                    yield left, bottom, left + width, bottom + height


def _obstacles(axes: Axes, view: StudyView, shown: Sequence[Experiment]) -> Points:
    """Points that no label may cover: the dots, the steps and the baseline."""
    dots = [(each.number, score_of(each)) for each in shown]
    points = [axes.transData.transform(dots)] if dots else []
    if view.baseline:
        steps = _steps(view, axes.get_xlim()[1])
        corners = [(after[0], before[1]) for before, after in pairwise(steps)]
        path = [point for pair in zip(steps, corners, strict=False) for point in pair]
        level = [(end, score_of(view.baseline)) for end in axes.get_xlim()]
        points += [_along(axes.transData.transform(each)) for each in (path, level)]
    return np.vstack(points) if points else np.empty((0, 2))


def _along(corners: Any) -> Points:
    """Points every 3 along the way from corner to corner."""
    legs = []
    for start, end in pairwise(np.asarray(corners, dtype=np.float64)):
        count = 2 + int(np.hypot(*(end - start)) / 3)
        legs.append(start + np.linspace(0, 1, count)[:, None] * (end - start))
    return np.vstack(legs)


def _covers(box: Box, points: Points, margin: float) -> bool:
    low, high = np.array(box[:2]) - margin, np.array(box[2:]) + margin
    return bool(((points >= low) & (points <= high)).all(axis=1).any())


def _crosses(leader: Points, obstacles: Points) -> bool:
    """Whether the leader runs into anything on its way, its own dot's surroundings aside."""
    dot, *way = leader
    far = obstacles[np.hypot(*(obstacles - dot).T) > 8]
    return any(bool((np.hypot(*(far - step).T) < 3).any()) for step in way)


def _overlap(one: Box, other: Box) -> bool:
    aside = one[2] + 3 < other[0] or other[2] + 3 < one[0]
    return not (aside or one[3] < other[1] or other[3] < one[1])


def _nearest(dot: Spot, box: Box) -> Spot:
    """Where a line from the dot reaches the box."""
    middle = (box[1] + box[3]) / 2
    return min(max(dot[0], box[0]), box[2]), min(max(dot[1], middle - 2), middle + 2)


def _edges(axes: Axes) -> Box:
    box = axes.get_window_extent()
    return box.x0 + 2, box.y0 + 4, box.x1, box.y1 - 10


def _drawable(text: str) -> str:
    """What the chart's font cannot show becomes a box, rather than a warning in the log."""
    font = get_font(findfont(FontProperties()))
    return "".join(each if font.get_char_index(ord(each)) else "□" for each in text)
