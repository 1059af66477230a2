"""One run of an experiment with one seed, and its score; and what weighing it needs to know."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autoresearch import judge
from autoresearch.activity import SCORING, TRAINING
from autoresearch.box.sandbox import Tier
from autoresearch.context import Study
from autoresearch.errors import (
    Crashed,
    ExperimentError,
    Failed,
    Invalid,
    LabError,
    Skipped,
    Stopped,
    TimedOut,
)
from autoresearch.experiment import BUSY_PERCENT, Experiment, Run, Verdict, incumbent
from autoresearch.keep import Evidence, Incumbent, Score, measured
from autoresearch.lab import curve_path
from autoresearch.records import MOST_POINTS, Curve, keep_log, keep_model
from autoresearch.resilience import is_full, room_to_write
from autoresearch.runners.base import Data, Job, Progress
from autoresearch.store import INTERRUPTED, now
from autoresearch.text import clean_line

VERDICTS = {
    Crashed: Verdict.CRASH,
    TimedOut: Verdict.TIMEOUT,
    Invalid: Verdict.INVALID,
    Skipped: Verdict.DISCARD,
    Failed: Verdict.FAILED,
}
SEEDS = 64  # of one experiment; the last few are for the sealed text
SCORING_FACTOR, SCORING_SECONDS = 5, 10.0  # of the baseline's slowest scoring, and on top
JUDGED = ("confirm", "final", "audit_")  # figures that only scoring may give


def verdict_of(error: ExperimentError) -> Verdict:
    """What an error, or the kind that it is one of, makes of an experiment."""
    return next(verdict for kind, verdict in VERDICTS.items() if isinstance(error, kind))


@dataclass(frozen=True, slots=True)
class Rig:
    """What trains and scores the files of an experiment, in a place that is thrown away."""

    study: Study
    place: Path
    data: Data
    tick: Callable[[], None]

    def job(
        self,
        experiment: Experiment,
        folder: Path,
        seed: int,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> Job:
        """To train its files, laid out anew in `folder`."""
        study, tree = self.study, self._files(experiment, folder / "tree")
        return Job(
            tree, folder, study.program, study.python, seed, study.tier, self.data,
            study.lab.compiled, on_progress, self.tick,
        )  # fmt: skip

    def score(
        self, experiment: Experiment, folder: Path, artifact: Path, known: judge.Known
    ) -> judge.Measurement:
        """What a model of its files, laid out anew in `folder`, is worth; raises as measure()."""
        return judge.measure(
            artifact,
            program=self.study.program,
            python=self.study.python,
            locked=pinned(self.study, folder / "locked"),
            tree=self._files(experiment, folder / "scored"),
            data=self.data,
            log=folder / "score.txt",
            tick=self.tick,
            tier=self.study.tier,
            known=known,
        )

    def _files(self, experiment: Experiment, folder: Path) -> Path:
        assert experiment.commit is not None
        return self.study.lab.lay_out(experiment.commit, folder)


def execute(rig: Rig, experiment: Experiment, known: judge.Known, count: int) -> Score:
    """The experiment's next run, after `count` scored ones, with a seed of ours; its score."""
    study = rig.study
    seed = seed_of(study.seed, experiment.number, count)  # ours, never the experiment's
    index = study.store.begin_run(study.tag, experiment.number, seed)
    run = Run(index, seed, INTERRUPTED, now(), reason="stopped by the person")
    folder, began = rig.place / f"run-{index}", time.monotonic()
    apart_seconds = study.program.budget_seconds / MOST_POINTS
    curve = Curve(curve_path(study.folder, experiment.number), apart_seconds)
    study.activity.phase(TRAINING, experiment.number, index)

    def on_progress(progress: Progress) -> None:
        curve.add(progress)
        study.activity.progress(progress)
        study.watcher.progress(experiment, progress)

    try:
        job = rig.job(experiment, folder, seed, on_progress)
        outcome = study.runner.run(job)
        said = {k: v for k, v in outcome.figures.items() if not k.startswith(JUDGED)}
        run = replace(run, figures=said, config=outcome.config)
        study.watcher.scoring(experiment)
        study.activity.phase(SCORING, experiment.number, index)
        found = rig.score(experiment, folder, outcome.artifact, known)
        check_scoring_time(study, experiment, found.seconds)
        seconds = {"seconds": time.monotonic() - began, "scoring_seconds": found.seconds}
        keep_model(study, folder, outcome.artifact, experiment, count)
        study.lab.keep_compiled(job.compiled_at_ready)
        figures = {**said, **found.facts, **seconds}
        run = replace(run, outcome="scored", score=found.score, figures=figures, reason="")
        return score_of(run)
    except Exception as error:
        run = cut_short(run, error, time.monotonic() - began)
        raise
    finally:
        with room_to_write(study):
            study.store.finish_run(study.tag, experiment.number, run)
            keep_log(study, experiment, folder)


