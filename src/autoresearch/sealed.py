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
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from autoresearch import judge
from autoresearch.errors import Crashed, Invalid, StudyError, TimedOut
from autoresearch.execution import SEEDS, seed_of
from autoresearch.experiment import Experiment, incumbent
from autoresearch.final import Final
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.runners.base import Job, Outcome, Runner
from autoresearch.sandbox import Tier
from autoresearch.store import Store

FRESH = 2  # runs of the incumbent: less gives no interval


@dataclass(frozen=True, slots=True)
class Opener:
    """What training the incumbent once more, and scoring on the sealed text, need."""

    lab: Lab
    store: Store
    tag: str
    program: Program
    python: str
    runner: Runner
    tier: Tier
    tick: Callable[[], None]

    def open(self) -> Final:
        """Open the split, or read what was found when it was. Raises StudyError when there is
        nothing to compare, or the incumbent does not run again; ExperimentError when a model
        cannot be scored."""
        if found := self.store.final(self.tag):
            return found
        experiments = self.store.experiments(self.tag)
        best = incumbent(experiments, lower=self.program.is_lower)
        if best is None or best.number == 0:
            raise StudyError(
                f"study {self.tag} has kept nothing yet: its sealed text stays sealed until there "
                "is something to compare with the baseline"
            )
        with self.lab.workplace(f"{self.tag}.final") as place:
            locked, log = self._locked(place), self.lab.study_folder(self.tag) / "final.txt"
            data = judge.prepare(self.program, self.python, self.lab.root, locked, log, self.tick)
            study = self.store.study(self.tag)
            seeds = [seed_of(study.seed, best.number, SEEDS - FRESH + n) for n in range(FRESH)]
            fresh = [self._trained(place, data, best, seed) for seed in seeds]
            first, score = experiments[0], partial(self._score, place, data)
            scores = {
                "baseline": [score(first, each) for each in self._models(first)],
                "best": [score(best, each) for each in fresh],
            }
        self.store.event(self.tag, "final", number=best.number, seeds=seeds, **scores)
        final = self.store.final(self.tag)
        assert final is not None
        return final

    def _trained(self, place: Path, data: judge.Data, best: Experiment, seed: int) -> Path:
        """The artifact of the incumbent's files after one more run."""
        assert best.commit is not None
        folder = place / f"seed-{seed}"
        job = Job(
            self.lab.lay_out(best.commit, folder / "tree"), folder, self.program, self.python,
            seed, self.tier, data.manifest, data.handover, data.withheld, self.lab.compiled,
            tick=self.tick,
        )  # fmt: skip
        try:
            return self.runner.run(job).artifact
        except (Crashed, TimedOut, Invalid) as error:
            log = self.lab.study_folder(self.tag) / "final.txt"
            with suppress(OSError):
                shutil.copyfile(job.log, log)
            raise StudyError(
                f"#{best.number} does not run again, with seed {seed}: {error}. The sealed text "
                f"stays sealed; what it printed is in {log}"
            ) from error

    def _models(self, each: Experiment) -> Sequence[Path]:
        folder = self.lab.models(self.tag) / str(each.number)
        found = sorted(folder.glob("*/artifact"))
        if not found:
            raise StudyError(f"the models of #{each.number} are no longer in {folder}")
        return found

    def _locked(self, folder: Path) -> Path:
        """The locked files as the study began with them, laid out anew."""
        commit = self.store.experiment(self.tag, 0).commit
        assert commit is not None
        return self.lab.lay_out(commit, folder / "locked", self.program.locked)

    def _score(self, place: Path, data: judge.Data, each: Experiment, artifact: Path) -> float:
        assert each.commit is not None
        folder = (
            place / f"scored-{each.number}-{artifact.parent.parent.name}-{artifact.parent.name}"
        )
        found = judge.measure(
            Outcome(artifact),
            program=self.program,
            python=self.python,
            locked=self._locked(folder),
            tree=self.lab.lay_out(each.commit, folder / "tree"),
            data=data,
            log=folder / "score.txt",
            tick=self.tick,
            tier=self.tier,
            known=judge.Known("final"),
        ).facts
        if "final" not in found:
            raise StudyError("this lab's score command knows no `final` split (docs/lab.md)")
        return found["final"]
