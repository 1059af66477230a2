"""What a person sees while a study runs: a live line on a terminal, plain lines elsewhere."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TextIO, cast

from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autoresearch.box.sandbox import Tier
from autoresearch.budget import StudyLimits
from autoresearch.experiment import UNKNOWN_SEED, Experiment, Usage, Verdict
from autoresearch.program import Program
from autoresearch.runners.base import Progress
from autoresearch.store import Event
from autoresearch.text import clean, clean_line, duration, numbered, plain, short

STYLES = {
    Verdict.KEEP: "bold green",
    Verdict.DISCARD: "dim",
    Verdict.CRASH: "red",
    Verdict.TIMEOUT: "yellow",
    Verdict.INVALID: "magenta",
    Verdict.FAILED: "yellow",
}
MOST_TEXTS = 1000  # that wait to be read: more are dropped
LAST_SECONDS = 2.0  # for the last of them to be read


class Writer:
    """Writes in a thread of its own: who writes to a terminal that nobody reads has to wait."""

    def __init__(self) -> None:
        self._texts: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        self._descriptors: set[int] = set()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, descriptor: int, data: bytes) -> None:
        self._descriptors.add(descriptor)
        if self._texts.qsize() < MOST_TEXTS:
            self._texts.put((descriptor, data))

    def finish(self) -> None:
        """Returns when all is written, or nobody has read it for a while."""
        self._texts.put(None)
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            for descriptor in self._descriptors:
                forget(descriptor)

    def _run(self) -> None:
        while (each := self._texts.get()) is not None:
            descriptor, data = each
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.EIO):  # for good: a pipe, a terminal
                    forget(descriptor)


def forget(descriptor: int) -> None:
    """What is written to it from now on goes nowhere."""
    with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)


class NeverBlocking:
    """A stream that takes what nobody reads: its reader may leave or sleep, its disk be full."""

    buffer = None  # so that nobody writes past us

    def __init__(self, stream: TextIO, writer: Writer) -> None:
        self._stream, self._writer = stream, writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        data = text.encode(self._stream.encoding, self._stream.errors or "strict")
        self._writer.put(self._stream.fileno(), data)
        return len(text)

    def flush(self) -> None:
        """It is on its way."""


@contextmanager
def never_blocking() -> Iterator[None]:
    """A study in this block goes on whoever stops reading: what it did is in the store."""
    before = sys.stdout, sys.stderr
    writers: dict[tuple[int, int], Writer] = {}  # one for a file, which keeps the order in it

    def unhindered(stream: TextIO) -> TextIO:
        try:
            facts = os.fstat(stream.fileno())
        except (AttributeError, OSError, ValueError):  # closed, or in memory
            return stream
        file = facts.st_dev, facts.st_ino
        if file not in writers:
            writers[file] = Writer()
        return cast("TextIO", NeverBlocking(stream, writers[file]))

    sys.stdout, sys.stderr = map(unhindered, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for each in writers.values():
            each.finish()


def result_line(each: Experiment) -> Text:
    """One finished experiment: number, verdict, score, delta, time, what it was."""
    assert each.verdict is not None
    score = short(each.score) if each.score is not None else "-"
    delta = short(each.delta, like=each.score, sign="+") if each.delta is not None else ""
    seconds = "-" if each.seconds is None else f"{each.seconds:.0f}"
    facts = f"{score:>9} {delta:>8}  {seconds:>5} s  "
    style = "strike" if each.undone else STYLES[each.verdict]
    line = Text(f"#{each.number:<4} ").append(f"{each.standing:8}", style)
    said = (each.description, each.reason if each.score is None else "")
    return line.append(facts).append(": ".join(plain(words) for words in said if words))


class PlainWatcher:
    """A line for each thing that happens; for logs and pipes."""

    def __init__(
        self, console: Console, program: Program, after_each: Callable[[], None] = lambda: None
    ) -> None:
        self.console, self.program, self.after_each = console, program, after_each

    def print(self, text: Text | str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def began(self, experiment: Experiment) -> None:
        del experiment

    def spent(self, experiment: Experiment, used: Usage) -> None:
        del experiment, used

    def proposed(self, experiment: Experiment) -> None:
        self.print(Text(f"#{experiment.number:<4} trying  {experiment.description}"))

    def progress(self, experiment: Experiment, progress: Progress) -> None:
        del experiment, progress

    def scoring(self, experiment: Experiment) -> None:
        del experiment

    def finished(self, experiment: Experiment, best: Experiment | None) -> None:
        self.print(result_line(experiment))
        if best is not None and best.number == experiment.number and best.score is not None:
            self.print(f"      best so far: {short(best.score)} {self.program.metric}")
        self.after_each()

    def note(self, text: str) -> None:
        self.print(Text(f"note: {text}"))

    def stop(self) -> None:
        """Leave the terminal as it was."""


class LiveWatcher(PlainWatcher):
    """As PlainWatcher, with a bar for the running experiment below."""

    def __init__(
        self, console: Console, program: Program, after_each: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(console, program, after_each)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._best: Experiment | None = None

    def _show(self, experiment: Experiment, done: float, *facts: str) -> None:
        row = Table.grid(padding=(0, 1))
        what = Text(f"#{experiment.number} {experiment.description}", overflow="ellipsis")
        what.no_wrap = True
        what.truncate(max(16, self.console.width - 80), overflow="ellipsis")
        score = self._best.score if self._best else None
        best = "" if score is None else f"best {short(score)}"
        row.add_row(what, ProgressBar(total=1.0, completed=done, width=20), *facts, best)
        if not self._live.is_started:
            self._live.start()
        self._live.update(row)

    def began(self, experiment: Experiment) -> None:
        self._show(experiment, 0.0, "proposing")

    def spent(self, experiment: Experiment, used: Usage) -> None:
        self._show(experiment, 0.0, f"proposing, {usage_words(used)} so far")

    def proposed(self, experiment: Experiment) -> None:
        self._show(experiment, 0.0, "starting")

    def progress(self, experiment: Experiment, progress: Progress) -> None:
        budget = self.program.budget_seconds
        self._show(
            experiment,
            min(1.0, progress.seconds / budget),
            f"loss {progress.loss:.3f}",
            f"{progress.tokens_per_second:,.0f} tok/s",
            f"{max(0.0, budget - progress.seconds):3.0f} s left",
        )

    def scoring(self, experiment: Experiment) -> None:
        self._show(experiment, 1.0, "scoring")

    def finished(self, experiment: Experiment, best: Experiment | None) -> None:
        self._best = best
        self._live.stop()
        self.print(result_line(experiment))
        self.after_each()

    def stop(self) -> None:
        self._live.stop()


def watcher(
    console: Console, program: Program, after_each: Callable[[], None] = lambda: None
) -> PlainWatcher:
    """For a terminal or for a pipe. `after_each` is called when an experiment is finished."""
    kind = LiveWatcher if console.is_terminal else PlainWatcher
    return kind(console, program, after_each)


def log_table(experiments: tuple[Experiment, ...], metric: str, is_busy: bool) -> Table:
    """The experiments of a study, one row each. `is_busy`: an engine works on it."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("#", "parent", "verdict", metric, "delta", "s", "MB", "commit"):
        justify: JustifyMethod = "left" if name in ("verdict", "commit") else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    table.add_column("description", overflow="fold")
    for each in experiments:
        style = STYLES[each.verdict] if each.verdict else "cyan"
        style = "strike" if each.undone else style
        memory = each.last_run.figures.get("peak_memory_mb") if each.last_run else None
        unscored = each.verdict and each.score is None
        said = (each.description, each.reason if unscored else "")
        table.add_row(
            str(each.number),
            "" if each.parent is None else str(each.parent),
            Text(each.standing if each.verdict or is_busy else "cut off", style),
            "" if each.score is None else short(each.score),
            "" if each.delta is None else short(each.delta, like=each.score, sign="+"),
            "" if each.seconds is None else f"{each.seconds:.0f}",
            "" if memory is None else f"{memory:.0f}",
            clean_line(each.short_commit, 20),
            Text(": ".join(filter(None, said))),
        )
    return table


