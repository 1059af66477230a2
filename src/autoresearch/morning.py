"""Builds the view of a study from the store and git, and writes what the morning reads."""

from pathlib import Path

from autoresearch.chart import progress_png
from autoresearch.experiment import Experiment, incumbent
from autoresearch.lab import Lab
from autoresearch.markdown import report_markdown
from autoresearch.program import Program
from autoresearch.report import report_html
from autoresearch.results import results_tsv
from autoresearch.store import Store
from autoresearch.text import write_whole
from autoresearch.view import StudyView

MOST_DIFFS = 500  # in one report: the kept ones and the latest


def write(lab: Lab, store: Store, tag: str, program: Program, folder: Path) -> None:
    """report.html, report.md, progress.png and results.tsv in `folder`."""
    study = view(lab, store, tag, program)
    progress_png(study, folder / "progress.png")
    for name, text in (
        ("report.html", report_html(study)),
        ("report.md", report_markdown(study)),
        ("results.tsv", results_tsv(study.experiments)),
    ):
        write_whole(folder / name, text)


def view(lab: Lab, store: Store, tag: str, program: Program) -> StudyView:
    row, experiments = store.study(tag), store.experiments(tag)
    finished = [each.finished_at for each in experiments if each.finished_at]
    best, baseline = (
        incumbent(experiments, lower=program.direction == "lower"),
        experiments[0] if experiments else None,
    )
    best_diff = ""
    if best and baseline and best.commit and baseline.commit:
        best_diff = lab.diff(baseline.commit, best.commit, program)
    return StudyView(
        tag=tag,
        program=program,
        experiments=experiments,
        started_at=row.created_at,
        ended_at=max(finished, default=None),
        machine=row.machine,
        diffs=diffs(lab, program, experiments),
        best_diff=best_diff,
        final=store.final(tag),
    )


def diffs(lab: Lab, program: Program, experiments: tuple[Experiment, ...]) -> dict[int, str]:
    """Each experiment's change against its parent."""
    commits = {each.number: each.commit for each in experiments}
    latest = {each.number for each in experiments[-MOST_DIFFS:]}
    found = {}
    for each in experiments:
        parent = commits.get(each.parent) if each.parent is not None else None
        if parent and each.commit and (each.is_kept or each.number in latest):
            found[each.number] = lab.diff(parent, each.commit, program)
    return found
