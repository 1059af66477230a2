"""Draw a published night (a results.tsv): `python docs/images/make.py NIGHT.tsv OUT.png`"""

import csv
import sys
from pathlib import Path

from autoresearch.chart import progress_png
from autoresearch.experiment import Experiment, Verdict
from autoresearch.program import Program
from autoresearch.view import StudyView


def main() -> None:
    experiments, best = [], None
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
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
    progress_png(StudyView("overnight", Program(), tuple(experiments)), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
