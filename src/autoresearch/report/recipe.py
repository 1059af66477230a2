"""How to take the best over, and how to make its number again: commands and facts."""

import shlex

from autoresearch.analysis.noise import Confidence, confidence
from autoresearch.analysis.view import StudyView, run_scores, score_of
from autoresearch.experiment import UNKNOWN_SEED, Experiment
from autoresearch.program import Commands
from autoresearch.report.findings import known
from autoresearch.text import clean_line, number, plain

BY_HAND = (
    'AUTORESEARCH_ARTIFACT="$PWD/artifact" AUTORESEARCH_TREE="$PWD" '
    'AUTORESEARCH_RESULT="$PWD/result.json"'
)
Pairs = list[tuple[str, str]]


def adopt(view: StudyView) -> list[str]:
    """In the lab: one commit for each kept change on a branch, ready for a pull request. Nothing
    while the gain is within what chance does."""
    tag = shlex.quote(plain(view.tag))
    is_better = view.best is not None and view.best.number > 0 and view.gain > 0
    if not is_better or confidence(view) is Confidence.NOISY:
        return []
    return [f"autoresearch adopt --tag {tag}"] if _has_commits(view) else []


def reproduce(view: StudyView) -> list[str]:
    """From a clone of the lab to the best score, by hand and without the engine.

    Nothing for an imported log: its files are where it came from.
    """
    program, best = view.program, view.best
    if view.is_imported and not (best and best.commit):
        return []
    where = plain(best.commit) if best and best.commit else f"autoresearch/{plain(view.tag)}"
    seeds = seeds_of(best) if best else []
    given = [f"AUTORESEARCH_BUDGET={program.budget_seconds:g}"] if program.budget_seconds else []
    given += [f"AUTORESEARCH_SEED={seeds[0]}"] if seeds else []
    lines = [
        f"git switch --detach {shlex.quote(where)}",
        plain(shlex.join(program.commands.prepare)),
        plain(" ".join((*given, shlex.join(program.commands.train)))),
    ]
    if program.commands.score == Commands().score:  # its train.py says its score by hand, too
        return lines
    lines.insert(2, f"export {BY_HAND}")
    return [*lines, plain(shlex.join(program.commands.score)), "cat result.json"]


def once_more(view: StudyView) -> list[str]:
    """The whole study again, with the engine."""
    if not view.researcher or view.is_imported:
        return []
    words = ["autoresearch", "run", "--tag", f"{plain(view.tag)}-again"]
    words += ["--researcher", plain(view.researcher), "--experiments", str(len(view.tried))]
    words += ["--budget", f"{view.program.budget_seconds:g}s"]
    words += ["--seed", str(view.seed)] if view.seed is not None else []
    words += ["--keep-rule", plain(view.keep_rule)] if view.keep_rule else []
    return [plain(shlex.join(words))]


def seeds_of(each: Experiment) -> list[int]:
    """Of its scored runs, as far as they are known."""
    return [run.seed for run in each.runs if run.score is not None and run.seed != UNKNOWN_SEED]


def facts(view: StudyView) -> Pairs:
    """What else has to be the same, as far as it is known."""
    program = view.program
    found = [
        ("Metric", f"{program.metric}, {program.direction} is better"),
        *_of_the_best(view),
        ("Baseline's commit", view.baseline.commit_name if view.baseline else ""),
        ("Training time", known(program.budget_seconds, "g") + " seconds a run"),
        ("Editable", ", ".join(program.editable)),
        ("Locked", ", ".join(program.locked)),
        ("Researcher", "" if view.is_imported else view.researcher),
        ("Keep rule", view.keep_rule),
        ("Seed of the study", "" if view.seed in (None, UNKNOWN_SEED) else str(view.seed)),
        *view.data.items(),
    ]
    told = [(name, clean_line(text)) for name, text in found]
    return [(name, text) for name, text in told if text and text != "seconds a run"]


def _of_the_best(view: StudyView) -> Pairs:
    best = view.best
    if best is None:
        return []
    return [
        ("Best", f"#{best.number}: {number(score_of(best))}"),
        ("Its runs", ", ".join(number(each) for each in run_scores(best))),
        ("Their seeds", ", ".join(map(str, seeds_of(best)))),
        ("Its commit", best.commit_name),
    ]


def machine(view: StudyView) -> Pairs:
    return [(name, clean_line(text)) for name, text in view.machine.items()]


def _has_commits(view: StudyView) -> bool:
    return all(each.commit for each in view.kept) and bool(view.baseline and view.baseline.commit)
