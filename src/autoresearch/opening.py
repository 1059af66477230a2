"""From a person's words to a study that can run: found again, or begun with its baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from autoresearch import git, keep, machine
from autoresearch.budget import StudyLimits
from autoresearch.errors import LabError, StudyError
from autoresearch.experiment import IMPORTED, Experiment, Verdict, incumbent
from autoresearch.lab import Lab, valid_tag
from autoresearch.ledger import used_by, waited
from autoresearch.memory.history import Memory
from autoresearch.program import Program
from autoresearch.source.change import fingerprint
from autoresearch.steering.state import LIMITED, in_force, limits_event, resumed, steering_of
from autoresearch.store import Store, StudyRow


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person asked for on the command line. None: not said."""

    tag: str | None = None
    researcher: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)  # of StudyLimits's; None: lifted
    budget_seconds: float | None = None
    seed: int | None = None
    keep_rule: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A study's row, its program as the study keeps to it, and what it may still use."""

    row: StudyRow
    program: Program
    limits: StudyLimits
    is_new: bool
    uncommitted: tuple[str, ...] = ()  # files of the baseline that are not as HEAD has them


def store_path(lab: Lab) -> Path:
    return lab.home / "autoresearch.db"


def open_study(lab: Lab, store: Store, wishes: Wishes, *, from_head: bool = False) -> Opened:
    """Resume the study that is meant, or begin it.

    `from_head` takes the baseline as HEAD has it, not as it lies on the disk: the edit on the
    disk is then the first experiment.
    """
    program = Program.load(lab.root / "program.md")
    if wishes.budget_seconds is not None:
        program = replace(program, budget_seconds=wishes.budget_seconds)
    if wishes.keep_rule is not None:
        keep.rule_named(wishes.keep_rule)
    tag = choose_tag(lab, store, program, wishes) if wishes.tag is None else valid_tag(wishes.tag)
    check_not_imported(store, tag)
    state = steering_of(store, tag)
    limits = resumed(state, program, wishes.limits)
    if tag in store.tags() and has_no_result(store.experiments(tag)):
        limits = in_force(state, limits)
        lab.agree(tag, {})
        store.forget(tag)
    if tag in store.tags():
        return resume(lab, store.study(tag), program, wishes, limits, store)
    if tag in lab.tags():
        raise StudyError(
            f"git has a study {tag} already: of another lab in this repository, or one whose store "
            f"is gone. Choose --tag NAME, or drop its branch autoresearch/{tag} and what "
            f"`git for-each-ref refs/autoresearch/{tag}` lists."
        )
    return begin(lab, store, tag, program, wishes, limits, from_head)


def choose_tag(lab: Lab, store: Store, program: Program, wishes: Wishes) -> str:
    """The last study while it has something left to do, else a new one named after the day."""
    tags = store.tags()
    last = last_run(store)
    if last:
        state = steering_of(store, last)
        whole = in_force(state, resumed(state, program, wishes.limits))
        used, idle = used_by(store, last), waited(store, last)
        if not whole.spent(store.experiments(last), used, idle):
            return last
    today = datetime.now().strftime("%b%d").lower()
    names = [today, *(f"{today}-{number}" for number in range(2, 1000))]
    taken = {*tags, *lab.tags()}
    return next(name for name in names if name not in taken)


def last_run(store: Store) -> str | None:
    """The study that was worked on last; an imported one never was."""
    tags = (tag for tag in reversed(store.tags()) if store.study(tag).researcher != IMPORTED)
    return next(tags, None)


def check_not_imported(store: Store, tag: str) -> None:
    """Raises StudyError for a study that was read from a log: nothing can go on from that."""
    if tag in store.tags() and store.study(tag).researcher == IMPORTED:
        raise StudyError(
            f"study {tag} was imported from a log and cannot go on: there is nothing to start "
            "from. Begin a new one with --tag NAME."
        )


def has_no_result(experiments: tuple[Experiment, ...]) -> bool:
    """True for a study whose baseline never ran, or was not even recorded when the engine was
    killed: there is nothing in it to lose."""
    first = experiments[0] if experiments else None
    return first is None or first.commit is None or first.verdict not in (None, Verdict.KEEP)