def cut_short(run: Run, error: Exception, seconds: float) -> Run:
    """The run as an error leaves it."""
    if isinstance(error, ExperimentError):
        outcome = INTERRUPTED if isinstance(error, Skipped) else verdict_of(error).value
        figures = {**run.figures, "seconds": seconds}
        return replace(run, outcome=outcome, reason=clean_line(str(error)), figures=figures)
    if isinstance(error, Stopped) or is_full(error):
        return run
    words = f"the engine failed: {error}"  # thrice, and it counts as crashed
    return replace(run, reason=clean_line(words))


def check_scoring_time(study: Study, experiment: Experiment, seconds: float) -> None:
    """Raises Invalid for a model that was scored for so long that it may have learned meanwhile."""
    if experiment.number == 0:
        return
    runs = study.store.experiment(study.tag, 0).runs
    usual = max((run.figures.get("scoring_seconds", 0.0) for run in runs), default=0.0)
    limit = SCORING_FACTOR * usual + SCORING_SECONDS
    if usual and seconds > limit:
        raise Invalid(
            f"scoring it took {seconds:.1f} s, more than {limit:.1f}, {SCORING_FACTOR} times the "
            f"baseline's and {SCORING_SECONDS:g} s: a model learns before it is scored"
        )


def seed_of(study_seed: int, number: int, count: int) -> int:
    """No two runs of a study share a seed, and a run that is done again keeps its own."""
    return (study_seed * 7919 + number) * SEEDS + count


def score_of(run: Run) -> Score:
    assert run.score is not None
    return Score(run.score, run.figures.get("confirm"))


def scored(experiment: Experiment) -> tuple[Score, ...]:
    return tuple(score_of(run) for run in experiment.runs if run.outcome == "scored")


def evidence(study: Study, history: tuple[Experiment, ...], runs: tuple[Score, ...]) -> Evidence:
    """What the keep rule knows before the next run."""
    best = incumbent(history, lower=study.is_lower)
    rival = Incumbent(best.number, scored(best)) if best else None
    noise = measured(scored(each) for each in history)
    return Evidence(runs, rival, noise, study.program.is_lower)


def known_of(study: Study, history: tuple[Experiment, ...], splits: str) -> judge.Known:
    """What scoring compares with: how the baseline's went, and the incumbent's losses."""
    best = incumbent(history, lower=study.is_lower)
    runs = [run for run in history[0].runs if run.outcome == "scored"] if history else []
    reference = {k: v for k, v in runs[0].figures.items() if k.startswith("audit_")} if runs else {}
    claim = study.lab.model_folder(study.tag, best.number, 0) / "claim.bin" if best else None
    return judge.Known(splits, reference, claim if claim and claim.exists() else None)


def pinned(study: Study, folder: Path) -> Path:
    """The locked files as the study began with them, laid out anew."""
    baseline = study.store.experiment(study.tag, 0).commit
    assert baseline is not None
    return study.lab.lay_out(baseline, folder, study.program.locked)


def set_up(study: Study, place: Path, log: Path, tick: Callable[[], None]) -> Rig:
    """Check the data, and mend it: a cache that was damaged costs time, never a score. Raises
    LabError."""
    locked = pinned(study, place / "locked")
    data = judge.prepare(study.program, study.python, study.lab.root, locked, log, tick)
    return Rig(study, place, data, tick)


def prepare(study: Study, place: Path, experiment: Experiment) -> Rig:
    """The same for an experiment, which crashes where it fails."""
    log = study.folder / "prepare.txt"
    log.unlink(missing_ok=True)
    try:
        return set_up(study, place, log, partial(study.inbox.tick, experiment.number))
    except LabError as error:
        raise Crashed(str(error).splitlines()[0]) from error


def careful(study: Study, experiment: Experiment) -> str:
    """What weakens a score: other programs slowed a run, or nothing protected it."""
    runs = study.store.experiment(study.tag, experiment.number).runs
    percent = max((run.figures.get("other_cpu_percent", 0.0) for run in runs), default=0.0)
    words = "; unprotected" if study.tier is Tier.PROCESSES else ""
    if percent < BUSY_PERCENT:
        return words
    return f"{words}; careful: other programs took {percent:.0f}% of the processor meanwhile"
