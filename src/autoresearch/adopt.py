"""Taking over: the incumbent as a branch of the user's own, one commit for each kept change.

The branch starts at HEAD, and only editable files change on it. Where the user has gone on since
the study began, each change is merged into their files; what both sides changed is an error that
names the file and the experiment. HEAD, the index and the work tree are not touched, and until
the whole series is there no branch is.
"""

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoresearch import git
from autoresearch.analysis.tally import lineage
from autoresearch.analysis.view import StudyView, run_scores, score_of
from autoresearch.errors import LabError, StudyError
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.report.findings import signed
from autoresearch.text import clean_line, number, numbered, plain

LONGEST_SUBJECT, WIDTH = 72, 72
MOST_BRANCHES = 1000
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Step:
    """A kept change, and the editable files of the branch after it."""

    experiment: Experiment
    files: Files


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was made."""

    branch: str
    onto: str  # the commit that the series starts on
    steps: tuple[tuple[Experiment, str], ...]  # each with its commit
    there: tuple[Experiment, ...]  # kept changes that HEAD has already
    is_exact: bool  # the branch's files are byte for byte the best's
    stale: tuple[str, ...]  # locked files that are not what the study was measured with


def adopt(lab: Lab, view: StudyView, branch: str | None = None) -> Adopted:
    """Make the branch. Raises StudyError or LabError, and then nothing was made."""
    head = lab.head()
    if head is None:
        raise LabError("this repository has no commit yet: commit your lab, then adopt")
    changes = kept_changes(view)
    identity, name = git.person(lab.repository), branch_name(lab, view.tag, branch)
    steps = list(series(lab, view, changes, head))
    if not steps:
        raise StudyError(f"HEAD has all {len(changes)} kept changes already: nothing to adopt")
    tip, made = head, list[tuple[Experiment, str]]()
    for step in steps:
        tip = lab.snapshot(step.files, message(view, step.experiment), tip, identity)
        made.append((step.experiment, tip))
    git.new_branch(lab.repository, name, tip)
    taken = {step.experiment.number for step in steps}
    program, best = view.program, changes[-1].commit
    assert best is not None
    return Adopted(
        branch=name,
        onto=head,
        steps=tuple(made),
        there=tuple(each for each in changes if each.number not in taken),
        is_exact=steps[-1].files == lab.contents(best, program.editable),
        stale=differing(lab, first_commit(view), head, program.locked),
    )


def kept_changes(view: StudyView) -> tuple[Experiment, ...]:
    """What the best consists of, the first change first. Raises StudyError without any."""
    changes = tuple(each for each in lineage(view) if each.is_kept)
    if not changes:
        raise StudyError(f"study {view.tag} has kept nothing: there is nothing to adopt")
    missing = [each for each in (view.experiments[0], *changes) if each.commit is None]
    if missing:
        why = ": it was imported from a log" if view.is_imported else ""
        raise StudyError(
            f"study {view.tag}: git has no commit of experiment #{missing[0].number}{why}. "
            "Its changes must be made again by hand"
        )
    return changes


def first_commit(view: StudyView) -> str:
    commit = view.experiments[0].commit
    assert commit is not None
    return commit


def begun_on(lab: Lab, view: StudyView) -> str | None:
    """The user's commit below the baseline, if there was one."""
    return git.resolve(lab.repository, f"{first_commit(view)}^")


# the files


def series(lab: Lab, view: StudyView, changes: Sequence[Experiment], head: str) -> Iterator[Step]:
    """The user's files with one change after the other; what they have already is left out.

    A user who has taken over a part of the study before goes on from there. The first change is
    the user's own where the study began with an uncommitted edit: experiment 0.
    """
    names = view.program.editable
    ours = lab.contents(head, names)
    steps: Sequence[Experiment] = (view.experiments[0], *changes)
    versions = [lab.contents(str(each.commit), names) for each in steps]
    if missing := [name for name in versions[0] if name not in ours]:
        raise StudyError(f"HEAD has no {missing[0]}: commit it first, then adopt")
    origin = first_commit(view)
    if begun := begun_on(lab, view):
        versions, origin = [lab.contents(begun, names), *versions], begun
    else:
        steps = changes
    known = [place for place, version in enumerate(versions) if version == ours]
    start = known[-1] if known else 0
    for each, base, theirs in zip(
        steps[start:], versions[start:], versions[start + 1 :], strict=False
    ):
        merged = {name: merge(lab, origin, name, each, ours, base, theirs) for name in theirs}
        if merged != ours:
            yield Step(each, merged)
        ours = merged


def merge(
    lab: Lab,
    origin: str,
    name: str,
    each: Experiment,
    ours: Files,
    base: Files,
    theirs: Files,
) -> bytes:
    """A change's effect on one file. Raises StudyError where the user changed the same lines;
    `origin` is the commit that the study began on."""
    mine, old, new = (side.get(name, b"") for side in (ours, base, theirs))
    if b"\r\n" not in mine:  # HEAD keeps other line ends than the disk, as core.autocrlf has it
        old, new = old.replace(b"\r\n", b"\n"), new.replace(b"\r\n", b"\n")
    if mine in (old, new):
        return new
    merged = git.merge(lab.repository, mine, old, new)
    if merged is None and each.number == 0:
        return mine  # the user has gone on from their own edit
    if merged is None:
        raise StudyError(
            f"{name}: HEAD differs from what the study began with in the very lines that "
            f"experiment #{each.number} changed ({clean_line(each.description, 80)}).\n"
            f"Go to the commit that it began on (git switch --detach {origin[:7]}), adopt there, "
            "and merge the branch by hand."
        )
    return merged


