"""THE LOOP. Open this file first.

    research   until the budget is spent: attempt
    attempt    one experiment: propose, commit, run, measure, weigh, record
    propose    the researcher edits a private copy; its edit becomes a commit
    execute    one run with one seed, and its score

State lives in the store. A killed study is resumed by calling research() again: the experiment
that was open is taken up where it was, with the same number and the same commit.
"""

import errno
import json
import math
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from autoresearch import desk, ideas, judge
from autoresearch.beacon import HELD, PROPOSING, SCORING, TRAINING, WAITING, Beacon
from autoresearch.budget import Budget
from autoresearch.errors import (
    Crashed,
    ExperimentError,
    Failed,
    Invalid,
    LabError,
    ProgramError,
    Skipped,
    Stopped,
    StudyError,
    TimedOut,
    Unavailable,
)
from autoresearch.experiment import (
    BUSY_PERCENT,
    Experiment,
    Proposal,
    Run,
    Usage,
    Verdict,
    incumbent,
)
from autoresearch.helm import Helm, Stop
from autoresearch.keep import Confirm, Evidence, Incumbent, KeepRule, Score, measured
from autoresearch.lab import Lab
from autoresearch.ledger import StudyLedger, used_by
from autoresearch.memory import Memory
from autoresearch.program import Program
from autoresearch.researchers.base import Desk, Researcher, listens
from autoresearch.runners.base import Job, Progress, Runner
from autoresearch.sandbox import Tier
from autoresearch.steering import PAUSED, Words
from autoresearch.store import INTERRUPTED, Store, now
from autoresearch.strategies.base import Strategy
from autoresearch.text import clean_line

VERDICTS = {
    Crashed: Verdict.CRASH,
    TimedOut: Verdict.TIMEOUT,
    Invalid: Verdict.INVALID,
    Skipped: Verdict.DISCARD,
    Failed: Verdict.FAILED,
}
WAITED = "waited"  # an event
MOST_INTERRUPTIONS = 3  # then an experiment is what stops the engine, and counts as crashed
FREE_BYTES = 64 * 2**20  # without so much disk no experiment is begun
LONGEST_PAUSE_SECONDS = 300.0
DISK_POLL_SECONDS = 10.0
JUDGED = ("confirm", "final", "audit_")  # figures that only scoring may give
MOST_MODELS = 3  # of the latest kept changes, beside the baseline and the incumbent
MOST_POINTS = 2000  # of a loss curve, however often a run reports


def verdict_of(error: ExperimentError) -> Verdict:
    """What an error, or the kind that it is one of, makes of an experiment."""
    return next(verdict for kind, verdict in VERDICTS.items() if isinstance(error, kind))


