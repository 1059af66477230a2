"""What a study leaves behind: curves, logs, models, refs; and how a killed engine's is mended."""

import json
import math
import os
import shutil
from contextlib import suppress
from pathlib import Path

from autoresearch.context import Study
from autoresearch.errors import Crashed, LabError
from autoresearch.experiment import Experiment, Verdict, incumbent
from autoresearch.lab import log_path
from autoresearch.runners.base import Progress

MOST_INTERRUPTIONS = 3  # then an experiment is what stops the engine, and counts as crashed
MOST_MODELS = 3  # of the latest kept changes, beside the baseline and the incumbent
MOST_POINTS = 2000  # of a loss curve, however often a run reports


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
    path = log_path(study.folder, experiment.number)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as log:
        for part in ("log.txt", "score.txt"):
            if (folder / part).exists():
                with (folder / part).open("rb") as source:
                    shutil.copyfileobj(source, log)


def keep_model(
    study: Study, folder: Path, artifact: Path, experiment: Experiment, count: int
) -> None:
    """The weights of each scored run stay until settle() knows who is the incumbent; they are on
    the disk before the store knows the score."""
    target = study.lab.model_folder(study.tag, experiment.number, count)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    artifact.rename(target / "artifact")
    if (folder / "claim.bin").is_file():
        (folder / "claim.bin").rename(target / "claim.bin")
    for path in (*target.rglob("*"), target, target.parent, target.parent.parent):
        sync(path)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk; what a run left so that it cannot be opened
    is not waited for."""
    if path.is_symlink():
        return
    with suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def settle(study: Study) -> None:
    """Make git and the folder of models say what the store says."""
    with study.store.at_once():  # a person may veto at this moment
        experiments = study.experiments()
        best = incumbent(experiments, lower=study.is_lower)
        if best is None or best.commit is None:
            return
        follow(study, best.commit)
    kept = [each.number for each in experiments if each.verdict is Verdict.KEEP]
    needed = {0, best.number, *(each.number for each in experiments if each.is_open)}
    needed |= set(kept[-MOST_MODELS:])  # a veto may make an earlier one the incumbent again
    needed |= set([each.number for each in experiments if each.is_kept][-MOST_MODELS:])
    for folder in study.lab.models(study.tag).glob("*"):
        if folder.name not in map(str, needed):
            shutil.rmtree(folder, ignore_errors=True)


def follow(study: Study, commit: str) -> None:
    """The study's branch goes to the incumbent; where it cannot, after the next experiment."""
    try:
        if not study.lab.point_branch(study.tag, commit):
            study.watcher.note(
                f"you are on branch autoresearch/{study.tag}: it will move on once you leave it"
            )
    except LabError as error:  # such as its lock, which somebody holds
        study.watcher.note(f"git's branch follows after the next experiment: {error}")


def recover(study: Study) -> None:
    """After a kill at any moment: the store is the truth, and everything else follows it."""
    if study.store.interrupt_runs(study.tag):
        study.store.event(study.tag, "resumed")
    experiments = study.experiments()
    commits = {each.number: each.commit for each in experiments if each.commit is not None}
    give_up(study, study.lab.agree(study.tag, commits))
    settle(study)


def give_up(study: Study, lost: frozenset[int]) -> None:
    """What git has lost cannot be run or shown. Raises LabError when all goes on from it."""
    best = study.best()
    for each in (each for each in study.experiments() if each.number in lost):
        words = f"git has lost the commit of experiment #{each.number}"
        if best is not None and each.number == best.number:
            raise LabError(
                f"{words} ({each.commit}), the best so far: put the repository back from a copy, "
                f"or go on from the one before, `autoresearch veto {each.number} --tag {study.tag}`"
            )
        study.watcher.note(words)
        if each.is_open:
            study.store.finish(study.tag, each.number, Verdict.CRASH, "git has lost its commit")


def check_interruptions(experiment: Experiment) -> None:
    killed = [run for run in experiment.runs if run.reason.startswith("the engine")]
    if len(killed) >= MOST_INTERRUPTIONS:
        raise Crashed(f"the engine was stopped {len(killed)} times in the middle of it")
