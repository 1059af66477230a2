"""Sets a study going for the command line: its parts put together, its signals, its report."""

import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean
from threading import Thread
from types import FrameType

import click
from rich.console import Console

from autoresearch import keep, opening, parts, process
from autoresearch import notify as notifying
from autoresearch.box import sandbox
from autoresearch.box.interpreter import compile_packages, interpreter
from autoresearch.budget import StudyLimits
from autoresearch.cli import terminal
from autoresearch.cli.alerts import Alerts
from autoresearch.context import Study
from autoresearch.errors import LabError, StudyError, Unavailable, UserError
from autoresearch.execution import set_up
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.ledger import used_by
from autoresearch.program import Program
from autoresearch.records import recover, settle
from autoresearch.report.results import results_tsv
from autoresearch.researchers.base import Researcher, check, is_silent
from autoresearch.researchers.by_hand import ByHand
from autoresearch.researchers.settings import Settings
from autoresearch.sealed import FRESH, open_sealed
from autoresearch.steering.inbox import Stop
from autoresearch.steering.state import in_force, steering_of
from autoresearch.store import Store
from autoresearch.study import STOPPED, announced, attempt, research
from autoresearch.text import clean_line, duration, short, split_words, write_whole

REPORT_FILES = ("report.html", "report.md", "progress.png", "results.tsv")


@contextmanager
def stopping(stop: Stop, stop_live: Callable[[], None]) -> Iterator[None]:
    """First Ctrl-C: stop after this experiment. Second, SIGTERM or a hang-up: stop now.

    The handler interrupts whoever writes or holds a lock, so it does neither: a thread answers.
    """
    answers: SimpleQueue[str] = SimpleQueue()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.after_this or number != signal.SIGINT:
            stop.now = True
        stop.after_this = True
        after_this = "stopping after this experiment; Ctrl-C again: now"
        answers.put("stopping now" if stop.now else after_this)

    def answer() -> None:
        while words := answers.get():
            stop_live()
            click.echo(f"\n{words}", err=True)

    answering = Thread(target=answer, daemon=True)
    answering.start()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # so that nohup is respected
        signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        answers.put("")
        answering.join()
        stop_live()


def echo_log(path: Path, tick: Callable[[], None]) -> Callable[[], None]:
    """A tick that also shows the last line of a growing log."""
    last = ""

    def show() -> None:
        nonlocal last
        line = process.last_line(path)
        if line != last and line.startswith("prepare:"):
            click.echo(line, err=True)
        last = line
        tick()

    return show


def study_of(
    lab: Lab, store: Store, opened: opening.Opened, researcher: Researcher, name: str, stop: Stop
) -> Study:
    tag, folder = opened.row.tag, lab.study_folder(opened.row.tag)

    def after_each() -> None:
        write_whole(folder / "results.tsv", results_tsv(store.experiments(tag)))

    watcher = terminal.watcher(Console(highlight=False), opened.program, after_each)
    return Study(
        tag=tag,
        lab=lab,
        store=store,
        program=opened.program,
        researcher=researcher,
        researcher_name=name,
        watcher=watcher,
        python=lab.python,
        seed=opened.row.seed,
        stop=stop,
        rule=keep.rule_named(opened.row.keep_rule, opened.limits.experiments),
        tier=sandbox.best_tier(),
    )


def require(tier: int) -> None:
    """Raises LabError when no box of this tier can be had here."""
    best = sandbox.best_tier()
    if best < tier:
        raise LabError(
            f"tier {tier} is required, and this machine gives tier {best.value} "
            f"({best.name.lower()}): see `autoresearch doctor` for what is missing"
        )


@terminal.never_blocking()
def run_study(
    lab: Lab,
    store: Store,
    wishes: opening.Wishes,
    settings: Settings | None = None,
    notify: str | None = None,
) -> None:
    hook = None if notify is None else notify_words(notify)
    name, researcher = wishes.researcher, None
    if name is not None:  # one that nobody knows must not begin a study
        researcher = parts.researcher(name, settings)
    opened = opening.open_study(lab, store, wishes)
    if name is None or researcher is None:
        name = opened.row.researcher
        researcher = parts.researcher(name, settings)
    tag, stop = opened.row.tag, Stop()
    study = study_of(lab, store, opened, researcher, name, stop)
    if hook is None:
        hook = opened.program.notify
        notifying.check(hook)
    notifier = notifying.Notifier(hook, lab.root)
    alerts = Alerts(study.watcher, notifier, store, tag, opened.program, lab.root)
    study = replace(study, watcher=alerts)
    limits = in_force(steering_of(store, tag), opened.limits)
    check_limits(study.researcher, limits)
    click.echo(terminal.opening_line(opened.is_new, tag, opened.program, limits))
    click.echo(terminal.trust_line(opened.row.keep_rule, study.tier))
    if names := opened.uncommitted:
        have = "has" if len(names) == 1 else "have"
        click.echo(f"{', '.join(names)} {have} uncommitted edits: the baseline is of them")
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        head = study.best() or study.experiments()[0]
        tree = lab.lay_out(head.commit or "HEAD", Path(folder, "desk"), opened.program.editable)
        try:
            lines = check(study.researcher, tree)
        except Unavailable as error:
            raise UserError(f"{error}: nobody else proposes, so begin when it is there") from error
        for line in lines:
            click.echo(clean_line(line, 300))
    prepare_first(study)
    with telling(alerts):
        with stopping(stop, study.watcher.stop), reporting(lab, store, tag, opened.program):
            why = research(study, opened.limits)
        alerts.ended(why)
    click.echo(f"\nStudy {tag}: {why}.")
    if words := terminal.usage_words(used_by(store, tag)):
        click.echo(f"Its proposals took {words}.")
    if why == STOPPED:
        click.echo(f"Resume it with: {resume_line(tag)}")


