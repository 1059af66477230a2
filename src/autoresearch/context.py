"""One study with everything that the loop works with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from autoresearch.activity import Activity
from autoresearch.box.sandbox import Tier
from autoresearch.budget import StudyLimits
from autoresearch.experiment import Experiment, Usage, incumbent
from autoresearch.keep import Confirm, KeepRule
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.researchers.base import Researcher
from autoresearch.runners.base import Progress, Runner
from autoresearch.runners.local import LocalRunner
from autoresearch.steering.inbox import Inbox, Stop
from autoresearch.store import Store


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Everything that the loop works with."""

    tag: str
    lab: Lab
    store: Store
    program: Program
    researcher: Researcher
    researcher_name: str
    runner: Runner = field(default_factory=LocalRunner)
    watcher: Watcher
    python: str  # the lab's interpreter
    seed: int
    stop: Stop = field(default_factory=Stop)
    rule: KeepRule = field(default_factory=Confirm)
    tier: Tier = Tier.PROCESSES  # of the box that runs and scorings get
    takes_ideas: bool = True  # that wait for an experiment of their own
    given: StudyLimits = field(default_factory=StudyLimits)  # the limits, as this engine began
    inbox: Inbox = field(init=False)
    activity: Activity = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inbox", Inbox(self.store, self.tag, self.stop))
        self.folder.mkdir(parents=True, exist_ok=True)
        activity = Activity(self.folder, self.program.budget_seconds)
        object.__setattr__(self, "activity", activity)

    @property
    def folder(self) -> Path:
        """The study's own, for all that is no row of the store."""
        return self.lab.study_folder(self.tag)

    @property
    def limits(self) -> StudyLimits:
        """Those given, with what the person has added since."""
        return self.inbox.state.extended(self.given)

    @property
    def is_lower(self) -> bool:
        """Whether a lower score is better."""
        return self.program.is_lower

    def experiments(self) -> tuple[Experiment, ...]:
        return self.store.experiments(self.tag)

    def best(self) -> Experiment | None:
        return incumbent(self.experiments(), lower=self.is_lower)
