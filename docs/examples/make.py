"""Make the example reports again: `python docs/examples/make.py [--into FOLDER]`

overnight-125    its results.tsv, imported into a new lab and reported on by the command line
demo, recipe     their night.json: what the report read of that study, when it was taken by
                 `python docs/examples/make.py --take demo LAB`, LAB being the folder of its lab
"""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run, Usage, Verdict
from autoresearch.final import Final
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.program import Program
from autoresearch.report import build
from autoresearch.source.change import Theme
from autoresearch.store import Store

HERE = Path(__file__).parent
TAKEN = ("demo", "recipe")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--take", nargs=2, metavar=("NAME", "LAB"), help="take a lab's last night")
    parser.add_argument("--into", type=Path, default=HERE)
    wanted = parser.parse_args()
    if wanted.take:
        name, lab = wanted.take
        night = HERE / name / "night.json"
        night.parent.mkdir(exist_ok=True)
        night.write_text(json.dumps(to_json(taken(Path(lab))), indent=1) + "\n")
    overnight(wanted.into / "overnight-125")
    first_night(wanted.into / "first-night")
    for name in TAKEN:
        again(name, wanted.into)


def overnight(folder: Path) -> None:
    log = HERE / "overnight-125" / "results.tsv"
    with tempfile.TemporaryDirectory() as place:
        lab = Path(place) / "lab"
        autoresearch(Path(place), "init", str(lab))
        autoresearch(lab, "import", str(log), "--tag", "overnight-125")
        autoresearch(lab, "report", "--tag", "overnight-125", "--output", str(folder.absolute()))


def autoresearch(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "autoresearch", *words], cwd=folder, check=True)


def again(name: str, into: Path) -> None:
    """The report of a night that was taken."""
    (into / name).mkdir(parents=True, exist_ok=True)
    facts = json.loads((HERE / name / "night.json").read_text())
    build.write_view(of_json(facts), into / name)


def first_night(folder: Path) -> None:
    """Without its diffs, which `log --json` does not print, nor the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads((HERE.parent / "images" / "first-night.json").read_text())
    experiments = tuple(map(logged, rows))
    study = StudyView(
        "first-night",
        replace(Program(), budget_seconds=20.0),
        experiments,
        started_at=rows[0]["started_at"],
        ended_at=rows[-1]["finished_at"],
        researcher="knobs",
        keep_rule="greedy",
    )
    build.write_view(study, folder)


def logged(row: dict[str, Any]) -> Experiment:
    """An experiment of `log --json`; the configuration is its last run's."""
    runs = [Run(index, **run) for index, run in enumerate(row["runs"])]
    runs = [*runs[:-1], *(replace(run, config=row["config"]) for run in runs[-1:])]
    known = {each.name for each in fields(Experiment)} - {"verdict", "runs"}
    facts = {name: value for name, value in row.items() if name in known}
    return Experiment(**facts, verdict=Verdict(row["verdict"]), runs=tuple(runs))


def taken(folder: Path) -> StudyView:
    lab = Lab.open(folder)
    with Store(store_path(lab)) as store:
        tag = store.tags()[-1]
        return build.view(lab, store, tag, Program.from_contract(store.study(tag).contract))


def to_json(view: StudyView) -> dict[str, Any]:
    """Every field of the view; the program as the store keeps it."""
    return asdict(view) | {"program": view.program.contract(), "ran": sorted(view.ran)}


def of_json(facts: dict[str, Any]) -> StudyView:
    final = facts["final"]
    return StudyView(
        **facts
        | {
            "program": Program.from_contract(facts["program"]),
            "experiments": tuple(map(experiment, facts["experiments"])),
            "final": Final(**final | {each: tuple(final[each]) for each in ("baseline", "best")})
            if final
            else None,
            "themes": numbered(facts["themes"], lambda each: tuple(Theme(**one) for one in each)),
            "usage": numbered(facts["usage"], lambda each: Usage(**each)),
            "diffs": numbered(facts["diffs"], str),
            "ran": frozenset(facts["ran"]),
        }
    )


def experiment(row: dict[str, Any]) -> Experiment:
    verdict = Verdict(row["verdict"]) if row["verdict"] else None
    return Experiment(
        **row | {"verdict": verdict, "runs": tuple(Run(**one) for one in row["runs"])}
    )


def numbered(rows: dict[str, Any], read: Any) -> dict[int, Any]:
    """JSON has no numbers as keys."""
    return {int(number): read(each) for number, each in rows.items()}


if __name__ == "__main__":
    main()
