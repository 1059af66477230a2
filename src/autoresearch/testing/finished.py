"""A finished study that nobody ran: real commits and real rows, made in an instant.

study = Finished(Lab.open(folder), "night")
study.add("X = 2.0", 1.4, Verdict.KEEP, "a larger X")     # a child of the best so far
study.save()                                               # now the store has it
"""

import json
from dataclasses import replace

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run, Verdict, incumbent
from autoresearch.lab import Lab, curve_path
from autoresearch.opening import store_path
from autoresearch.program import Program
from autoresearch.store import Store, StudyRow

MACHINE = {"system": "Linux x86_64", "gpu": "Testing GPU", "python": "3.0"}


class Finished:
    """`history` begins with a baseline: the lab's files as they lie on the disk."""

    def __init__(
        self,
        lab: Lab,
        tag: str,
        baseline: tuple[float, ...] = (1.5,),
        program: Program | None = None,
    ) -> None:
        self.lab, self.tag = lab, tag
        self.program = program or Program.load(lab.root / "program.md")
        self.machine = dict(MACHINE)
        commit = lab.snapshot(lab.disk(self.program), "baseline", lab.head())
        self.history: tuple[Experiment, ...] = ()
        self._judged(Experiment(0, None, at(0), commit=commit, description="baseline"),
                     Verdict.KEEP, baseline)  # fmt: skip

    @property
    def view(self) -> StudyView:
        return StudyView(self.tag, self.program, self.history)

    @property
    def best(self) -> Experiment:
        best = incumbent(self.history, lower=self.program.is_lower)
        assert best is not None
        return best

    def add(
        self,
        train: str | None,
        score: float | tuple[float, ...] | None,
        verdict: Verdict,
        description: str = "",
        hypothesis: str = "",
        parent: Experiment | None = None,
    ) -> Experiment:
        """The next experiment, with this train.py: of one run for each score."""
        parent, number = parent or self.best, len(self.history)
        commit = None
        if train is not None:
            commit = self.lab.snapshot({"train.py": train.encode()}, f"try {number}", parent.commit)
        each = Experiment(
            number, parent.number, at(number), commit=commit, hypothesis=hypothesis,
            description=description or f"idea {number}", researcher="test",
        )  # fmt: skip
        scores = score if isinstance(score, tuple) else () if score is None else (score,)
        return self._judged(each, verdict, scores)

    def _judged(self, each: Experiment, verdict: Verdict, scores: tuple[float, ...]) -> Experiment:
        """With its verdict, and a run of ten seconds for each score."""
        number, best = each.number, self.best if self.history else None
        figures = {"seconds": 10.0, "training_seconds": 8.0, "peak_memory_mb": 1536.0, "tier": 3.0}
        runs = tuple(
            Run(index, 100 * number + index, "scored", at(number), score, "", figures,
                {"X": number, "name": "a\u202eb"})
            for index, score in enumerate(scores)
        ) or (Run(0, 100 * number, verdict.value, at(number), reason="it broke"),)  # fmt: skip
        score = sum(scores) / len(scores) if scores else None
        delta = score - best.score if score is not None and best and best.score else None
        each = replace(
            each, finished_at=at(number, 50), verdict=verdict, reason=f"reason {number}",
            score=score, delta=delta, seconds=50.0, runs=runs,
        )  # fmt: skip
        self.history = (*self.history, each)
        return each

    def curve(self, number: int, *points: tuple[float, int, float, float]) -> None:
        path = curve_path(self.lab.study_folder(self.tag), number)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(json.dumps(point) for point in points)
        path.write_text(text)

    def save(self) -> None:
        row = StudyRow(self.tag, at(0), self.program.contract(), 7, "test", self.machine, "confirm")
        with Store(store_path(self.lab)) as store:
            store.insert(row, self.history)
            for each in self.history:
                if each.commit is not None:
                    self.lab.record_attempt(self.tag, each.number, each.commit)


def at(number: int, seconds: int = 0) -> str:
    return f"2026-03-08T{number // 60:02}:{number % 60:02}:{seconds:02}.000+00:00"
