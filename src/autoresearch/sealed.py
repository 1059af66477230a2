"""The sealed split: opened once in a study, by the report, for the one number to quote.

The search scores the `dev` split, confirmations the `confirm` split; choosing among many
experiments by a score makes that score look better than it is, by the luck of its seeds as well as
of its text. So the incumbent is trained anew, on seeds that nothing was chosen by, and scored on
`final`, beside the models of the baseline, which were never chosen. The difference is given with
its interval. Opening it is recorded; a second call reads the record.

Not covered: a person who opens the split, changes the program, and begins a new study.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from autoresearch.context import Study
from autoresearch.errors import Crashed, Invalid, StudyError, TimedOut
from autoresearch.execution import SEEDS, Rig, seed_of, set_up
from autoresearch.experiment import Experiment
from autoresearch.final import Final
from autoresearch.judge import Known

FRESH = 2  # runs of the incumbent: less gives no interval
LOG = "final.txt"  # in the study's folder


def open_sealed(study: Study, training: Callable[[Experiment], None] = lambda _: None) -> Final:
    """Open the split, or read what was found when it was; `training` is told what is trained for
    that. Raises StudyError when there is nothing to compare, or the incumbent does not run again;
    ExperimentError when a model cannot be scored."""
    if found := study.store.final(study.tag):
        return found
    best = study.best()
    if best is None or best.number == 0:
        raise StudyError(
            f"study {study.tag} has kept nothing yet: its sealed text stays sealed until there "
            "is something to compare with the baseline"
        )
    with study.lab.workplace(f"{study.tag}.final") as place:
        rig = set_up(study, place, study.folder / LOG, study.stop.tick)
        seeds = [seed_of(study.seed, best.number, SEEDS - FRESH + n) for n in range(FRESH)]
        first = study.store.experiment(study.tag, 0)
        base = [score(rig, first, each) for each in models(study, first)]  # or there is no split
        training(best)
        fresh = [trained(rig, best, seed) for seed in seeds]
        scores = {"baseline": base, "best": [score(rig, best, each) for each in fresh]}
    study.store.event(study.tag, "final", number=best.number, seeds=seeds, **scores)
    final = study.store.final(study.tag)
    assert final is not None
    return final


def trained(rig: Rig, best: Experiment, seed: int) -> Path:
    """The artifact of the incumbent's files after one more run."""
    job = rig.job(best, rig.place / f"seed-{seed}", seed)
    try:
        return rig.study.runner.run(job).artifact
    except (Crashed, TimedOut, Invalid) as error:
        log = rig.study.folder / LOG
        with suppress(OSError):
            shutil.copyfile(job.log, log)
        raise StudyError(
            f"#{best.number} does not run again, with seed {seed}: {error}. The sealed text "
            f"stays sealed; what it printed is in {log}"
        ) from error


def models(study: Study, each: Experiment) -> Sequence[Path]:
    folder = study.lab.models(study.tag) / str(each.number)
    found = sorted(folder.glob("*/artifact"))
    if not found:
        raise StudyError(f"the models of #{each.number} are no longer in {folder}")
    return found


def score(rig: Rig, each: Experiment, model: Path) -> float:
    name = f"scored-{each.number}-{model.parent.parent.name}-{model.parent.name}"
    found = rig.score(each, rig.place / name, model, Known("final")).facts
    if "final" not in found:
        raise StudyError("this lab's score command knows no `final` split (docs/lab.md)")
    return found["final"]
