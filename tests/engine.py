"""An engine without the command line: nothing is imported but the loop, and no report is written.

python -m tests.engine LAB EXPERIMENTS [RESEARCHER]
"""

import sys
from pathlib import Path

from rich.console import Console

from autoresearch import opening, parts
from autoresearch.cli.terminal import PlainWatcher
from autoresearch.context import Study
from autoresearch.lab import Lab
from autoresearch.store import Store
from autoresearch.study import research


def main(folder: Path, experiments: int, spec: str = "knobs") -> None:
    lab = Lab.open(folder)
    with lab.lock(), Store(opening.store_path(lab)) as store:
        opened = opening.open_study(
            lab, store, opening.Wishes("t", limits={"experiments": experiments})
        )
        researcher = parts.Late(spec) if spec == "knobs" else parts.researcher(spec)
        study = Study(
            tag="t",
            lab=lab,
            store=store,
            program=opened.program,
            researcher=researcher,
            researcher_name=spec,
            watcher=PlainWatcher(Console(), opened.program),
            python=sys.executable,
            seed=0,
        )
        research(study, opened.limits)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
