"""The workspace: a private folder in which a researcher edits, and the look at what it did there.

The tree is a git repository of its own, so that an agent that calls git there finds that one and
never the lab's. It is thrown away; what counts are the bytes of the editable files. Everything is
committed there, the history too: agents do not read what git ignores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autoresearch import git
from autoresearch.errors import ExperimentError, Failed
from autoresearch.experiment import Experiment
from autoresearch.memory.history import Memory

HISTORY = "history"
# Nothing waits for the disk, and one pack holds what would be a file for each page of the history.
HASTY = ("-c", "core.fsync=none", "-c", "core.bigFileThreshold=1")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of the next proposal, and what it starts from."""

    tree: Path
    memory: Memory
    parent: Experiment
    history: tuple[Experiment, ...]

    def lay_out(self) -> None:
        """Make the folder, with all that a researcher is to find there."""
        lab, program, tree = self.memory.lab, self.memory.program, self.tree
        assert self.parent.commit is not None
        lab.lay_out(self.parent.commit, tree)
        for name in ("program.md", HISTORY):  # a lab that has such a thing itself: ours goes before
            lab_entry = tree / name
            if lab_entry.is_symlink() or lab_entry.is_file():
                lab_entry.unlink()
        (tree / "program.md").write_text(program.body, encoding="utf-8", errors="replace")
        self.memory.lay_out(self.history, tree / HISTORY)
        git.run(tree, "init", "--quiet", "--template=", "--initial-branch", "desk")
        git.run(tree, "add", "--all", "--force", options=HASTY)
        message = f"experiment {self.parent.number}"
        git.run(tree, "commit", "--quiet", "--no-verify", "-m", message, options=HASTY)
        for name in program.locked:
            if (tree / name).is_file() and not (tree / name).is_symlink():
                (tree / name).chmod(0o444)

    def files(self) -> Mapping[str, bytes]:
        """The editable files as the researcher left them.

        Raises Invalid when a rule was broken, Failed when there is nothing new in them.
        """
        files = self._edited()
        if twin := self.memory.twin(self.history, files):
            raise Failed(self._nothing_new(twin))
        return files

    def objection(self) -> str:
        """What files() would raise, as a sentence for the researcher; "" for nothing."""
        try:
            twin = self.memory.twin(self.history, self._edited())
        except ExperimentError as error:
            return str(error)
        if twin is None:
            return ""
        page = f", see {HISTORY}/{twin.number:04d}.md"
        return self._nothing_new(twin) + ("" if twin.number == self.parent.number else page)

    def _edited(self) -> Mapping[str, bytes]:
        assert self.parent.commit is not None
        return self.memory.lab.check_desk(self.tree, self.memory.program, self.parent.commit)

    def _nothing_new(self, twin: Experiment) -> str:
        """Without its reason: that may quote a log."""
        if twin.number == self.parent.number:
            return "the proposal changes nothing but formatting or comments"
        return f"equal to experiment #{twin.number} ({twin.verdict})"
