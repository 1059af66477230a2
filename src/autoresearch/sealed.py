"""The sealed split: opened once in a study, by the report, for the one number to quote.

The search scores the `dev` split, confirmations the `confirm` split; choosing among many
experiments by a score makes that score look better than it is. On `final` nothing was ever
chosen: the models of the baseline and of the incumbent, one a seed, are scored there, and the
difference is given with its interval. Opening it is recorded; a second call reads the record.

Not covered: a person who opens the split, changes the program, and begins a new study.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch import judge
from autoresearch.errors import StudyError
from autoresearch.experiment import Experiment, incumbent
from autoresearch.final import Final
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.runners.base import Outcome
from autoresearch.sandbox import Tier
from autoresearch.store import Store


@dataclass(frozen=True, slots=True)
class Opener:
    """What scoring the kept models once more needs."""

    lab: Lab
    store: Store
    tag: str
    program: Program
    python: str
    tier: Tier
    tick: Callable[[], None]

    def open(self) -> Final:
        """Open the split, or read what was found when it was. Raises StudyError when there is
        nothing to compare, ExperimentError when a kept model cannot be scored any more."""
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
            scores = {
                name: [self._score(place, data, each, path) for path in self._models(each)]
                for name, each in (("baseline", experiments[0]), ("best", best))
            }
        self.store.event(self.tag, "final", number=best.number, **scores)
        final = self.store.final(self.tag)
        assert final is not None
        return final

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
        folder = place / f"{each.number}-{artifact.parent.name}"
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