def differing(lab: Lab, one: str, other: str, names: tuple[str, ...]) -> tuple[str, ...]:
    before, after = lab.contents(one, names), lab.contents(other, names)
    return tuple(name for name in names if before.get(name) != after.get(name))


# the branch


def branch_name(lab: Lab, tag: str, wanted: str | None) -> str:
    """A branch that is not there yet. Raises StudyError for one that is, or cannot be."""
    if wanted is not None:
        if not git.can_be_branch(lab.repository, wanted):
            raise StudyError(f"{clean_line(wanted, 80)!r} cannot be a branch's name")
        if wanted == "autoresearch" or wanted.startswith("autoresearch/"):
            raise StudyError(f"{wanted}: branches of that kind are the studies' own, name another")
        if git.resolve(lab.repository, f"refs/heads/{wanted}"):
            raise StudyError(f"there is a branch {wanted} already: name another with --branch")
        return wanted
    stem = f"adopt-{tag}" if git.resolve(lab.repository, "refs/heads/adopt") else f"adopt/{tag}"
    names = [stem, *(f"{stem}-{count}" for count in range(2, MOST_BRANCHES))]
    there = [f"{name}/" for name in git.refs(lab.repository, "refs/heads/")]
    return next(name for name in names if not is_taken(f"refs/heads/{name}/", there))


def is_taken(name: str, there: Sequence[str]) -> bool:
    """Whether there is such a branch, or one below it, which git allows as little."""
    return any(each.startswith(name) for each in there)


# the message


def message(view: StudyView, each: Experiment) -> str:
    """What a kept change was, why, and what it is worth."""
    what = said(title(view, each)) or "a kept change"
    subject = clean_line(what, LONGEST_SUBJECT)
    why = said(each.hypothesis)
    body = [wrapped(what) if subject != what else "", wrapped(why), numbers(view, each)]
    return "\n\n".join([subject, *filter(None, body)]) + "\n"


def title(view: StudyView, each: Experiment) -> str:
    if each.number == 0:
        return f"your uncommitted edit that study {view.tag} began with"
    return each.description


def said(text: str) -> str:
    """Words of an experiment, which a code host shall not take for orders: `fixes #1`, `@name`,
    `[skip ci]`."""
    words = re.sub(r"(?i)\bGH-(?=\d)|#(?=\d)", "no. ", plain(text))
    return re.sub(r"@(?=\w)", "(at)", words).translate(str.maketrans("[]", "()"))


def wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def numbers(view: StudyView, each: Experiment) -> str:
    program, score, scores = view.program, score_of(each), run_scores(each)
    delta = (
        f", {signed(each.delta, score)} against the best before" if each.delta is not None else ""
    )
    runs = ", ".join(number(one) for one in scores)
    budget = f"{program.budget_seconds:g} s of training each" if program.budget_seconds else ""
    rows = {
        program.metric: f"{number(score)}{delta} ({program.direction} is better)",
        "runs": f"{len(scores)} ({runs})" + (f", {budget}" if budget else ""),
        "experiment": f"{view.tag}/{each.number}",
    }
    return "\n".join(f"{name}: {value}" for name, value in rows.items())


# for the terminal


def adopted_lines(view: StudyView, made: Adopted, here: str, report: str) -> list[str]:
    """What was made, and what to type next. `here` is the branch that the user is on, or ""."""
    base, branch = shlex.quote(here or made.onto[:7]), shlex.quote(made.branch)
    lines = [
        f"Branch {made.branch}: {numbered(len(made.steps), 'commit')} on top of "
        f"{made.onto[:7]}{f' ({here})' if here else ''}"
    ]
    for each, commit in made.steps:
        delta = "" if each.delta is None else signed(each.delta, each.score)
        words = clean_line(title(view, each), 60)
        lines.append(f"  {commit[:7]}  #{each.number:<4} {delta:>10}  {words}")
    if made.there:
        names = ", ".join(f"#{each.number}" for each in made.there)
        lines.append(f"HEAD has already: {names}")
    lines += careful_words(view, made)
    return [
        *lines,
        f"Next: git diff {base}...{branch}",
        f"      git merge {branch}",
        f"  or: git push -u origin {branch}",
        f"      gh pr create --head {branch} --body-file {report}",
    ]


def careful_words(view: StudyView, made: Adopted) -> list[str]:
    """Whether the numbers in the messages are those of what is on the branch."""
    names = ", ".join(view.program.editable)
    best = made.steps[-1][0].number
    words = []
    if made.is_exact:
        words.append(f"{names}: byte for byte what was measured as #{best}")
    else:
        words.append(f"{names}: merged with your own changes, so not what was measured: measure it")
    if made.steps[0][0].number == 0:
        words.append("Your edit is a commit there: where it is still uncommitted, git stash first")
    if made.stale:
        words.append(
            f"{', '.join(made.stale)}: not what the study was measured with; its scores are of then"
        )
    return words
