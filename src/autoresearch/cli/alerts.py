"""Tells the person's command what is worth being woken for: a new best, trouble, the end.

    best      a change was kept, and is the best now
    trouble   the baseline does not run, the researcher cannot be reached, failures in a row, a
              full disk, an error that ends the study: each once, until things went well again
    end       the study is over, and why

It stands between the engine and its watcher, and reads what is wrong from the study's events.
"""

from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.context import Watcher
from autoresearch.experiment import Experiment, Usage, incumbent
from autoresearch.keep import amount
from autoresearch.notify import Notifier
from autoresearch.program import Program
from autoresearch.runners.base import Progress
from autoresearch.steering.state import BACK, UNAVAILABLE
from autoresearch.store import TROUBLE, Store
from autoresearch.text import clean_line, short

BEST, END = "best", "end"
KINDS = (UNAVAILABLE, BACK, TROUBLE)


@dataclass(slots=True)
class Alerts:
    """A watcher that passes everything on to another one."""

    watcher: Watcher
    notifier: Notifier
    store: Store
    tag: str
    program: Program
    lab: Path
    _last: int = field(init=False)  # event that was read
    _known: set[str] = field(default_factory=set)  # troubles that were told and are not over

    def __post_init__(self) -> None:
        self._last = self.store.last_event(self.tag)

    # what happens to an experiment

    def began(self, experiment: Experiment) -> None:
        self.watcher.began(experiment)

    def spent(self, experiment: Experiment, used: Usage) -> None:
        self.watcher.spent(experiment, used)

    def proposed(self, experiment: Experiment) -> None:
        self.watcher.proposed(experiment)

    def progress(self, experiment: Experiment, progress: Progress) -> None:
        self.watcher.progress(experiment, progress)

    def scoring(self, experiment: Experiment) -> None:
        self.watcher.scoring(experiment)

    def finished(self, experiment: Experiment, best: Experiment | None) -> None:
        self.watcher.finished(experiment, best)
        if experiment.score is not None:
            self._known -= {"failures", "disk"}
        if best is not None and 0 < experiment.number == best.number:
            self._best(experiment)
        self._look()

    def note(self, text: str) -> None:
        self.watcher.note(text)
        self._look()

    def stop(self) -> None:
        self.watcher.stop()

    # what is told

    def trouble(self, text: str, what: str = "") -> None:
        """Once for what is the matter, until that is over."""
        if what not in self._known:
            self._known |= {what} if what else set()
            self._say(TROUBLE, text)

    def ended(self, why: str) -> None:
        best, words = self._incumbent(), f"the study is over: {why}"
        if best is not None and best.score is not None:
            words += f"; best {short(best.score)}, #{best.number}"
        self._say(END, words)

    def close(self) -> None:
        """Let the command finish with what it was told."""
        self.notifier.finish()
        self._complain()

    def _look(self) -> None:
        for each in self.store.events(self.tag, after=self._last, kinds=KINDS):
            self._last = each.id
            text = str(each.data.get("text", ""))
            if each.kind == BACK:
                self._known.discard(UNAVAILABLE)
            elif each.kind == UNAVAILABLE:
                self.trouble(text, UNAVAILABLE)
            else:
                self.trouble(text, str(each.data.get("what", "")))
        self._complain()

    def _best(self, each: Experiment) -> None:
        assert each.score is not None
        score = f"{short(each.score)} {self.program.metric}"
        gain = f", {amount(abs(each.delta))} better" if each.delta else ""
        self._say(BEST, f"new best {score}, #{each.number}{gain}: {each.description}", each.number)

    def _incumbent(self) -> Experiment | None:
        experiments = self.store.experiments(self.tag)
        return incumbent(experiments, lower=self.program.is_lower)

    def _say(self, event: str, text: str, number: int | None = None) -> None:
        best = self._incumbent()
        self.notifier.send(
            {
                "event": event,
                "tag": self.tag,
                "text": clean_line(f"{self.tag}: {text}", 400),
                "lab": str(self.lab),
                "experiment": number,
                "best": best.number if best else None,
                "score": best.score if best else None,
                "metric": self.program.metric,
            }
        )

    def _complain(self) -> None:
        if words := self.notifier.complaint():
            self.watcher.note(words)
