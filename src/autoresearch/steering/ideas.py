"""A person's idea that needs nobody to think: an edit of theirs, or `NAME = value`."""

from collections.abc import Mapping

from autoresearch import git
from autoresearch.errors import Failed
from autoresearch.experiment import Proposal
from autoresearch.lab import Lab
from autoresearch.researchers.base import Desk
from autoresearch.source.constants import assigned, assignments, settable, texts
from autoresearch.steering.state import Words

PERSON = "person"  # who proposes it
HYPOTHESIS = "a person's idea"


def carry_out(lab: Lab, desk: Desk, idea: Words) -> Proposal:
    """Put an exact idea on the desk. Raises Failed with why that cannot be done."""
    if idea.files is not None:
        _merge(lab, desk, idea)
    else:
        _assign(desk, assignments(idea.text))
    return proposal(idea)


def proposal(idea: Words) -> Proposal:
    """What is said of an idea's experiment; an exact one is nobody's but the person's."""
    return Proposal(idea.text, HYPOTHESIS, by=PERSON if idea.is_exact else "", heard=True)


def _merge(lab: Lab, desk: Desk, idea: Words) -> None:
    """The edit was made of some experiment's files; by now the parent may be another one."""
    origin = next((each for each in desk.history if each.number == idea.onto), None)
    if origin is None or origin.commit is None:
        raise Failed(f"the edit was made of experiment #{idea.onto}, which is not there")
    base = lab.contents(origin.commit, desk.program.editable)
    for name, text in (idea.files or {}).items():
        ours = (desk.tree / name).read_bytes()
        merged = git.merge(lab.repository, ours, base.get(name, b""), text.encode())
        if merged is None:
            raise Failed(f"the edit of {name} touches lines that a kept change has changed since")
        (desk.tree / name).write_bytes(merged)


def _assign(desk: Desk, values: Mapping[str, str]) -> None:
    """Set each constant in the first script that has it."""
    sources = texts({name: (desk.tree / name).read_bytes() for name in desk.program.editable})
    there = settable(sources, desk.parent.resolved)
    if missing := [name for name in values if name not in there]:
        raise Failed(f"no script has a constant {', '.join(missing)} to set")
    for name, source in assigned(sources, values, desk.parent.resolved).items():
        (desk.tree / name).write_bytes(source.encode())
