"""The desk: a private place in which a researcher edits, and the look at what it did there.

The tree is a git repository of its own, so that an agent that calls git there finds that one and
never the lab's. It is thrown away; what counts are the bytes of the editable files. Everything is
committed there, the history too: agents do not read what git ignores.
"""

from collections.abc import Mapping
from pathlib import Path

from autoresearch import git
from autoresearch.errors import ExperimentError, Failed
from autoresearch.experiment import Experiment
from autoresearch.lab import Lab
from autoresearch.memory import Memory
from autoresearch.program import Program

HISTORY = "history"
# Nothing waits for the disk, and one pack holds what would be a file for each page of the history.
HASTY = ("-c", "core.fsync=none", "-c", "core.bigFileThreshold=1")


def lay_out(
    lab: Lab,
    memory: Memory,
    program: Program,
    parent: Experiment,
    history: tuple[Experiment, ...],
    folder: Path,
) -> Path:
    """Write the desk of the next proposal into a new folder; returns it."""
    assert parent.commit is not None
    tree = lab.lay_out(parent.commit, folder)
    for name in ("program.md", HISTORY):  # a lab that has such a thing itself: ours goes before
        lab_entry = tree / name
        if lab_entry.is_symlink() or lab_entry.is_file():
            lab_entry.unlink()
    (tree / "program.md").write_text(program.body, encoding="utf-8", errors="replace")
    memory.lay_out(history, tree / HISTORY)
    git.run(tree, "init", "--quiet", "--template=", "--initial-branch", "desk")
    git.run(tree, "add", "--all", "--force", options=HASTY)
    message = f"experiment {parent.number}"
    git.run(tree, "commit", "--quiet", "--no-verify", "-m", message, options=HASTY)
    for name in program.locked:
        if (tree / name).is_file() and not (tree / name).is_symlink():
            (tree / name).chmod(0o444)
    return tree


def check(
    lab: Lab,
    memory: Memory,
    program: Program,
    parent: Experiment,
    history: tuple[Experiment, ...],
    tree: Path,
) -> Mapping[str, bytes]:
    """The editable files as the researcher left them.

    Raises Invalid when a rule was broken, Failed when there is nothing new in them.
    """
    assert parent.commit is not None
    files = lab.check_desk(tree, program, parent.commit)
    twin = memory.twin(history, files)
    if twin is None:
        return files
    if twin.number == parent.number:
        raise Failed("the proposal changes nothing but formatting or comments")
    page = f"{HISTORY}/{twin.number:04d}.md"  # not its reason: that may quote a log
    raise Failed(f"equal to experiment #{twin.number} ({twin.verdict}), see {page}")


def objection(
    lab: Lab,
    memory: Memory,
    program: Program,
    parent: Experiment,
    history: tuple[Experiment, ...],
    tree: Path,
) -> str:
    """What check() would raise, as a sentence; "" for nothing."""
    try:
        check(lab, memory, program, parent, history, tree)
    except ExperimentError as error:
        return str(error)
    return ""
