"""Two studies side by side: whether they can be compared, and what each of them found.

Facts only; the words are in side_by_side.py. What is not known of a study, as in an imported log,
is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoresearch import git
from autoresearch.analysis.noise import doubt, sealed
from autoresearch.analysis.tally import REWRITE, Themes, places
from autoresearch.analysis.view import StudyView, has_score, run_scores, score_of
from autoresearch.compare.differences import Difference, Side, Weight, differences
from autoresearch.experiment import Experiment
from autoresearch.final import half_width
from autoresearch.keep import pooled
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.report.costs import GRAPHICS, busy_seconds
from autoresearch.source.change import touched
from autoresearch.store import Store
from autoresearch.text import clean_line


@dataclass(frozen=True, slots=True)
class Common:
    """A place in the code that kept changes of both studies touched."""

    name: str
    numbers: tuple[int, int]  # of the last one in each
    values: tuple[str, str]  # what a constant was set to; "" for any other place

    @property
    def is_same(self) -> bool:
        """Whether both set a constant to the same value."""
        return bool(self.values[0]) and self.values[0] == self.values[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is said of the two."""

    sides: tuple[Side, Side]
    differences: tuple[Difference, ...]
    common: tuple[Common, ...] | None  # None where the files of one are not known

    @property
    def views(self) -> tuple[StudyView, StudyView]:
        return self.sides[0].view, self.sides[1].view

    @property
    def is_comparable(self) -> bool | None:
        """Whether the scores are of the same thing; None where that is not known."""
        breaking = [each for each in self.differences if each.weight is Weight.BREAKS]
        if any(each.is_known for each in breaking):
            return False
        return None if breaking else True

    def known(self, weight: Weight) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.is_known and each.weight is weight)

    @property
    def unknown(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if not each.is_known)


def compare(first: Side, second: Side) -> Comparison:
    return Comparison((first, second), tuple(differences(first, second)), common(first, second))


# what is compared


def side_of(lab: Lab, store: Store, tag: str, data: Mapping[str, str]) -> Side:
    """A study with the themes of its kept changes, and the locked files that judged it.

    `data` is what it was trained on, as far as that is known.
    """
    row, experiments = store.study(tag), store.experiments(tag)
    finished = [each.finished_at for each in experiments if each.finished_at]
    view = StudyView(
        tag, Program.from_contract(row.contract), experiments, row.created_at,
        max(finished, default=None), row.machine, usage=store.usage(tag), final=store.final(tag),
        keep_rule=row.keep_rule, data=data,
    )  # fmt: skip
    view = replace(view, themes=kept_themes(lab, view))
    commit = experiments[0].commit if experiments and not view.is_imported else None
    return Side(view, lab.contents(commit, view.program.locked) if commit else None)


def kept_themes(lab: Lab, view: StudyView) -> Themes:
    """Of the kept changes only: of a long study all the others would take minutes."""
    commits = {each.number: each.commit for each in view.closed}
    pairs = {each.number: (commits.get(each.parent or 0), each.commit) for each in view.kept}
    known = {number: (old, new) for number, (old, new) in pairs.items() if old and new}
    paths = {name: lab.prefix + name for name in view.program.editable}
    places = [
        (commit, path) for pair in known.values() for commit in pair for path in paths.values()
    ]
    contents = git.read_at(lab.repository, places)

    def files(commit: str) -> dict[str, bytes]:
        return {n: contents[commit, p] for n, p in paths.items() if (commit, p) in contents}

    return {number: touched(files(old), files(new)) for number, (old, new) in known.items()}


# what each found


