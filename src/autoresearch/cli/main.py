"""The command line. Every command says what it did and where to look next."""

import math
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import as_file, files
from io import StringIO
from pathlib import Path

import click

from autoresearch import __version__, git, judge, opening, parts
from autoresearch.box.stdlib import cache_folder
from autoresearch.cli import after, follow, launch, steer, terminal, watch
from autoresearch.cli.base import (
    COUNT,
    DOLLARS,
    DURATION,
    Commands,
    OrNone,
    here,
    json_text,
    leave,
    of_system,
    prepare_streams,
    reading,
    terminal_console,
)
from autoresearch.cli.status import status_json, status_of
from autoresearch.errors import AutoresearchError, LabError, Stopped, UserError
from autoresearch.experiment import Experiment, Usage
from autoresearch.exports.experiment_json import experiment_json
from autoresearch.lab import HOME, Lab, log_path, remove, talk_path
from autoresearch.program import Program
from autoresearch.researchers.settings import Settings
from autoresearch.steering.inbox import Stop
from autoresearch.steering.state import is_busy
from autoresearch.store import Store
from autoresearch.text import numbered, visible

INTRODUCTION = """Research that runs while you sleep.

\b
You write a strategy in program.md. A researcher edits train.py; each edit trains
for the same time, is scored by a judge that it cannot touch, and is kept or
reverted. In the morning there is a log, a chart and a better model.

\b
  autoresearch init my-lab && cd my-lab     three files: prepare.py train.py program.md
  autoresearch run --for 8h                 the night; Ctrl-C stops it, the same call resumes it
  autoresearch status | log | show 7        how it stands, all experiments, one of them
  autoresearch report                       the morning: report.html and progress.png
  autoresearch adopt                        the best on a branch of yours, commit by commit
  autoresearch try -m "wider MLP"           your own edit of train.py as one experiment
  autoresearch pause | note "..." | skip    steer it while it runs
  autoresearch doctor                       what protects the score on this machine

\b
No lab yet? `autoresearch demo` does real research in five minutes, on any CPU.
"""
FILES = ("prepare.py", "train.py", "program.md")


def main() -> None:
    """Exit codes: 0 well, 1 the study could not go on, 2 bad input, 130 stopped."""
    prepare_streams()
    try:
        commands(standalone_mode=False)
    except (click.exceptions.Abort, Stopped):
        sys.exit(130)
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        leave(shown.getvalue().rstrip(), 2)
    except AutoresearchError as error:
        leave(f"autoresearch: {error}", 2 if isinstance(error, UserError) else 1)
    except OSError as error:
        leave(f"autoresearch: {of_system(error)}", 1 if error.filename is None else 2)
    except sqlite3.Error as error:
        leave(f"autoresearch: the store: {error}", 1)


@click.group(
    cls=Commands, help=INTRODUCTION, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="autoresearch")
def commands() -> None:
    pass


for each in (*steer.COMMANDS, *after.COMMANDS):
    commands.add_command(each)