class Watcher(Protocol):
    """Is told what happens. For people: nothing depends on it."""

    def began(self, experiment: Experiment) -> None: ...
    def spent(self, experiment: Experiment, used: Usage) -> None: ...
    def proposed(self, experiment: Experiment) -> None: ...
    def progress(self, experiment: Experiment, progress: Progress) -> None: ...
    def scoring(self, experiment: Experiment) -> None: ...
    def finished(self, experiment: Experiment, best: Experiment | None) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that the loop works with."""

    tag: str
    lab: Lab
    store: Store
    program: Program
    researcher: Researcher
    researcher_name: str
    strategy: Strategy
    runner: Runner
    watcher: Watcher
    python: str  # the lab's interpreter
    seed: int
    stop: Stop = field(default_factory=Stop)
    rule: KeepRule = field(default_factory=Confirm)
    tier: Tier = Tier.PROCESSES  # of the box that runs and scorings get
    takes_ideas: bool = True  # that wait for an experiment of their own
    budget: Budget = field(default_factory=Budget)  # as the person gave it at the start
    helm: Helm = field(init=False)
    beacon: Beacon = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "helm", Helm(self.store, self.tag, self.stop))
        folder = self.lab.study_folder(self.tag)
        object.__setattr__(self, "beacon", Beacon(folder, self.program.budget_seconds))

    @property
    def limits(self) -> Budget:
        """The budget with what the person has added since."""
        return self.helm.state.extended(self.budget)

    @property
    def is_lower(self) -> bool:
        """Whether a lower score is better."""
        return self.program.direction == "lower"

    @property
    def memory(self) -> Memory:
        return Memory(self.lab, self.tag, self.program)

    def experiments(self) -> tuple[Experiment, ...]:
        return self.store.experiments(self.tag)

    def best(self) -> Experiment | None:
        return incumbent(self.experiments(), lower=self.is_lower)


def research(study: Study, budget: Budget) -> str:
    """Try ideas until the budget is spent or the person stops it; returns which.

    Raises StudyError when the baseline itself does not run.
    """
    recover(study)
    study = replace(study, budget=budget)
    with announced(study) as ended:
        ended.append(go_on(study))
    return ended[0]


def go_on(study: Study) -> str:
    """The loop itself; returns why it is over."""
    while not (why := why_spent(study)):
        try:
            hold(study)
            pause(study)
            if study.helm.is_stopping:
                return "you stopped it"
            experiment = attempt(study)
        except Stopped:
            study.store.event(study.tag, "stopped")
            return "you stopped it"
        settle(study)
        if experiment.number == 0 and not experiment.is_kept:
            log = study.lab.study_folder(study.tag) / "logs" / "0000.txt"
            raise StudyError(
                f"the baseline does not run ({experiment.verdict}): {experiment.reason}\n"
                f"its log is {log}; mend the lab, then run again"
            )
    return why


def why_spent(study: Study) -> str:
    """Why no further experiment may begin, or ""."""
    used = used_by(study.store, study.tag)
    return study.limits.spent(study.experiments(), used, waited_seconds(study))


def attempt(study: Study) -> Experiment:
    """One experiment: propose, commit, run, measure, weigh, record. Raises Stopped."""
    began = time.monotonic()
    history = tuple(each for each in study.experiments() if each.verdict is not None)
    parent = study.strategy.choose(history)
    with room_to_write(study):
        experiment = study.store.begin(
            study.tag, parent.number if parent else None, study.researcher_name
        )
    study.watcher.began(experiment)
    study.beacon.phase(PROPOSING, experiment.number)
    with study.lab.workplace(study.tag) as place:
        try:
            with full_disk_is_a_crash():
                check_interruptions(experiment)
                data = prepare(study, place)
                experiment = propose(study, place, experiment, history)
                case = evidence(study, history, scored(experiment))  # some when taken up again
                while splits := study.rule.next_run(case):
                    known = known_of(study, history, splits)
                    run = execute(study, place, experiment, data, known, len(case.runs))
                    case = replace(case, runs=(*case.runs, run))
                decision = study.rule.weigh(case)
            verdict = Verdict.KEEP if decision.kept else Verdict.DISCARD
            reason = decision.sentence + careful(study, experiment)
            score, delta = decision.score, decision.delta
        except ExperimentError as error:
            verdict, reason, score, delta = verdict_of(error), str(error), None, None
    with room_to_write(study):
        finished = study.store.finish(
            study.tag, experiment.number, verdict, clean_line(reason),
            score=score, delta=delta, seconds=time.monotonic() - began,
        )  # fmt: skip
    study.watcher.finished(finished, study.best())
    return finished


def propose(
    study: Study, place: Path, experiment: Experiment, history: tuple[Experiment, ...]
) -> Experiment:
    """Let the researcher edit a copy of the parent's files; commit what it did."""
    if experiment.commit is not None:  # the baseline, or taken up again
        study.watcher.proposed(experiment)
        return experiment
    program = steered(study)
    parent = next(each for each in history if each.number == experiment.parent)
    assert parent.commit is not None
    tree = desk.lay_out(study.lab, study.memory, program, parent, history, place / "desk")
    look = (study.lab, study.memory, program, parent, history, tree)
    (place / "scratch").mkdir()
    laid = Desk(
        tree, program, history, parent, experiment.number,
        seed=study.seed * 1_000_003 + experiment.number,
        ledger=ledger_of(study, experiment),
        tick=partial(study.helm.tick, experiment.number),
        objection=partial(desk.objection, *look),
        scratch=place / "scratch",
        seconds=min(
            program.limits.proposal_seconds,
            study.limits.seconds_left(history, waited_seconds(study)),
        ),
    )  # fmt: skip
    proposal = ask(study, laid)
    files = desk.check(*look)
    description = clean_line(proposal.description, 200) or "no description"
    hypothesis = clean_line(proposal.hypothesis, 800)
    message = f"{description}\n\n{hypothesis}\n\nexperiment {study.tag}/{experiment.number}"
    commit = study.lab.snapshot(files, message, parent.commit)
    study.lab.record_attempt(study.tag, experiment.number, commit)
    experiment = replace(
        experiment,
        commit=commit,
        description=description,
        hypothesis=hypothesis,
        details=proposal.details,
        researcher=proposal.by or experiment.researcher,
    )
    study.store.proposed(study.tag, experiment)
    study.watcher.proposed(experiment)
    return experiment