def check_limits(researcher: Researcher, limits: StudyLimits) -> None:
    """Raises UserError for limits that nobody could hold."""
    if is_silent(researcher) and (limits.tokens, limits.cost_usd) != (None, None):
        raise UserError(
            "no program of `cmd:` tells what it takes, so that --max-tokens and --max-cost cannot "
            "hold: use --for or --experiments instead"
        )


def notify_words(line: str) -> tuple[str, ...]:
    """The command of `--notify`. Raises UserError where it cannot be run."""
    words = split_words(line, "--notify")
    notifying.check(words)
    return words


@contextmanager
def telling(alerts: Alerts) -> Iterator[None]:
    """What ends the study is told, too, and everything that was told has its time."""
    try:
        yield
    except Exception as error:
        alerts.trouble(f"the study has ended: {error}")
        raise
    finally:
        alerts.close()


def resume_line(tag: str) -> str:
    """The same call once more, its limits included, for this study."""
    words = ["autoresearch", *sys.argv[1:]]
    named = any(word.partition("=")[0] == "--tag" for word in words)
    return shlex.join(words if named or words[1:2] != ["run"] else [*words, "--tag", tag])


def prepare_first(study: Study) -> None:
    """Prepare the packages and the data before anything is timed, and show how it goes."""
    if packages := interpreter(study.python).uncompiled():
        click.echo("compiling the Python packages, once, so that runs start sooner", err=True)
        compile_packages(packages, study.python)
    log = study.lab.home / "prepare.txt"
    log.unlink(missing_ok=True)
    tick = echo_log(log, study.stop.tick)
    with study.lab.workplace(study.tag) as place, stopping(study.stop, study.watcher.stop):
        set_up(study, place, log, tick)


@terminal.never_blocking()
def try_study(lab: Lab, store: Store, opened: opening.Opened, message: str) -> None:
    """The baseline if it is still to be run, then the person's edit."""
    tag, stop = opened.row.tag, Stop()
    study = study_of(lab, store, opened, ByHand({}, message), "hand", stop)
    prepare_first(study)
    with stopping(stop, study.watcher.stop), reporting(lab, store, tag, opened.program):
        if study.best() is None:
            why = research(study, StudyLimits(experiments=0), is_new_limit=False)
            if study.best() is None:
                raise StudyError(f"there is no baseline to try it on: {why}")
        edit = opening.hand_edit(lab, store, tag, opened.program)
        study = study_of(lab, store, opened, ByHand(edit.files, message), "hand", stop)
        study = replace(study, takes_ideas=False)
        recover(study)

        def try_it() -> str:
            while attempt(study).researcher != "hand":
                pass  # an experiment that was left open is finished first
            return "your edit was tried"

        announced(study, None, try_it)
        settle(study)
    done = study.experiments()[-1]
    click.echo(f"{done.verdict}: {done.reason}")


@terminal.never_blocking()
def open_final(lab: Lab, store: Store, tag: str, program: Program) -> None:
    """Compare the incumbent with the baseline on the sealed text, and say what it gave."""
    stop = Stop(after_this=True)  # so that the first Ctrl-C ends it
    opened = opening.Opened(store.study(tag), program, StudyLimits(), is_new=False)
    study = study_of(lab, store, opened, ByHand({}, ""), "hand", stop)
    best, is_sealed = study.best(), store.final(tag) is None

    def training(each: Experiment) -> None:
        seconds = fmean(run.figures.get("seconds", 0.0) for run in each.runs)
        time = duration(FRESH * max(seconds, program.budget_seconds))
        click.echo(f"Training #{each.number} on {FRESH} fresh seeds: about {time}.")

    with lab.lock(), stopping(stop, lambda: None):
        found = open_sealed(study, training)
    when = "opened now, and never again" if is_sealed else f"opened at {found.at}"
    click.echo(f"The sealed text of study {tag}, {when}:")
    for name, scores in (("baseline", found.baseline), (f"#{found.number}", found.best)):
        click.echo(f"  {name:9} {'  '.join(map(short, scores))}")
    if best is not None and best.number != found.number:
        click.echo(f"It was opened for #{found.number}; the best is #{best.number} now.")


@contextmanager
def counter(what: str) -> Iterator[Callable[[object], None]]:
    """Shows on a terminal how many of them are done, in a line that is gone afterwards."""
    done = 0

    def one_more(_: object) -> None:
        nonlocal done
        done += 1
        show(f"\r{done} {what}")

    def show(text: str) -> None:
        if sys.stderr.isatty():
            click.echo(text, err=True, nl=False)

    try:
        yield one_more
    finally:
        blank = " " * len(f"{done} {what}")
        show(f"\r{blank}\r")


@contextmanager
def reporting(lab: Lab, store: Store, tag: str, program: Program) -> Iterator[None]:
    """Whatever happens, what is known is written down at the end."""
    try:
        yield
    finally:
        if any(each.score is not None for each in store.experiments(tag)):
            folder = write_report(lab, store, tag, program, None)
            click.echo(f"\nReport: {folder / 'report.html'}\nChart:  {folder / 'progress.png'}")


def check_report_folder(lab: Lab, program: Program, folder: Path) -> None:
    """Raises StudyError where a report cannot be written without harm to what is there."""
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"{folder} is no folder: name one with --output")
    for name in REPORT_FILES:
        lab.place_for(folder / name, program)


def write_report(lab: Lab, store: Store, tag: str, program: Program, output: Path | None) -> Path:
    folder = output or lab.study_folder(tag)
    folder.mkdir(parents=True, exist_ok=True)
    parts.load("autoresearch.report.build:write")(lab, store, tag, program, folder)
    return folder
