"""Everything about one experiment, for its own view."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.dashboard.highlight import diff_words
from autoresearch.dashboard.reader import Reader
from autoresearch.dashboard.words import harmless, tail
from autoresearch.errors import LabError
from autoresearch.experiment import Experiment, Usage
from autoresearch.exports.experiment_json import experiment_json
from autoresearch.lab import Lab, log_path, talk_path
from autoresearch.program import Program

MOST_SETTINGS = 400


def experiment_facts(lab: Lab, path: Path, tag: str, number: int) -> dict[str, Any]:
    """All that is known. Raises StudyError when there is no such experiment."""
    with Reader(path) as reader:
        program = Program.from_contract(reader.study(tag).contract)
        each = reader.experiment(tag, number)
        used = reader.usage(tag).get(number, Usage())
        parent = reader.experiment(tag, each.parent) if each.parent is not None else None
    folder = lab.study_folder(tag)
    facts: dict[str, Any] = harmless(experiment_json(each, program, used))
    facts |= {
        "vetoed": each.vetoed,
        "undone": each.undone,
        "answer": each.answer if each.hypothesis and each.verdict else "",
        "config_changes": config_changes(parent, each),
        "diff": diff_facts(lab, program, parent, each),
        "log": tail(log_path(folder, number)),
        "talk": tail(talk_path(folder, number)),
    }
    return facts


def diff_facts(
    lab: Lab, program: Program, parent: Experiment | None, each: Experiment
) -> list[dict[str, Any]]:
    """Its change as coloured lines; none for the baseline, and where git has lost it."""
    if parent is None or parent.commit is None or each.commit is None:
        return []
    try:
        old = lab.contents(parent.commit, program.editable)
        new = lab.contents(each.commit, program.editable)
        diff = lab.diff(parent.commit, each.commit, program)
    except LabError:
        return []
    return diff_words(diff, old, new)


def config_changes(parent: Experiment | None, each: Experiment) -> list[dict[str, Any]]:
    """The settings that ran otherwise than the parent's: name, before, after."""
    before, after = (settings(one) for one in (parent, each))
    if not before or not after:
        return []
    names = [*after, *(name for name in before if name not in after)]
    changed = [name for name in names if before.get(name) != after.get(name)]
    rows = ({"name": n, "before": before.get(n), "after": after.get(n)} for n in changed)
    found: list[dict[str, Any]] = harmless(list(rows)[:MOST_SETTINGS])
    return found


def settings(each: Experiment | None) -> dict[str, Any]:
    """The configuration of the last run that told one, nested names joined by a dot."""
    runs = each.runs if each else ()
    config = next((run.config for run in reversed(runs) if run.config), {})
    return dict(flat(config))


def flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, Mapping) and len(prefix) < 200:
            found += flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found