def ask(study: Study, laid: Desk) -> Proposal:
    """The person's idea where one waits, and else the researcher's own, with the person's notes."""
    number, notes = laid.number, study.helm.state.notes
    idea = study.helm.idea(number, listens(study.researcher)) if study.takes_ideas else None
    if idea is not None and idea.is_exact:
        study.helm.taken(idea, number)
        return ideas.carry_out(study.lab, laid.program, idea, laid.history, laid.parent, laid.tree)
    told = replace(
        laid, notes=tuple(each.text for each in notes), idea="" if idea is None else idea.text
    )
    try:
        proposal = study.researcher.propose(told)
    except Unavailable:
        raise
    except Failed:
        heard(study, number, notes, idea)
        raise
    if proposal.heard:
        heard(study, number, notes, idea)
    return proposal


def heard(study: Study, number: int, notes: tuple[Words, ...], idea: Words | None) -> None:
    """Somebody has read the person's words, so that they need not be said again."""
    if listens(study.researcher):
        study.helm.carried(notes, number)
        if idea is not None:
            study.helm.taken(idea, number)


def ledger_of(study: Study, experiment: Experiment) -> StudyLedger:
    return StudyLedger(
        study.store,
        study.tag,
        experiment.number,
        experiment.researcher,
        study.lab.study_folder(study.tag),
        study.limits,
        study.watcher.note,
        partial(study.watcher.spent, experiment),
    )


def execute(
    study: Study,
    place: Path,
    experiment: Experiment,
    data: judge.Data,
    known: judge.Known,
    count: int,
) -> Score:
    """The experiment's next run, after `count` scored ones, with a seed of ours; its score."""
    assert experiment.commit is not None
    seed = seed_of(study.seed, experiment.number, count)  # ours, never the experiment's
    index = study.store.begin_run(study.tag, experiment.number, seed)
    folder, began, started = place / f"run-{index}", time.monotonic(), now()
    finish = Run(index, seed, INTERRUPTED, started, reason="stopped by the person")
    curve = Curve(curve_path(study, experiment), study.program.budget_seconds / MOST_POINTS)
    tick = partial(study.helm.tick, experiment.number)
    study.beacon.phase(TRAINING, experiment.number, index)

    def on_progress(progress: Progress) -> None:
        curve.add(progress)
        study.beacon.progress(progress)
        study.watcher.progress(experiment, progress)

    try:
        job = Job(
            study.lab.lay_out(experiment.commit, folder / "tree"), folder, study.program,
            study.python, seed, data.manifest, data.handover, data.withheld,
            study.lab.compiled, on_progress, tick,
        )  # fmt: skip
        outcome = study.runner.run(job)
        said = {k: v for k, v in outcome.figures.items() if not k.startswith(JUDGED)}
        finish = replace(finish, figures=said, config=outcome.config)
        study.watcher.scoring(experiment)
        study.beacon.phase(SCORING, experiment.number, index)
        measurement = judge.measure(
            outcome,
            program=study.program,
            python=study.python,
            locked=pinned(study, folder / "locked"),
            tree=study.lab.lay_out(experiment.commit, folder / "scored"),
            data=data,
            log=folder / "score.txt",
            tick=tick,
            tier=study.tier,
            known=known,
        )
        seconds = {"seconds": time.monotonic() - began, "scoring_seconds": measurement.seconds}
        figures = {**said, **measurement.facts, **seconds}
        keep_model(study, folder, job.artifact, experiment, count)
        study.lab.keep_compiled(job.compiled_at_ready)
        finish = replace(
            finish, outcome="scored", score=measurement.score, figures=figures, reason=""
        )
        return score_of(finish)
    except ExperimentError as error:
        seconds = {"seconds": time.monotonic() - began}
        figures = {**finish.figures, **seconds}
        ended = INTERRUPTED if isinstance(error, Skipped) else verdict_of(error).value
        finish = replace(finish, outcome=ended, reason=clean_line(str(error)), figures=figures)
        raise
    finally:
        with room_to_write(study):
            study.store.finish_run(study.tag, experiment.number, finish)
            keep_log(study, experiment, folder)


