"""Draw a night again: `python docs/images/make.py NIGHT OUT.png`

NIGHT is what `autoresearch log --json` printed (NAME.json; NAME becomes the study's name), or a
results.tsv with the original's five columns.
"""

import csv
import json
import sys
from pathlib import Path

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Run, Verdict
from autoresearch.program import Program
from autoresearch.report.chart import progress_png


def main() -> None:
    night, out = map(Path, sys.argv[1:3])
    read = of_json if night.suffix == ".json" else of_tsv
    progress_png(StudyView(night.stem, Program(), tuple(read(night))), out)


def of_json(path: Path) -> list[Experiment]:
    return [
        Experiment(
            number=row["number"],
            parent=row["parent"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            commit=row["commit"],
            description=row["description"],
            verdict=Verdict(row["verdict"]),
            reason=row["reason"],
            score=row["score"],
            delta=row["delta"],
            runs=tuple(
                Run(n, run["seed"], run["outcome"], run["started_at"], run["score"])
                for n, run in enumerate(row["runs"])
            ),
        )
        for row in json.loads(path.read_text())
    ]


def of_tsv(path: Path) -> list[Experiment]:
    experiments: list[Experiment] = []
    best = None
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t")):
            score = None if row["status"] == "crash" else float(row["val_bpb"])
            one = Experiment(
                number=number,
                parent=best,
                started_at="",
                finished_at="",
                commit=row["commit"],
                description=row["description"],
                verdict=Verdict(row["status"]),
                score=score,
            )
            best = number if one.is_kept else best
            experiments.append(one)
    return experiments


if __name__ == "__main__":
    main()
