"""THE LOOP. Open this file first.

    research   until a limit is reached: attempt
    attempt    one experiment: propose (proposing.py), run (execution.py), weigh, record

State lives in the store. A killed study is resumed by calling research() again: the experiment
that was open is taken up where it was, with the same number and the same commit (records.py).
What a person orders meanwhile is in the inbox (steering/inbox.py); bad nights are in resilience.py.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from autoresearch.activity import HELD, PROPOSING
from autoresearch.budget import StudyLimits
from autoresearch.context import Study
from autoresearch.errors import ExperimentError, Skipped, Stopped, StudyError
from autoresearch.execution import careful, evidence, execute, known_of, prepare, scored, verdict_of
from autoresearch.experiment import Experiment, Verdict, incumbent
from autoresearch.lab import log_path
from autoresearch.ledger import used_by
from autoresearch.proposing import propose
from autoresearch.records import check_interruptions, recover, settle
from autoresearch.resilience import (
    full_disk_is_a_crash,
    patient,
    pause,
    room_to_write,
    waited_seconds,
)
from autoresearch.steering.state import PAUSED, limits_event
from autoresearch.text import clean_line

STOPPED = "you stopped it"  # why a study is over


def research(study: Study, limits: StudyLimits, *, is_new_limit: bool = True) -> str:
    """Try ideas until a limit is reached or the person stops it; returns which.

    `is_new_limit`: they are the study's from now on, to which a person may add. Raises
    StudyError when the baseline itself does not run.
    """
    with patient(study):
        recover(study)
        study = replace(study, given=limits)
        return announced(study, limits if is_new_limit else None, partial(go_on, study))


def go_on(study: Study) -> str:
    """The loop itself; returns why it is over."""
    while not (why := why_spent(study)):
        try:
            hold(study)
            pause(study)
            if study.inbox.is_stopping:
                return STOPPED
            experiment = attempt(study)
        except Stopped:
            with room_to_write(study):
                study.store.event(study.tag, "stopped")
            return STOPPED
        settle(study)
        if experiment.number == 0 and not experiment.is_kept:
            raise StudyError(
                f"the baseline does not run ({experiment.verdict}): {experiment.reason}\n"
                f"its log is {log_path(study.folder, 0)}; mend the lab, then run again"
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
    parent = incumbent(history, lower=study.is_lower)
    with room_to_write(study):
        experiment = study.store.begin(
            study.tag, parent.number if parent else None, study.researcher_name
        )
    study.watcher.began(experiment)
    study.activity.phase(PROPOSING, experiment.number)
    with study.lab.workplace(study.tag) as place:
        try:
            with full_disk_is_a_crash():
                check_wanted(study, experiment)
                rig = prepare(study, place, experiment)
                experiment = propose(study, place, experiment, history, rig.data.secret)
                case = evidence(study, history, scored(experiment))  # some when taken up again
                while splits := study.rule.next_run(case):
                    known = known_of(study, history, splits)
                    run = execute(rig, experiment, known, len(case.runs))
                    case = replace(case, runs=(*case.runs, run))
                decision = study.rule.weigh(case)
            ending = Ending(
                Verdict.KEEP if decision.kept else Verdict.DISCARD,
                decision.sentence + careful(study, experiment),
                decision.score,
                decision.delta,
            )
        except ExperimentError as error:
            ending = Ending(verdict_of(error), str(error))
    finished = conclude(study, experiment, ending, time.monotonic() - began)
    study.watcher.finished(finished, study.best())
    return finished


@dataclass(frozen=True, slots=True)
class Ending:
    """How an experiment ends."""

    verdict: Verdict
    reason: str
    score: float | None = None
    delta: float | None = None


def check_wanted(study: Study, experiment: Experiment) -> None:
    """Raises Skipped, or Crashed for what seems to kill the engine itself."""
    if why := study.inbox.unwanted(experiment.number):
        raise Skipped(why)
    check_interruptions(experiment)


def conclude(study: Study, experiment: Experiment, ending: Ending, seconds: float) -> Experiment:
    """Write the verdict down, unless the person's word against it came before."""
    with room_to_write(study), study.store.at_once():
        if why := study.inbox.unwanted(experiment.number):
            ending = Ending(Verdict.DISCARD, why)
        study.inbox.answer()
        return study.store.finish(
            study.tag, experiment.number, ending.verdict, clean_line(ending.reason),
            score=ending.score, delta=ending.delta, seconds=seconds,
        )  # fmt: skip


def announced(study: Study, limits: StudyLimits | None, work: Callable[[], str]) -> str:
    """Do the work, and write down that an engine is at it and why it is no longer: returned."""
    why = "it was interrupted"
    given = {} if limits is None else limits_event(limits, study.program)
    with room_to_write(study):
        study.inbox.begin(given, study.researcher_name)
    try:
        why = work()
    except Stopped:
        why = STOPPED
        raise
    except Exception as error:
        why = clean_line(str(error)) or type(error).__name__
        raise
    finally:
        study.activity.clear()
        with room_to_write(study):
            study.inbox.end(why)
    return why


def hold(study: Study) -> None:
    """Wait while the person wants it: that time is not the study's. Raises Stopped."""
    if not study.inbox.state.paused:
        return
    began = time.monotonic()
    study.watcher.note("paused by the person; go on with `autoresearch resume`")
    study.activity.phase(HELD)
    while study.inbox.state.paused and not study.inbox.is_stopping:
        study.inbox.tick()
        time.sleep(0.1)
    with room_to_write(study):
        study.store.event(study.tag, PAUSED, seconds=time.monotonic() - began)