def seed_of(study_seed: int, number: int, count: int) -> int:
    """No two runs of a study share a seed, and a run that is done again keeps its own."""
    return (study_seed * 7919 + number) * 64 + count


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
    return Evidence(runs, rival, noise, study.program.direction == "lower")


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


def prepare(study: Study, place: Path) -> judge.Data:
    """Check the data, and mend it: a cache that was damaged costs time, never a score."""
    locked = pinned(study, place / "locked")
    log = study.lab.study_folder(study.tag) / "prepare.txt"
    log.unlink(missing_ok=True)
    try:
        return judge.prepare(study.program, study.python, locked, log, study.stop.tick)
    except LabError as error:
        raise Crashed(str(error).splitlines()[0]) from error


def steered(study: Study) -> Program:
    """The program with the strategy as it stands on the disk now: a person may steer by editing."""
    try:
        body = Program.load(study.lab.root / "program.md").body
    except (ProgramError, OSError) as error:
        study.watcher.note(f"program.md cannot be read, its last text goes on: {error}")
        return study.program
    return replace(study.program, body=body)


def careful(study: Study, experiment: Experiment) -> str:
    """What weakens a score: other programs slowed a run, or nothing protected it."""
    runs = study.store.experiment(study.tag, experiment.number).runs
    percent = max((run.figures.get("other_cpu_percent", 0.0) for run in runs), default=0.0)
    words = "; unprotected" if study.tier is Tier.PROCESSES else ""
    if percent < BUSY_PERCENT:
        return words
    return f"{words}; careful: other programs took {percent:.0f}% of the processor meanwhile"


# what a study leaves behind


def curve_path(study: Study, experiment: Experiment) -> Path:
    return study.lab.study_folder(study.tag) / "curves" / f"{experiment.number:04d}.jsonl"


class Curve:
    """The loss curve of a run, in a file that grows while it trains. A full disk is no matter."""

    def __init__(self, path: Path, apart_seconds: float) -> None:
        self._path, self._apart, self._last = path, apart_seconds, -math.inf
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            path.write_text("")

    def add(self, progress: Progress) -> None:
        if progress.seconds - self._last < self._apart:
            return
        self._last = progress.seconds
        row = [round(progress.seconds, 3), progress.step, progress.loss, progress.tokens]
        with suppress(OSError), self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def keep_log(study: Study, experiment: Experiment, folder: Path) -> None:
    """Copy what a run and its scoring printed to the study's folder."""
    logs = study.lab.study_folder(study.tag) / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / f"{experiment.number:04d}.txt").open("wb") as log:
        for part in ("log.txt", "score.txt"):
            if (folder / part).exists():
                with (folder / part).open("rb") as source:
                    shutil.copyfileobj(source, log)


def keep_model(
    study: Study, folder: Path, artifact: Path, experiment: Experiment, count: int
) -> None:
    """The weights of each scored run stay until settle() knows who is the incumbent."""
    target = study.lab.model_folder(study.tag, experiment.number, count)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    artifact.rename(target / "artifact")
    if (folder / "claim.bin").is_file():
        (folder / "claim.bin").rename(target / "claim.bin")


def settle(study: Study) -> None:
    """Make git and the folder of models say what the store says."""
    experiments = study.experiments()
    best = incumbent(experiments, lower=study.is_lower)
    if best is None or best.commit is None:
        return
    if not study.lab.point_branch(study.tag, best.commit):
        study.watcher.note(
            f"you are on branch autoresearch/{study.tag}: it will move on once you leave it"
        )
    kept = [each.number for each in experiments if each.verdict is Verdict.KEEP]
    needed = {0, best.number, *(each.number for each in experiments if each.is_open)}
    needed |= set(kept[-MOST_MODELS:])  # a veto may make an earlier one the incumbent again
    for folder in study.lab.models(study.tag).glob("*"):
        if folder.name not in map(str, needed):
            shutil.rmtree(folder, ignore_errors=True)