@dataclass(frozen=True, slots=True)
class Found:
    """One study's figures. None: not known, or there is none."""

    tag: str
    imported: bool
    baseline: float | None
    best: float | None
    best_number: int | None
    gain: float
    gain_interval: float | None  # half of the 95% interval, from the spread of repeated runs
    sealed_gain: float | None  # on the sealed text, where it was opened for this best
    sealed_interval: float | None
    relative_gain: float | None  # of the baseline
    kept: int
    tried: int
    wall_hours: float | None
    experiment_hours: float | None  # proposals included
    device_hours: float | None
    has_gpu: bool  # a single one, so that its hours are those of the runs
    gain_per_device_hour: float | None
    proposal_tokens: int | None
    cost_usd: float | None
    reached_other_after: int | None  # experiments until its best was as good as the other's


def found(this: StudyView, other: StudyView) -> Found:
    base, best, used, final = this.baseline, this.best, this.used, sealed(this)
    device = this.total("seconds") / 3600 or None
    busy = busy_seconds(this) / 3600 or None
    wall = this.wall_seconds
    return Found(
        tag=this.tag,
        imported=this.is_imported,
        baseline=score_of(base) if base else None,
        best=score_of(best) if best else None,
        best_number=best.number if best else None,
        gain=this.gain,
        gain_interval=doubt(this).interval if base and best and best.number else None,
        sealed_gain=this.as_gain(final.difference) if final else None,
        sealed_interval=final.interval if final else None,
        relative_gain=this.gain / abs(score_of(base)) if base and score_of(base) else None,
        kept=len(this.kept),
        tried=len(this.tried),
        wall_hours=None if wall is None else wall / 3600,
        experiment_hours=busy,
        device_hours=device,
        has_gpu=has_one_gpu(this),
        gain_per_device_hour=this.gain / device if device else None,
        proposal_tokens=None if this.is_imported else used.tokens,
        cost_usd=used.cost_usd,
        reached_other_after=reached(this, other.best),
    )


def has_one_gpu(view: StudyView) -> bool:
    names = "".join(view.machine.get(name, "") for name in GRAPHICS)
    return bool(names) and ";" not in names


def reached(view: StudyView, goal: Experiment | None) -> int | None:
    """The number of the first one whose kept score is as good as the goal's; None: never was."""
    if goal is None or not view.baseline:
        return None
    target = score_of(goal)
    for each in (view.baseline, *view.kept):
        if not view.program.is_better(target, score_of(each)):
            return each.number
    return None


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much the second study's best is better than the first one's, and how surely."""

    amount: float  # negative: the first one's is
    interval: float | None  # half of the 95% interval; None where one repeated no run

    @property
    def is_clear(self) -> bool:
        """Beyond what chance does between single runs; nothing of it says how they were chosen."""
        return self.interval is not None and abs(self.amount) > self.interval


def lead(one: StudyView, other: StudyView) -> Lead | None:
    """None where one of them has no score."""
    if not one.best or not other.best:
        return None
    amount = one.as_gain(score_of(other.best) - score_of(one.best))
    if not one.noise.degrees or not other.noise.degrees:
        return Lead(amount, None)
    closed = (each for view in (one, other) for each in view.closed if has_score(each))
    spread = pooled(run_scores(each) for each in closed)
    counts = (len(run_scores(best)) for best in (one.best, other.best))
    return Lead(amount, half_width(spread, counts))


# what both kept


def common(first: Side, second: Side) -> tuple[Common, ...] | None:
    """Places that kept changes of both touched; None where one has kept changes without files."""
    one, other = last_touches(first.view), last_touches(second.view)
    if one is None or other is None:
        return None
    names = [name for name in one if name in other]
    return tuple(
        Common(clean_line(name, 60), (one[name][0], other[name][0]), (one[name][1], other[name][1]))
        for name in names
    )


def last_touches(view: StudyView) -> dict[str, tuple[int, str]] | None:
    """{place: (the last kept change there, the value of a constant)}."""
    if any(each.number not in view.themes for each in view.kept):
        return None
    touches = {}
    for each in view.kept:
        values = {theme.name: theme.after for theme in view.themes[each.number]}
        for name in places(view.themes, each):
            if name != REWRITE:
                touches[name] = (each.number, values.get(name, ""))
    return touches
