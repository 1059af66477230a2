"""Builds the view of a study from the store and git, and writes what the morning reads."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.memory.history import Memory
from autoresearch.program import Program
from autoresearch.report.chart import progress_png
from autoresearch.report.html import report_html
from autoresearch.report.markdown import report_markdown
from autoresearch.report.results import results_tsv
from autoresearch.researchers.hints import space_of
from autoresearch.source.constants import settable, texts
from autoresearch.source.literals import Scalar
from autoresearch.store import Store
from autoresearch.text import clean_line, write_whole

MOST_DIFFS = 500  # in one report: the kept ones and the latest
MOST_DIGESTS = 8  # of files of a corpus


def write(lab: Lab, store: Store, tag: str, program: Program, folder: Path) -> None:
    """report.html, report.md, progress.png and results.tsv in `folder`."""
    write_view(view(lab, store, tag, program), folder)


def write_view(study: StudyView, folder: Path) -> None:
    """Where a link stands, its target is written."""
    progress_png(study, (folder / "progress.png").resolve())
    for name, text in (
        ("report.html", report_html(study)),
        ("report.md", report_markdown(study)),
        ("results.tsv", results_tsv(study.experiments)),
    ):
        write_whole((folder / name).resolve(), text)


def view(lab: Lab, store: Store, tag: str, program: Program) -> StudyView:
    row, experiments = store.study(tag), store.experiments(tag)
    finished = tuple(each for each in experiments if not each.is_open)
    memory = Memory(lab, tag, program)
    known = memory.known(finished)
    study = StudyView(
        tag=tag,
        program=program,
        experiments=experiments,
        started_at=row.created_at,
        ended_at=max(filter(None, (each.finished_at for each in finished)), default=None),
        machine=row.machine,
        diffs=diffs(lab, program, experiments),
        final=store.final(tag),
        themes=memory.themes(finished, known),
        ran=frozenset(memory.marks(finished, known)),
        usage=store.usage(tag),
        researcher=row.researcher,
        keep_rule=row.keep_rule,
        seed=row.seed,
        data=data_facts(lab.study_folder(tag) / "prepare.json"),
    )
    files = best_files(lab, study)
    found = constants(files, study.best.resolved if study.best else {})
    return replace(study, best_diff=best_diff(lab, study), files=files, constants=found)


def best_diff(lab: Lab, study: StudyView) -> str:
    """The best against the baseline."""
    best, baseline = study.best, study.experiments[0] if study.experiments else None
    if not (best and baseline and best.commit and baseline.commit):
        return ""
    pair = baseline.commit, best.commit
    return lab.diffs([pair], study.program).get(pair, "")


def best_files(lab: Lab, study: StudyView) -> Mapping[str, str]:
    """The editable files of the best; none where git has lost them."""
    commit = study.best.commit if study.best else None
    return texts(lab.contents_of([commit], study.program.editable)[commit]) if commit else {}


def constants(files: Mapping[str, str], resolved: Mapping[str, Scalar]) -> dict[str, str]:
    """Those that the built-in researcher would vary, as they are written."""
    found = settable(files, resolved)
    return {name: one.text for name, (_, one) in found.items() if space_of(one, one.value)}


def diffs(lab: Lab, program: Program, experiments: tuple[Experiment, ...]) -> dict[int, str]:
    """Each experiment's change against its parent, without those that git has lost."""
    commits = {each.number: each.commit for each in experiments}
    latest = {each.number for each in experiments[-MOST_DIFFS:]}
    pairs = dict[int, tuple[str, str]]()
    for each in experiments:
        parent = commits.get(each.parent) if each.parent is not None else None
        if parent and each.commit and (each.is_kept or each.number in latest):
            pairs[each.number] = parent, each.commit
    found = lab.diffs(pairs.values(), program)
    return {number: found[pair] for number, pair in pairs.items() if pair in found}


def data_facts(prepared: Path) -> dict[str, str]:
    """What was trained on, by its digests: of what the prepare command said of it last.

    `prepared` is where that left the manifest's path. A manifest that tells of no digests of its
    own has one of the whole; where there is no manifest any more, nothing is known.
    """
    try:
        text = Path(json.loads(prepared.read_text())["manifest"]).read_bytes()
        facts = json.loads(text)
        digests = facts.get("digests", {})
        named = [f"{name} {_short(digest)}" for name, digest in digests.items()][:MOST_DIGESTS]
        source = clean_line(Path(str(facts.get("source", ""))).name, 100)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    prints = ", ".join(named) or f"manifest {hashlib.sha256(text).hexdigest()[:16]}"
    return {"Data": source, "Data's fingerprint": prints} if source else {"Data": prints}


def _short(digest: object) -> str:
    """Size and the first digits of `501428:e428441328da...`."""
    size, colon, digits = str(digest).rpartition(":")
    return f"{size}{colon}{digits[:16]}"
