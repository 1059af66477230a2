"""Names for the kept changes in a chart, where there is room for them.

Labels cover neither each other nor a dot nor a line. All of this is in points, y upwards; a box
is (left, bottom, right, top).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from autoresearch.analysis.view import StudyView, score_of
from autoresearch.experiment import Experiment
from autoresearch.text import clean_line, plain

Spot = tuple[float, float]
Box = tuple[float, float, float, float]
Points = NDArray[np.float64]  # [count, 2]
LABEL_SIZE = 8.0
MOST_LABELS = 40


def name_kept(
    axes: Axes, view: StudyView, shown: Sequence[Experiment], *, ink: str, leader: str
) -> None:
    """Name the kept changes: the best first, then by what each was worth, while there is room.

    `shown` are the experiments with a dot, `ink` and `leader` the colours of the words and of the
    lines that lead to them.
    """
    latest = view.kept[-1:]
    by_worth = sorted(view.kept[:-1], key=lambda each: -abs(each.delta or 0.0))
    chosen = [each for each in (*latest, *by_worth) if plain(each.description)][:MOST_LABELS]
    obstacles, taken = _obstacles(axes, view, shown), list[Box]()
    for each in chosen:
        dot: Spot = tuple(axes.transData.transform((each.number, score_of(each))))
        words = axes.text(0, 0, drawable(clean_line(each.description, 40)), parse_math=False)
        words.set(color=ink, size=LABEL_SIZE, va="bottom", zorder=6)
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
            axes.add_artist(Line2D(x, y, color=leader, linewidth=0.6, zorder=2.5))


def drawable(text: str) -> str:
    """What the chart's font cannot show becomes a box, rather than a warning in the log."""
    font = get_font(findfont(FontProperties()))
    return "".join(each if font.get_char_index(ord(each)) else "□" for each in text)


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
        steps = view.steps(axes.get_xlim()[1])
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