def resume(
    lab: Lab, row: StudyRow, now: Program, wishes: Wishes, limits: StudyLimits, store: Store
) -> Opened:
    """Raises StudyError when scores from now on could not be compared with those before."""
    if wishes.keep_rule not in (None, row.keep_rule):
        raise StudyError(
            f"study {row.tag} began with --keep-rule {row.keep_rule}: one study keeps to one rule. "
            "Leave the option out, or begin a new study with --tag NAME."
        )
    kept = Program.from_contract(row.contract, now.body)
    if wishes.budget_seconds is None:
        now = replace(now, budget_seconds=kept.budget_seconds)
    changed = [
        name
        for name in ("editable", "locked", "commands", "metric", "direction", "budget_seconds")
        if getattr(now, name) != getattr(kept, name)
    ]
    if changed:
        raise StudyError(
            f"study {row.tag} began with another {' and '.join(changed)}: its scores could not be "
            "compared with new ones. Change that back, or begin a new study with --tag NAME."
        )
    commit = store.experiments(row.tag)[0].commit
    assert commit is not None
    if git.resolve(lab.repository, commit) is None:
        raise StudyError(f"study {row.tag} began at commit {commit[:7]}, which git no longer has")
    pinned = lab.contents(commit, (*now.editable, *now.locked))
    for name in now.locked:
        if (lab.root / name).is_file() and (lab.root / name).read_bytes() != pinned.get(name):
            raise StudyError(
                f"{name} has changed since study {row.tag} began, and it is locked: its scores "
                "could not be compared. Change it back, or begin a new study with --tag NAME."
            )
    return Opened(row, now.sized(pinned), limits, is_new=False)


def begin(
    lab: Lab,
    store: Store,
    tag: str,
    program: Program,
    wishes: Wishes,
    limits: StudyLimits,
    from_head: bool,
) -> Opened:
    """Snapshot the lab's files as experiment 0."""
    lab.check_branch(tag)
    contents, head = lab.disk(program), lab.head()
    committed = lab.contents(head, tuple(contents)) if head else {}
    if from_head:
        committed = {name: committed[name] for name in program.editable if name in committed}
        if missing := [name for name in program.editable if name not in committed]:
            raise LabError(f"{missing[0]} is not committed yet: commit it, then edit and try")
        if all(contents[name] == committed[name] for name in committed):
            raise StudyError(f"{', '.join(committed)}: no uncommitted edit to try")
        contents |= committed
    program = program.sized(contents)
    commit = lab.snapshot(contents, f"baseline\n\nexperiment {tag}/0", head)
    row = store.create_study(
        tag,
        program.contract(),
        seed=wishes.seed or 0,
        researcher="knobs" if wishes.researcher is None else wishes.researcher,
        machine=machine.facts(),
        keep_rule=keep.rule_named(wishes.keep_rule or "confirm").name,
    )
    store.event(tag, LIMITED, **limits_event(limits, program))
    first = store.begin(tag, None, "baseline")
    store.proposed(tag, replace(first, commit=commit, description="baseline"))
    lab.record_attempt(tag, 0, commit)
    edited = tuple(name for name in committed if is_edit(committed[name], contents[name]))
    return Opened(row, program, limits, True, () if from_head else edited)


def is_edit(before: bytes, after: bytes) -> bool:
    """Whether more than the line ends differ: those of the disk may be git's doing."""
    return before.replace(b"\r\n", b"\n") != after.replace(b"\r\n", b"\n")


@dataclass(frozen=True, slots=True)
class HandEdit:
    """A person's edit of the files of experiment `onto`."""

    files: dict[str, bytes]
    onto: int


def hand_edit(lab: Lab, store: Store, tag: str, program: Program) -> HandEdit:
    """The person's uncommitted edit, put on top of the incumbent's files.

    What the edit started from is the experiment whose files HEAD holds, or else the baseline.
    Raises StudyError when there is no edit, or when it touches lines that a kept change touched.
    """
    experiments = store.experiments(tag)
    best = incumbent(experiments, lower=program.is_lower)
    if best is None or best.commit is None:
        raise StudyError(f"study {tag} has no baseline yet: `autoresearch run` it first")
    kept = [each for each in experiments if each.is_kept and each.commit and each is not best]
    kept.append(best)
    disk = {name: (lab.root / name).read_bytes() for name in program.editable}
    head = lab.head()
    at_head = lab.contents(head, program.editable) if head else {}
    versions = [lab.contents(str(each.commit), program.editable) for each in reversed(kept)]
    base = next((each for each in versions if each == at_head), versions[-1])
    if disk == base:
        raise StudyError(f"{', '.join(program.editable)}: no uncommitted edit to try")
    ours, merged = versions[0], {}
    for name in program.editable:
        content = git.merge(lab.repository, ours[name], base[name], disk[name])
        if content is None:
            raise StudyError(
                f"your edit of {name} touches lines that experiment #{best.number} changed too. "
                f"Edit the incumbent instead: git show autoresearch/{tag}:{lab.prefix}{name}"
            )
        merged[name] = content
    history = tuple(each for each in experiments if not each.is_open)
    memory = Memory(lab, tag, program)
    number = memory.marks(history, memory.known(history)).get(fingerprint(merged))
    if number is not None:
        raise StudyError(
            f"your edit has been tried: it equals #{number}, formatting and comments aside. "
            f"See `autoresearch show {number}`"
        )
    return HandEdit(merged, best.number)
