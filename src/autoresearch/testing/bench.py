"""A study without an engine: real desks one after the other, and what became of each proposal.

bench = Bench(tmp_path)
desk = bench.desk()
proposal = MyResearcher().propose(desk)
bench.finish(desk, proposal, Verdict.DISCARD)      # and the next desk's history has it
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoresearch.desk import Workspace
from autoresearch.errors import Spent
from autoresearch.experiment import Experiment, Proposal, Run, Usage, Verdict, incumbent
from autoresearch.lab import Lab, remove
from autoresearch.memory.history import Memory
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.store import now
from autoresearch.testing.tiny import PROGRAM, TRAIN, make_tiny_lab


class Recorder:
    """A ledger that remembers. Raises Spent as soon as more than `tokens` are spent or pending."""

    def __init__(self, tokens: int | None = None) -> None:
        self.tokens = tokens
        self.notes: list[tuple[str, str]] = []
        self.talks: list[str] = []
        self.usages: list[Usage] = []
        self.models: list[str] = []

    @property
    def used(self) -> Usage:
        return sum(self.usages, Usage())

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.notes]

    def note(self, kind: str, text: str = "") -> None:
        self.notes.append((kind, text))

    def talk(self, text: str) -> None:
        self.talks.append(text)

    def spend(self, usage: Usage, model: str = "", totals: Mapping[str, Any] | None = None) -> None:
        del totals
        self.usages.append(usage)
        self.models.append(model)
        self.pending(0)

    def totals(self, session: str) -> Mapping[str, Any] | None:
        del session
        return None

    def pending(self, tokens: int) -> None:
        if self.tokens is not None and self.used.tokens + tokens > self.tokens:
            raise Spent(f"the limit of {self.tokens} tokens")


class Bench:
    """The tiny lab's study, in `folder`. `history` begins with a baseline that was kept."""

    def __init__(self, folder: Path, *, train: str = TRAIN, program: str = PROGRAM) -> None:
        self.folder = folder
        self.lab = Lab.open(make_tiny_lab(folder / "lab", train=train, program=program))
        self.program = Program.load(self.lab.root / "program.md")
        self.ledger = Recorder()
        commit = self.lab.snapshot(self.lab.disk(self.program), "the baseline", self.lab.head())
        baseline = Experiment(0, None, now(), commit=commit, description="baseline")
        self.history: tuple[Experiment, ...] = ()
        self.history = (self._judged(baseline, Verdict.KEEP, 5.0),)

    @property
    def best(self) -> Experiment:
        best = incumbent(self.history, lower=True)
        assert best is not None
        return best

    def desk(
        self, tick: Callable[[], None] | None = None, tokens: int | None = None, seconds: float = 60
    ) -> Desk:
        """The desk of the next proposal, with a ledger of its own, `self.ledger`."""
        place, number = self.folder / "place", len(self.history)
        remove(place)
        (place / "scratch").mkdir(parents=True)
        workspace = self._workspace(place / "desk", self.best)
        workspace.lay_out()
        self.ledger = Recorder(tokens)
        desk = Desk(
            workspace.tree, self.program, self.history, self.best, number, 1000 + number,
            self.ledger, objection=workspace.objection, scratch=place / "scratch", seconds=seconds,
        )  # fmt: skip
        return replace(desk, tick=tick or desk.tick)

    def finish(
        self, desk: Desk, proposal: Proposal, verdict: Verdict, score: float | None = None
    ) -> Experiment:
        """What became of it: by default it ran, and was a little worse or better by its verdict."""
        assert desk.parent.commit is not None
        files = self._workspace(desk.tree, desk.parent).files()
        experiment = Experiment(
            desk.number,
            desk.parent.number,
            now(),
            commit=self.lab.snapshot(files, proposal.description, desk.parent.commit),
            description=proposal.description,
            hypothesis=proposal.hypothesis,
            researcher="bench",
            details=json.loads(json.dumps(dict(proposal.details))),  # as the store does
        )
        if score is None and verdict in (Verdict.KEEP, Verdict.DISCARD):
            score = (self.best.score or 0.0) + (-0.01 if verdict is Verdict.KEEP else 0.01)
        experiment = self._judged(experiment, verdict, score)
        self.history = (*self.history, experiment)
        return experiment

    def _workspace(self, tree: Path, parent: Experiment) -> Workspace:
        memory = Memory(self.lab, "bench", self.program)
        return Workspace(tree, memory, parent, self.history)

    def _judged(self, experiment: Experiment, verdict: Verdict, score: float | None) -> Experiment:
        best = incumbent(self.history, lower=True)
        delta = score - best.score if best and best.score is not None and score else None
        outcome = "scored" if score is not None else verdict.value
        run = Run(0, 0, outcome, now(), score, "", {"seconds": 1.0, "training_seconds": 1.0})
        reason = {Verdict.KEEP: "better", Verdict.DISCARD: "not better"}.get(verdict, "it broke")
        return replace(
            experiment, finished_at=now(), verdict=verdict, reason=reason, score=score,
            delta=delta, seconds=1.0, runs=(run,),
        )  # fmt: skip


def contents(folder: Path) -> Mapping[str, bytes]:
    """All files below a folder but git's own, and where links point."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == ".git" or name.startswith(".git/"):
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}".encode()
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