def recover(study: Study) -> None:
    """After a kill at any moment: the store is the truth, and everything else follows it."""
    if study.store.interrupt_runs(study.tag):
        study.store.event(study.tag, "resumed")
    experiments = study.experiments()
    commits = {each.number: each.commit for each in experiments if each.commit is not None}
    study.lab.agree(study.tag, commits)
    settle(study)


def check_interruptions(experiment: Experiment) -> None:
    killed = [run for run in experiment.runs if run.reason.startswith("the engine")]
    if len(killed) >= MOST_INTERRUPTIONS:
        raise Crashed(f"the engine was stopped {len(killed)} times in the middle of it")


# the person's hand, and bad nights


@contextmanager
def announced(study: Study) -> Iterator[list[str]]:
    """Write down that an engine is at work, and why it is no longer: the block says why."""
    ended: list[str] = []
    study.helm.begin(study.budget, study.researcher_name)
    try:
        yield ended
    except Exception as error:
        ended.append(clean_line(str(error)) or type(error).__name__)
        raise
    finally:
        study.beacon.out()
        with room_to_write(study):
            study.helm.end(ended[0] if ended else "it was interrupted")


def hold(study: Study) -> None:
    """Wait while the person wants it: that time is not the study's. Raises Stopped."""
    if not study.helm.state.paused:
        return
    began = time.monotonic()
    study.watcher.note("paused by the person; go on with `autoresearch resume`")
    study.beacon.phase(HELD)
    while study.helm.state.paused and not study.helm.is_stopping:
        study.helm.tick()
        time.sleep(0.1)
    with room_to_write(study):
        study.store.event(study.tag, PAUSED, seconds=time.monotonic() - began)


def pause(study: Study) -> None:
    """Never a tight loop: wait after instant failures, and while the disk is full.

    Waiting is time of the study, too: it is written down.
    """
    began = time.monotonic()
    left = study.limits.seconds_left(study.experiments(), waited_seconds(study))
    failures = failures_in_a_row(study)
    if failures > 3:
        seconds = min(LONGEST_PAUSE_SECONDS, 2.0 ** (failures - 3), left)
        study.watcher.note(f"{failures} experiments failed at once: waiting {seconds:.0f} s")
        wait(study, seconds)
    if is_tight(study.lab):
        study.watcher.note(f"less than {FREE_BYTES // 2**20} MB free on the disk: waiting for more")
        while is_tight(study.lab) and time.monotonic() - began < left:
            if study.helm.is_stopping:
                break
            wait(study, DISK_POLL_SECONDS)
    if (waited := time.monotonic() - began) > 1.0:
        with room_to_write(study):
            study.store.event(study.tag, WAITED, seconds=waited)


def failures_in_a_row(study: Study) -> int:
    """How many of the latest experiments ended at once and without a score."""
    recent = [each for each in study.experiments() if each.verdict is not None][-12:]
    ended_well = (each.score is not None or (each.seconds or 0.0) > 10.0 for each in recent[::-1])
    return next((count for count, well in enumerate(ended_well) if well), len(recent))


def is_tight(lab: Lab) -> bool:
    return shutil.disk_usage(lab.home).free < FREE_BYTES


def wait(study: Study, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    study.beacon.phase(WAITING)
    while time.monotonic() < deadline and not study.helm.is_stopping:
        study.helm.tick()
        time.sleep(0.1)


def waited_seconds(study: Study) -> float:
    """Between experiments, in all."""
    events = study.store.events(study.tag, kinds=(WAITED,))
    return sum(float(each.data["seconds"]) for each in events)


def is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "disk is full" in str(error) or "No space left" in str(error)


@contextmanager
def full_disk_is_a_crash() -> Iterator[None]:
    """A disk that fills up ends the experiment, not the night."""
    try:
        yield
    except (OSError, sqlite3.OperationalError, LabError) as error:
        if not is_full(error):
            raise
        raise Crashed("the disk is full") from error


@contextmanager
def room_to_write(study: Study) -> Iterator[None]:
    """Make sure that the store's few kilobytes fit: room is held back for them all the time."""
    ballast = study.lab.home / "ballast"
    if shutil.disk_usage(study.lab.home).free < 2**20:
        ballast.unlink(missing_ok=True)
    yield
    with suppress(OSError):
        if not ballast.exists() and shutil.disk_usage(study.lab.home).free > FREE_BYTES:
            ballast.write_bytes(b"\0" * 2**20)
