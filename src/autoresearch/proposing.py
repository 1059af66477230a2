"""How an experiment comes by its change: from the person where an idea waits, else from the
researcher, who edits a private copy; the edit becomes a commit."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from autoresearch.context import Study
from autoresearch.desk import Workspace
from autoresearch.errors import ExperimentError, Failed, ProgramError, Skipped
from autoresearch.experiment import Experiment, Proposal
from autoresearch.ledger import StudyLedger, used_by
from autoresearch.machine import in_short
from autoresearch.memory.history import Memory
from autoresearch.program import Program
from autoresearch.researchers.base import Desk, listens
from autoresearch.resilience import room_to_write, waited_seconds
from autoresearch.steering import ideas
from autoresearch.steering.state import Words
from autoresearch.text import clean_line


def propose(
    study: Study,
    place: Path,
    experiment: Experiment,
    history: tuple[Experiment, ...],
    withheld: tuple[Path, ...] = (),
) -> Experiment:
    """Let the researcher, who may not read what is withheld, edit a copy of the parent's files;
    commit what it did."""
    if experiment.commit is not None:  # the baseline, or taken up again
        study.watcher.proposed(experiment)
        return experiment
    parent = next(each for each in history if each.number == experiment.parent)
    memory = Memory(study.lab, study.tag, steered(study), study.rule)
    workspace = Workspace(place / "desk", memory, parent, history)
    workspace.lay_out()
    idea = study.inbox.idea(listens(study.researcher)) if study.takes_ideas else None
    try:
        proposal = ask(study, desk_in(study, workspace, experiment, idea, withheld), idea)
        files = workspace.files()
    except ExperimentError:
        if idea is not None:  # the log says what it was that failed
            study.store.proposed(study.tag, described(experiment, ideas.proposal(idea)))
        raise
    experiment = committed(study, described(experiment, proposal), parent, files)
    with study.store.at_once():
        study.store.proposed(study.tag, experiment)
        study.inbox.answer()
    study.watcher.proposed(experiment)
    return experiment


def desk_in(
    study: Study,
    workspace: Workspace,
    experiment: Experiment,
    idea: Words | None,
    withheld: tuple[Path, ...],
) -> Desk:
    """What the researcher sees of a workspace."""
    program, history = workspace.memory.program, workspace.history
    scratch = workspace.tree.with_name("scratch")
    scratch.mkdir()
    limits, waited = study.limits, waited_seconds(study)
    return Desk(
        workspace.tree, program, history, workspace.parent, experiment.number,
        seed=study.seed * 1_000_003 + experiment.number,
        ledger=ledger_of(study, experiment),
        tick=partial(study.inbox.tick, experiment.number, idea),
        objection=workspace.objection,
        scratch=scratch,
        seconds=min(program.limits.proposal_seconds, limits.seconds_left(history, waited)),
        python=study.python,
        machine=in_short(study.store.study(study.tag).machine),
        left=limits.left(history, used_by(study.store, study.tag), waited),
        withheld=withheld,
    )  # fmt: skip


def committed(
    study: Study, experiment: Experiment, parent: Experiment, files: Mapping[str, bytes]
) -> Experiment:
    """With the commit of its files, on top of its parent's."""
    message = (
        f"{experiment.description}\n\n{experiment.hypothesis}\n\n"
        f"experiment {study.tag}/{experiment.number}"
    )
    commit = study.lab.snapshot(files, message, parent.commit)
    study.lab.record_attempt(study.tag, experiment.number, commit)
    return replace(experiment, commit=commit)


def ask(study: Study, desk: Desk, idea: Words | None) -> Proposal:
    """The person's idea where one waits, and else the researcher's own, with the person's notes."""
    inbox, number, notes = study.inbox, desk.number, study.inbox.state.notes
    if idea is not None and idea.is_exact:
        inbox.hears((), idea, number)
        return ideas.carry_out(study.lab, desk, idea)
    said = tuple(each.text for each in notes)
    told = replace(desk, notes=said, idea="" if idea is None else idea.text)
    try:
        proposal = study.researcher.propose(told)
    except Failed as error:
        if error.heard and listens(study.researcher):
            inbox.hears(notes, idea, number)
        raise
    except Skipped:
        if number in inbox.state.skips:  # its idea is over, too
            inbox.hears((), idea, number)
        raise
    if proposal.heard and listens(study.researcher):
        inbox.hears(notes, idea, number)
    return proposal


def described(experiment: Experiment, proposal: Proposal) -> Experiment:
    """With the words of its proposal, made harmless."""
    return replace(
        experiment,
        description=clean_line(proposal.description, 200) or "no description",
        hypothesis=clean_line(proposal.hypothesis, 800),
        details=proposal.details,
        researcher=proposal.by or experiment.researcher,
    )


def ledger_of(study: Study, experiment: Experiment) -> StudyLedger:
    return StudyLedger(
        study.store,
        study.tag,
        experiment.number,
        experiment.researcher,
        study.folder,
        lambda: study.limits,
        study.watcher.note,
        partial(study.watcher.spent, experiment),
        partial(room_to_write, study),
    )


def steered(study: Study) -> Program:
    """The program with the strategy as it stands on the disk now: a person may steer by editing."""
    try:
        body = Program.load(study.lab.root / "program.md").body
    except (ProgramError, OSError) as error:
        study.watcher.note(f"program.md cannot be read, its last text goes on: {error}")
        return study.program
    return replace(study.program, body=body)