def usage_words(used: Usage) -> str:
    """Such as "1.2M tokens and $3.40"; "" when nothing was taken."""
    if not used.tokens:
        return ""
    money = "" if used.cost_usd is None else f" and ${used.cost_usd:,.2f}"
    return f"{short_count(used.tokens)} tokens{money}"


def short_count(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


def opening_line(is_new: bool, tag: str, program: Program, given: StudyLimits) -> str:
    count = given.experiments
    limits = [numbered(count, "experiment")] if count is not None else []
    limits += [duration(given.seconds)] if given.seconds is not None else []
    limits += [f"{short_count(given.tokens)} tokens"] if given.tokens is not None else []
    limits += [f"${given.cost_usd:,.2f}"] if given.cost_usd is not None else []
    until = " or ".join(limits) or "you stop it (Ctrl-C)"
    verb = "New study" if is_new else "Resuming study"
    return f"{verb} {tag}: {program.budget_seconds:g} s of training a run, until {until}"


def box_words(tier: Tier) -> str:
    if tier is Tier.PROCESSES:
        return "UNPROTECTED, no box holds the runs (tier 1): see `autoresearch doctor`"
    return f"the runs are held by {tier.words} (tier {tier.value})"


def trust_line(keep_rule: str, tier: Tier) -> str:
    """How far this study's numbers can be believed."""
    words = {"greedy": "any decrease is kept", "confirm": "a gain is kept once confirmed"}
    return f"{words[keep_rule]}; {box_words(tier)}"


def status_lines(facts: Mapping[str, Any]) -> list[str]:
    """`status` for people, of what status.py says."""
    metric, best, first = facts["metric"], facts["best"], facts["baseline"]
    counts = ", ".join(f"{count} {name}" for name, count in facts["verdicts"].items())
    counts += f" ({facts['undone']} of them taken back)" if facts["undone"] else ""
    lines = [
        f"study       {facts['tag']}, {facts['state']}",
        f"experiments {facts['experiments']}" + (f": {counts}" if counts else ""),
    ]
    lines[1:1] = [f"trouble     {each}" for each in facts["troubles"]]
    if first is not None:
        lines.append(f"baseline    {short(first)} {metric}")
    if best is not None:
        number, commit = facts["best_number"], (facts["best_commit"] or "")[:7]
        at = f", commit {commit}" if commit else ""
        lines.append(f"best        {short(best)} {metric}, #{number}{at}")
    if facts["tier"] is not None:
        lines.append(f"box         {box_words(Tier(facts['tier']))}")
    time = "not known" if facts["seconds"] is None else duration(facts["seconds"])
    lines.append(f"time        {time}")
    used = Usage(
        facts["input_tokens"] or 0, facts["output_tokens"] or 0, cost_usd=facts["cost_usd"]
    )
    if words := usage_words(used):
        lines.append(f"proposals   {words}")
    if facts["current"] is not None:
        begun = f"#{facts['current']} {facts['current_description']}".rstrip()
        at_rest = f"cut off     {begun}: the next run begins it again"
        lines.append(f"now         {begun}" if facts["running"] else at_rest)
    limits = [limit_words(each) for each in facts["limits"].values() if each]
    lines += [f"left        {', '.join(limits)}"] if limits else []
    for name in ("note", "idea"):
        lines += [f"{name:11} {waiting_words(each)}" for each in facts[f"{name}s"]]
    return lines


def limit_words(limit: Mapping[str, Any]) -> str:
    """Such as "88 of 100 experiments", "$6.20 of $10.00 ($2.00 added)", "unknown of 20M tokens"."""
    kinds: dict[str, tuple[Callable[[float], str], str]] = {
        "experiments": (lambda value: f"{value:.0f}", " experiments"),
        "seconds": (duration, ""),
        "tokens": (lambda value: short_count(int(value)), " tokens"),
        "cost_usd": (lambda value: f"${value:,.2f}", ""),
    }
    show, unit = kinds[limit["name"]]
    added = f" ({show(limit['added'])} added)" if limit["added"] else ""
    left = "unknown" if limit["left"] is None else show(limit["left"])
    return f"{left} of {show(limit['limit'])}{unit}{added}"


def waiting_words(words: Mapping[str, Any]) -> str:
    return f"{words['id']} waits: {clean_line(words['text'], 400)}"


def experiment_lines(
    each: Experiment, program: Program, used: Usage, is_busy: bool = True
) -> list[str]:
    """`show` for people. `is_busy`: an engine works on the study."""
    run = each.last_run
    figures = run.figures if run else {}
    origin = f", from #{each.parent}" if each.parent is not None else ""
    verdict = each.standing if each.verdict or is_busy else "cut off"
    rows = {
        "experiment": f"#{each.number}{origin}",
        "what": each.description,
        "hypothesis": each.hypothesis,
        "verdict": f"{verdict}: {each.reason}" if each.reason else verdict,
        "answer": f"the hypothesis is {each.answer}" if each.hypothesis and each.verdict else "",
        program.metric: None if each.score is None else short(each.score, 6),
        "delta": None if each.delta is None else short(each.delta, 6, each.score, "+"),
        "commit": clean_line(each.commit_name),
        "by": each.researcher,
        "proposing": usage_words(used),
        "started": each.started_at,
        "seed": run.seed if run and run.seed != UNKNOWN_SEED else None,
    }
    said = {name: f"{value:,.6g}" for name, value in figures.items() if name not in rows}
    shown = {name: value for name, value in (rows | said).items() if value not in (None, "")}
    width = 2 + max(map(len, shown))
    return [f"{name:{width}}{value}" for name, value in shown.items()]


def event_lines(events: Iterable[Event]) -> list[str]:
    """`log --events` for people."""
    lines = []
    for each in events:
        data = each.data
        number = f"#{data['experiment']}" if "experiment" in data else ""
        rest = {k: v for k, v in data.items() if k not in ("experiment", "text", "files")}
        words = clean_line(str(data.get("text", "")), 400) or (json.dumps(rest) if rest else "")
        lines.append(
            f"{each.at[:19].replace('T', ' ')}  {number:>5}  {each.kind:12} {words}".rstrip()
        )
    return lines or ["nothing happened beside the experiments"]


def log_text(path: Path, if_none: str = "nothing was printed") -> str:
    """What a run printed or an agent said, made harmless."""
    if not path.exists():
        return if_none
    return clean(path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n"))
