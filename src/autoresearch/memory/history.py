"""A study's memory: what the next researcher finds in `history/`, and whether an edit is new.

What follows from an experiment is computed once and kept below the study's folder, in one file for
each: a new proposal costs the work for the latest experiment, and the copying of the others. A file
that a kill or a power cut left in halves is no JSON any more, and is made again.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from autoresearch.experiment import Experiment
from autoresearch.keep import Confirm, KeepRule
from autoresearch.lab import Lab, log_path, remove
from autoresearch.memory.sheet import log_end, sheet, shown_diff
from autoresearch.memory.summary import summary
from autoresearch.program import Program
from autoresearch.source.change import Theme, fingerprint, touched
from autoresearch.store import INTERRUPTED, RUNNING
from autoresearch.text import write_whole

Pair = tuple[int, str, str]  # the number of an experiment, its parent's commit, its own
AT_ONCE = 200  # commits whose files are read together
FORM = 2  # of what is kept; another one makes all of it anew


@dataclass(frozen=True, slots=True)
class Page:
    """What is kept of one experiment."""

    key: str  # of which experiment, and in which form
    fingerprint: str  # of its editable files; "" where nothing was proposed
    themes: tuple[Theme, ...]
    sheet: str  # 0007.md
    diff: str  # 0007.diff; "" where there is none

    @classmethod
    def read(cls, path: Path, key: str) -> "Page | None":
        """The page in a file; None where there is none, half of one, or another one's."""
        try:
            facts = json.loads(path.read_bytes())
            themes = tuple(Theme(**each) for each in facts.pop("themes"))
            page = cls(themes=themes, **facts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return page if page.key == key else None


@dataclass(frozen=True, slots=True)
class Memory:
    """What a study remembers. `history` is always all of its finished experiments."""

    lab: Lab
    tag: str
    program: Program
    rule: KeepRule = field(default_factory=Confirm)

    def lay_out(self, history: tuple[Experiment, ...], folder: Path) -> None:
        """Write `README.md`, and `0007.md` and `0007.diff` of each experiment, into `folder`.

        The folder is made; what stood in its place is gone.
        """
        if folder.is_symlink():
            folder.unlink()
        remove(folder)
        folder.mkdir(parents=True)
        themes = {}
        for each, page in self._pages(history):
            themes[each.number] = page.themes
            (folder / f"{each.number:04d}.md").write_text(page.sheet, encoding="utf-8")
            if page.diff:
                (folder / f"{each.number:04d}.diff").write_text(page.diff, encoding="utf-8")
        text = summary(history, themes, self.program, rule=self.rule)
        (folder / "README.md").write_text(text, encoding="utf-8")

    def twin(
        self, history: tuple[Experiment, ...], files: Mapping[str, bytes]
    ) -> Experiment | None:
        """The first experiment that ran with these editable files, whatever their formatting."""
        mark = fingerprint(files)
        twins = (each for each, page in self._pages(history) if page.fingerprint == mark)
        return next(filter(has_run, twins), None)

    def known(self, history: tuple[Experiment, ...]) -> dict[int, Page]:
        """The pages that are there, by number. For readers: nothing is written, here and below."""
        read = (
            (each, Page.read(self._home / f"{each.number:04d}.json", key_of(each)))
            for each in history
        )
        return {each.number: page for each, page in read if page}

    def themes(
        self, history: tuple[Experiment, ...], known: Mapping[int, Page]
    ) -> dict[int, tuple[Theme, ...]]:
        """Where each change was made, by number."""
        by_number, unknown = {each.number: each for each in history}, list[Pair]()
        found = {number: page.themes for number, page in known.items()}
        for each in history:
            parent = None if each.parent is None else by_number.get(each.parent)
            if each.number not in known and each.commit and parent and parent.commit:
                unknown.append((each.number, parent.commit, each.commit))
        for first in range(0, len(unknown), AT_ONCE):
            found |= self._touched(unknown[first : first + AT_ONCE])
        return {number: themes for number, themes in found.items() if themes}

    def marks(self, history: tuple[Experiment, ...], known: Mapping[int, Page]) -> dict[str, int]:
        """The fingerprints of the files of all that ran, each with the first that had it."""
        ran = list(filter(has_run, history))
        found = {
            each.number: known[each.number].fingerprint for each in ran if each.number in known
        }
        unknown = [each for each in ran if each.number not in known]
        for first in range(0, len(unknown), AT_ONCE):
            some = unknown[first : first + AT_ONCE]
            commits = [str(each.commit) for each in some]
            files = self.lab.contents_of(commits, self.program.editable)
            for each, commit in zip(some, commits, strict=True):
                if files[commit]:
                    found[each.number] = fingerprint(files[commit])
        return {found[number]: number for number in sorted(found, reverse=True)}

    @property
    def _home(self) -> Path:
        return self.lab.study_folder(self.tag) / "history"

    def _touched(self, pairs: Sequence[Pair]) -> dict[int, tuple[Theme, ...]]:
        commits = [commit for _, *both in pairs for commit in both]
        files = self.lab.contents_of(commits, self.program.editable)
        return {
            number: touched(files[before], files[after])
            for number, before, after in pairs
            if files[before] and files[after]
        }

    def _files(self, commit: str) -> Mapping[str, bytes]:
        """The editable files of a commit; none where git has lost it."""
        return self.lab.contents_of([commit], self.program.editable)[commit]

    def _pages(self, history: tuple[Experiment, ...]) -> Iterator[tuple[Experiment, Page]]:
        """The page of each experiment, made where it is not there."""
        home = self._home
        home.mkdir(parents=True, exist_ok=True)
        by_number = {each.number: each for each in history}
        for each in history:
            path, key = home / f"{each.number:04d}.json", key_of(each)
            page = Page.read(path, key)
            if page is None:
                parent = None if each.parent is None else by_number.get(each.parent)
                page = self._page(each, parent, key)
                write_whole(path, json.dumps(asdict(page)))
            yield each, page

    def _page(self, each: Experiment, parent: Experiment | None, key: str) -> Page:
        mark, themes, diff = "", tuple[Theme, ...](), ""
        if each.commit is not None and (after := self._files(each.commit)):
            mark = fingerprint(after)
            if parent and parent.commit and (before := self._files(parent.commit)):
                themes = touched(before, after)
                diff = shown_diff(self.lab.diff(parent.commit, each.commit, self.program))
        path = log_path(self.lab.study_folder(self.tag), each.number)
        log = log_end(path) if each.runs else []  # without a run it is of the tag's study before
        return Page(key, mark, themes, sheet(each, parent, themes, self.program, log), diff)


def key_of(experiment: Experiment) -> str:
    """Another one for whatever would give another page. A finished experiment never changes,
    but for a veto, but a tag may be used again, and another Python has other syntax trees."""
    version = f"{FORM} {sys.version_info.major}.{sys.version_info.minor}"
    return f"{version} {experiment.commit} {experiment.finished_at} {experiment.standing}"


def has_run(experiment: Experiment) -> bool:
    """Whether a run of it came to an end: one that was cut short from outside says nothing."""
    outcomes = {run.outcome for run in experiment.runs} - {RUNNING, INTERRUPTED}
    return experiment.commit is not None and bool(outcomes)
