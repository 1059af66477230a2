"""The command line, after the night: take over, compare, import, export."""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from autoresearch import git, opening, parts
from autoresearch.analysis.view import StudyView
from autoresearch.cli import launch
from autoresearch.cli.base import DURATION, here, json_text, reading
from autoresearch.exports.base import FORMATS, curves_path, target
from autoresearch.store import Store
from autoresearch.text import numbered


@click.command()
@click.argument("tag")
@click.argument("other")
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
def compare(tag: str, other: str, as_json: bool) -> None:
    """Two studies side by side: what each found, and whether they can be compared."""
    data = parts.load("autoresearch.report.build:data_facts")
    side_of, compare_sides = loaded("compare.comparison", "side_of", "compare")
    comparison_json, comparison_lines = loaded(
        "compare.side_by_side", "comparison_json", "comparison_lines"
    )
    with reading(tag) as (lab, store, first, _):
        sides = [
            side_of(lab, store, each, data(lab.study_folder(each) / "prepare.json"))
            for each in (first, store.study(other).tag)
        ]
    both = compare_sides(*sides)
    if as_json:
        click.echo(json_text(comparison_json(both)))
    else:
        click.echo("\n".join(comparison_lines(both)))


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tag", help="Name of the study that it becomes (default: after the file).")
@click.option("--metric", help="What the scores are (default: as its heading says).")
@click.option("--direction", type=click.Choice(["lower", "higher"]), default="lower",
              show_default=True, help="Which scores are better.")  # fmt: skip
@click.option("--budget", type=DURATION, help="Training time of one run, if you know it.")
def import_log(
    file: Path, tag: str | None, metric: str | None, direction: str, budget: float | None
) -> None:
    """Read the original's results.tsv as a finished study."""
    lab = here()
    wanted, take_in = loaded("import_log", "Wanted", "take_in")
    with Store(opening.store_path(lab)) as store:
        study = take_in(lab, store, file, wanted(tag, metric, direction, budget))
        experiments = store.experiments(study.tag)
    kept = sum(each.is_kept for each in experiments[1:])
    click.echo(f"Study {study.tag}: {numbered(len(experiments) - 1, 'experiment')}, {kept} kept")
    click.echo(f"Next: autoresearch report --tag {study.tag}")


@click.command()
@click.argument("format", type=click.Choice(list(FORMATS)))
@click.option("--tag", help="Which study (default: the last one).")
@click.option("--output", type=click.Path(path_type=Path),
              help="File, or new folder; `-` prints csv and json.")  # fmt: skip
@click.option("--curves", is_flag=True, help="The loss curves, too.")
def export(format: str, tag: str | None, output: Path | None, curves: bool) -> None:
    """Write a study's experiments for other tools; nothing leaves the machine."""
    form, printed = FORMATS[format], output == Path("-")
    if printed and format not in ("csv", "json"):
        raise click.UsageError(f"{format} cannot be printed: name a place with --output")
    (gather,) = loaded("exports.rows", "gather")
    with reading(tag) as (lab, store, found, program):
        everything = gather(lab, store, found, program, curves)
        own = (
            lab.study_folder(found) / "exports" / f"{found if form.suffix else format}{form.suffix}"
        )
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        place = Path(folder) / f"printed{form.suffix}" if printed else (output or own)
        write = parts.exporter(form, place.absolute())
        with target(lab, program, place.absolute(), form, ours=output is None) as path:
            write(everything, path)
        if printed:
            sys.stdout.write(place.read_text(encoding="utf-8"))
            return
    beside = curves_path(place)
    more = f" and {beside}" if everything.curves and form.suffix and beside.exists() else ""
    click.echo(f"{numbered(len(everything.rows), 'experiment')} of study {found}: {place}{more}")


@click.command()
@click.option("--tag", help="Which study (default: the last one).")
@click.option("--branch", help="Name of the new branch (default: adopt/TAG).")
def adopt(tag: str | None, branch: str | None) -> None:
    """Put the best on a new branch: one commit a kept change, ready for a pull request."""
    take_over, adopted_lines = loaded("adopt", "adopt", "adopted_lines")
    with reading(tag) as (lab, store, found, program):
        view = StudyView(found, program, store.experiments(found))
        made = take_over(lab, view, branch)
        on = git.checked_out(lab.repository).removeprefix("refs/heads/")
        page = launch.write_report(lab, store, found, program, None) / "report.md"
    click.echo("\n".join(adopted_lines(view, made, on, shown(page))))


def loaded(module: str, *names: str) -> tuple[Any, ...]:
    """What only these commands need, so that no other one waits for it."""
    return tuple(parts.load(f"autoresearch.{module}:{name}") for name in names)


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


COMMANDS = (adopt, compare, import_log, export)