@commands.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make a lab: copy the three files into FOLDER, in a git repository."""
    make_lab(folder)
    click.echo(f"A lab is in {folder}: prepare.py, train.py, program.md")
    where = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"Next: {where}autoresearch run --for 8h")


@commands.command()
def prepare() -> None:
    """Prepare the data: corpus, tokenizer, tokens. Quick when all is there."""
    lab = here()
    program = Program.load(lab.root / "program.md")
    log = lab.home / "prepare.txt"
    log.unlink(missing_ok=True)
    stop = Stop()
    with terminal.never_blocking(), launch.stopping(stop, lambda: None):
        tick = launch.echo_log(log, stop.tick)
        judge.prepare(program, lab.python, lab.root, lab.root, log, tick)
    click.echo(log.read_text(errors="replace").rstrip())


@commands.command()
@click.option("--researcher", help="Who proposes: see `autoresearch researchers`.")
@click.option("--experiments", type=OrNone(click.IntRange(min=0)), help="Besides the baseline.")
@click.option("--for", "seconds", type=OrNone(DURATION), help="For the whole study: 8h, 90m.")
@click.option("--budget", type=DURATION, help="Training time of one run: 300s, 5m.")
@click.option("--tag", help="Name of the study; the same name resumes it.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of a new study (default 0).")
@click.option("--keep-rule", help="confirm (default), or greedy: any decrease, as the original.")
@click.option("--require-tier", type=click.IntRange(1, 3), help="Refuse to run in a weaker box.")
@click.option("--max-tokens", "tokens", type=OrNone(COUNT), help="Of all proposals: 500k, 20M.")
@click.option("--max-cost", "cost_usd", type=OrNone(DOLLARS), help="US dollars, as agents say.")
@click.option("--notify", help="A command that is told of a new best, trouble and the end.")
@click.option(
    "--agent-read",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="What more an agent may read, beside its desk; may be given again.",
)
def run(
    researcher: str | None,
    budget: float | None,
    tag: str | None,
    seed: int | None,
    keep_rule: str | None,
    require_tier: int | None,
    notify: str | None,
    agent_read: tuple[Path, ...],
    **limits: float | None,
) -> None:
    """Do research until the limits are reached. Run it again to resume, with the same limits.

    A limit that is given again replaces that one alone, and `none` lifts it: --max-cost none.
    """
    said = {name: limit for name, limit in limits.items() if limit is not None}
    wished = {name: None if limit == math.inf else limit for name, limit in said.items()}
    wishes = opening.Wishes(tag, researcher, wished, budget, seed, keep_rule)
    lab, settings = here(), Settings(grants=tuple(each.resolve() for each in agent_read))
    launch.require(require_tier or 1)
    with lab.lock(), Store(opening.store_path(lab)) as store:
        launch.run_study(lab, store, wishes, settings, notify)


@commands.command(name="try")
@click.option("-m", "--message", required=True, help="What the edit is, in one line.")
@click.option("--tag", help="Name of the study (default: the last one).")
@click.option("--budget", type=DURATION, help="Training time of one run, for a new study.")
def try_edit(message: str, tag: str | None, budget: float | None) -> None:
    """Take your own uncommitted edit of train.py as one experiment."""
    lab = here()
    with lab.lock(), Store(opening.store_path(lab)) as store:
        wishes = opening.Wishes(
            opening.last_run(store) if tag is None else tag, budget_seconds=budget
        )
        opened = opening.open_study(lab, store, wishes, from_head=True)
        if any(
            each.is_kept for each in store.experiments(opened.row.tag)
        ):  # say now what would only fail later
            opening.hand_edit(lab, store, opened.row.tag, opened.program)
        launch.try_study(lab, store, opened, message)


@commands.command()
@click.option("--tag", help="Which study (default: the last one).")
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
@click.option("--events", is_flag=True, help="What happened beside them: refusals, outages, ...")
def log(tag: str | None, as_json: bool, events: bool) -> None:
    """All experiments of a study."""
    with reading(tag) as (lab, store, found, program):
        experiments = store.experiments(found)
        if as_json:
            used = store.usage(found)
            rows = [
                experiment_json(each, program, used.get(each.number, Usage()))
                for each in experiments
            ]
            click.echo(json_text(rows))
        elif events:
            click.echo("\n".join(terminal.event_lines(store.events(found))))
        else:
            terminal_console().print(
                terminal.log_table(experiments, program.metric, is_busy(lab, store, found))
            )
            if experiments and experiments[0].is_imported:
                click.echo("\nImported: it says nothing of times, seeds or the machine.")


@commands.command()
@click.option("--tag", help="Which study (default: the last one).")
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
@click.option("--watch", is_flag=True, help="Follow it live, until Ctrl-C or q.")
def status(tag: str | None, as_json: bool, watch: bool) -> None:
    """How a study stands."""
    if as_json and watch:
        raise UserError("--json and --watch do not go together: leave one out")
    with reading(tag) as (lab, store, found, program):
        if watch:
            follow.follow(lab, store, found, program)
            return
        facts = status_json(status_of(lab, store, found, program, store.experiments(found)))
        if as_json:
            click.echo(json_text(facts))
        else:
            click.echo("\n".join(terminal.status_lines(facts)))


@commands.command()
@click.argument("number", type=int)
@click.option("--tag", help="Which study (default: the last one).")
@click.option("--diff", is_flag=True, help="Only its change, as a diff.")
@click.option("--log", "show_log", is_flag=True, help="Only what it printed.")
@click.option("--talk", is_flag=True, help="Only what the agent said and did.")
def show(number: int, tag: str | None, diff: bool, show_log: bool, talk: bool) -> None:
    """One experiment: what it was, its change, how it went."""
    with reading(tag) as (lab, store, found, program):
        experiments = store.experiments(found)
        each = store.experiment(found, number)
        change = diff_of(lab, program, experiments, each)
        if diff:
            click.echo(visible(change) if sys.stdout.isatty() else change, nl=False)
        elif show_log:
            click.echo(terminal.log_text(log_path(lab.study_folder(found), number)))
        elif talk:
            talk_file = talk_path(lab.study_folder(found), number)
            click.echo(terminal.log_text(talk_file, "nobody said anything"))
        else:
            used = store.usage(found).get(number, Usage())
            click.echo(
                "\n".join(
                    terminal.experiment_lines(each, program, used, is_busy(lab, store, found))
                )
            )
            click.echo("\n" + change, nl=False)


@commands.command()
@click.option("--tag", help="Which study (default: the last one).")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the files.")
@click.option("--final", is_flag=True, help="Open the sealed text, once: the number to quote.")
def report(tag: str | None, output: Path | None, final: bool) -> None:
    """Write report.html, report.md, progress.png and results.tsv."""
    with reading(tag) as (lab, store, found, program):
        if output is not None:
            launch.check_report_folder(lab, program, output)
        if final:
            opening.check_not_imported(store, found)
            launch.open_final(lab, store, found, program)
        folder = launch.write_report(lab, store, found, program, output)
    click.echo(f"Report: {folder / 'report.html'}")


@commands.command()
def researchers() -> None:
    """Who can propose: the agents that are known, and which of them are installed."""
    click.echo(parts.load("autoresearch.researchers.roster:roster")())


@commands.command()
def doctor() -> None:
    """Attack the box on this machine, and say which protections hold."""
    click.echo("Attacking a lab of its own, for about a minute.\n")
    check, table = (
        parts.load(f"autoresearch.attacks.doctor:{name}") for name in ("check", "table")
    )
    place = tempfile.TemporaryDirectory(prefix=".doctor-", dir=place_to_attack())
    with place as folder, launch.counter("attacks") as one_more:
        found = check(Path(folder), on_result=one_more)
    click.echo(table(found))
    sys.exit(0 if found.is_sound else 1)


def place_to_attack() -> Path:
    """Where we are, if that can be written: a box hides /tmp and home anyway, which proves less."""
    return Path() if os.access(".", os.W_OK) else cache_folder()


@commands.command()
@click.argument("folder", default="demo", type=click.Path(path_type=Path))
@click.option("--experiments", default=6, show_default=True, type=click.IntRange(min=1))
@click.option("--budget", type=DURATION, default="20s", show_default=True)
def demo(folder: Path, experiments: int, budget: float) -> None:
    """Real research in five minutes: a small lab in FOLDER, no GPU, no key."""
    if folder.exists() and any(folder.iterdir()) and not (folder / HOME).is_dir():
        raise LabError(f"{folder} is no lab of ours: name another one, `autoresearch demo FOLDER`")
    if not (folder / "program.md").exists():
        make_lab(folder)
        script = folder / "train.py"
        script.write_text(script.read_text().replace("SIZED_FOR = None", "SIZED_FOR = 300"))
    lab = Lab.open(folder)
    click.echo(
        f"A lab is in {folder}: its train.py trains a small GPT on Python's own sources. The model "
        "is\nsized for runs of five minutes on purpose, so that there is something to find."
    )
    edits = numbered(experiments, "edit")
    click.echo(f"The researcher `knobs` will try {edits}, {budget:g} s of training each.\n")
    with lab.lock(), Store(opening.store_path(lab)) as store:
        launch.run_study(
            lab, store, opening.Wishes("demo", "knobs", {"experiments": experiments}, budget)
        )
    click.echo(f"\nLook around: cd {folder}, then autoresearch log | show 1 | report --final | run")


commands.add_command(watch.watch)


# what the commands share


def make_lab(folder: Path) -> None:
    """Copy the three files; never over a file that is there."""
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise LabError(f"{folder / there[0]} is already there: a lab is made only where none is")
    with whole_or_nothing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if git.toplevel(folder) is None:
            git.run(folder, "init", "--quiet", "--initial-branch", "main")
        with as_file(files("autoresearch.labs") / "gpt") as template:
            for name in FILES:
                shutil.copyfile(template / name, folder / name)
        lab = Lab.open(folder)
        if lab.head() is None:
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text(f"/{HOME}/\n__pycache__/\n/.venv/\n")
            git.run(
                folder, "add", "--force", "--", *FILES, ".gitignore"
            )  # whatever else it ignores
            git.run(folder, "commit", "--quiet", "-m", "A lab: prepare.py, train.py, program.md")


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[None]:
    """After an error in the block nothing of a lab is left that was not there before."""
    paths = [folder / name for name in (*FILES, ".gitignore", ".git")]
    new = [each for each in (*paths, folder, *folder.absolute().parents) if not each.exists()]
    try:
        yield
    except BaseException:
        for each in new:
            with suppress(OSError):
                if each.name == ".git":
                    remove(each)
                elif each.is_dir():
                    each.rmdir()
                else:
                    each.unlink()
        raise


def diff_of(
    lab: Lab, program: Program, experiments: tuple[Experiment, ...], each: Experiment
) -> str:
    parent = next((one for one in experiments if one.number == each.parent), None)
    if parent is None or parent.commit is None or each.commit is None:
        return ""
    return lab.diff(parent.commit, each.commit, program)
