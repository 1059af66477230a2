"""A person's idea that needs nobody to think: an edit of theirs, or `NAME = value`."""

from collections.abc import Mapping
from pathlib import Path

from autoresearch import git
from autoresearch.constants import assignments, find_constants, rewrite
from autoresearch.errors import Failed
from autoresearch.experiment import Experiment, Proposal
from autoresearch.lab import Lab
from autoresearch.literals import Scalar
from autoresearch.program import Program
from autoresearch.steering import Words

PERSON = "person"  # who proposes it
HYPOTHESIS = "a person's idea"


def carry_out(
    lab: Lab,
    program: Program,
    idea: Words,
    history: tuple[Experiment, ...],
    parent: Experiment,
    tree: Path,
) -> Proposal:
    """Put an exact idea on the desk. Raises Failed with why that cannot be done."""
    if idea.files is not None:
        _merge(lab, program, idea, history, tree)
    else:
        _assign(program, assignments(idea.text), parent.resolved, tree)
    return proposal(idea)


def proposal(idea: Words) -> Proposal:
    """What is said of an idea's experiment; an exact one is nobody's but the person's."""
    return Proposal(idea.text, HYPOTHESIS, by=PERSON if idea.is_exact else "", heard=True)


def _merge(
    lab: Lab, program: Program, idea: Words, history: tuple[Experiment, ...], tree: Path
) -> None:
    """The edit was made of some experiment's files; by now the parent may be another one."""
    origin = next((each for each in history if each.number == idea.onto), None)
    if origin is None or origin.commit is None:
        raise Failed(f"the edit was made of experiment #{idea.onto}, which is not there")
    base = lab.contents(origin.commit, program.editable)
    for name, text in (idea.files or {}).items():
        ours = (tree / name).read_bytes()
        merged = git.merge(lab.repository, ours, base.get(name, b""), text.encode())
        if merged is None:
            raise Failed(f"the edit of {name} touches lines that a kept change has changed since")
        (tree / name).write_bytes(merged)


def _assign(
    program: Program, values: Mapping[str, str], known: Mapping[str, Scalar], tree: Path
) -> None:
    """Set each constant in the first script that has it."""
    left = dict(values)
    for name in program.editable:
        path = tree / name
        try:
            source = path.read_bytes().decode()
            here = {each: left[each] for each in find_constants(source, known) if each in left}
        except (SyntaxError, UnicodeDecodeError):
            continue
        if here:
            path.write_bytes(rewrite(source, here, known).encode())
            left = {each: value for each, value in left.items() if each not in here}
    if left:
        raise Failed(f"no script has a constant {', '.join(left)} to set")
