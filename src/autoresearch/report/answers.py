"""The five questions of the morning, each answered in a sentence or two: the top of the page."""

import shlex
from dataclasses import dataclass

from autoresearch.analysis.noise import Confidence, confidence, is_confirmed
from autoresearch.analysis.tally import described, gain_of, lineage
from autoresearch.analysis.view import StudyView, run_scores
from autoresearch.experiment import Verdict
from autoresearch.outline import span
from autoresearch.report.belief import can_open, gain_words, load_words, protection_words
from autoresearch.report.findings import LONGEST, counted, quotable, taken_back
from autoresearch.report.learned import (
    OFTEN,
    Worth,
    causes,
    failed_places,
    fared,
    size_of,
    themes_of,
    worths,
)
from autoresearch.report.recipe import adopt
from autoresearch.report.suggestions import Suggestion, suggestions

SHORT = 60  # characters of a description within a sentence
MORE = "Let it run on, or run it again with another `--seed`"
WORKED, BELIEVE, LEARNED, TAKE, NEXT = "worked", "believe", "learned", "take", "next"


@dataclass(frozen=True, slots=True)
class Answer:
    """`key` names the part of the report that says more. Words of others are in backticks."""

    key: str
    question: str
    text: str


def answers(view: StudyView) -> list[Answer]:
    """All five of a study with a baseline; before that the first alone."""
    if not view.baseline or not view.best:
        return [Answer(WORKED, "Did it work?", worked(view))]
    return [
        Answer(WORKED, "Did it work?", worked(view)),
        Answer(BELIEVE, "By how much, and can I believe it?", believe(view)),
        Answer(LEARNED, "What did it learn?", learned(view)),
        Answer(TAKE, "What should I take over?", take(view)),
        Answer(NEXT, "What should I try next?", try_next(view)),
    ]


def worked(view: StudyView) -> str:
    if not view.closed:
        return "It is too early to say: nothing has finished."
    if not view.baseline:
        reason = span(next(iter(view.closed)).reason, LONGEST)
        return f"No: the baseline did not run{f' ({reason})' if reason else ''}."
    if not view.tried:
        return "It is too early to say: only the baseline has run."
    if view.gain <= 0:
        return f"No: {_without_gain(view)}."
    is_sure = view.best is not None and is_confirmed(view.best)
    doubt = "may be chance" if is_sure else "is not confirmed"
    openings = {
        Confidence.WORKED: "Yes",
        Confidence.SEEMS: f"It seems so, but it {doubt}",
        Confidence.NOISY: "It cannot be told: the gain is within what chance does",
        Confidence.LUCK: "Perhaps: on the sealed text the gain may be luck",
        Confidence.FELL: "No: on the sealed text the best is no better than the baseline",
    }
    kept, tried = counted(len(view.kept), "change"), counted(len(view.tried), "experiment")
    return f"{openings[confidence(view)]}. {kept.capitalize()} kept of {tried}."


def _without_gain(view: StudyView) -> str:
    if words := taken_back(view):
        return f"no kept change stands; {words}"
    scored = sum(each.verdict is Verdict.DISCARD for each in view.tried)
    if not scored and not view.kept and len(view.failed) == len(view.tried):
        return f"{_all(len(view.tried))} ended without a score"
    return f"{_none(len(view.tried))} beat the baseline"


def believe(view: StudyView) -> str:
    words = quotable(view) or gain_words(view)
    if view.gain <= 0 and view.baseline:
        runs = counted(len(run_scores(view.baseline)), "run")
        words = f"There is no gain. The baseline rests on {runs}."
    busy = load_words(view)
    warnings = (f"Other programs {busy}" if busy else "", protection_words(view))
    return " ".join((words, *warnings[: 2 if view.tier == 1 else 1])).strip()


def learned(view: StudyView) -> str:
    """The changes that carry the gain, then what did not pay, then crashes."""
    parts = [_carriers(view), _dead(view), _broken(view)]
    return " ".join(part for part in parts if part) or "Nothing yet."


def take(view: StudyView) -> str:
    if not view.best or not view.best.number:
        return "Nothing: the baseline is still the best."
    count = len(lineage(view))
    changes = "its one kept change" if count == 1 else f"its {count} kept changes"
    name = view.best.short_commit
    commit = f", commit {span(name, 12)}" if name else ""
    if confidence(view) is Confidence.NOISY:
        how = "`autoresearch report --final` measures it on fresh seeds" if can_open(view) else ""
        what = f"#{view.best.number}{commit and f'{commit},'}"
        return f"Nothing yet: the gain of {what} may be chance. {how or MORE}."
    if lines := adopt(view):
        return f"#{view.best.number}{commit}: `{lines[0]}` puts {changes} on a branch."
    return f"#{view.best.number}{commit}, which is the baseline with {changes}."


def try_next(view: StudyView) -> str:
    found = suggestions(view)
    if not found:
        return "Nothing follows from these experiments yet."
    more = f" {_more(len(found) - 1)} below." if len(found) > 1 else ""
    return f"First {span(found[0].text, 80)}: {found[0].why}.{more}"


def command(idea: Suggestion) -> str:
    """The line to type for it."""
    return f"autoresearch idea {shlex.quote(idea.text)}"


def _carriers(view: StudyView) -> str:
    """The fewest changes that make most of the gain."""
    ranked = sorted((each for each in worths(view) if each.share), key=_share, reverse=True)
    if not ranked:
        return _closest(view)
    shown, total = list[str](), 0.0
    for each in ranked[:3]:
        words = described(each.experiment, SHORT)
        shown.append(f"#{each.experiment.number} {words} ({percent(_share(each))})")
        total += _share(each)
        if total > 0.6:
            break
    if len(ranked) == 1:
        return f"All of it is {shown[0].rpartition(' (')[0]}."
    return (
        f"Most of it is {', '.join(shown)}." if total > 0.5 else f"The largest part is {shown[0]}."
    )


def _closest(view: StudyView) -> str:
    """Where nothing was kept: how near it came."""
    gains = [(gain_of(view, each), each) for each in view.tried if not each.is_taken_back]
    scored = [(gain, each) for gain, each in gains if gain is not None]
    if not scored:
        return ""
    gain, best = max(scored, key=lambda pair: (pair[0], -pair[1].number))
    words = f"The closest, #{best.number} {described(best, SHORT)}, {fared(gain)}."
    sd = view.noise.sd
    near = sum(abs(gain) <= sd for gain, _ in scored)
    if not near or not sd:
        return words
    return f"{words} One run strays by {size_of(sd)}: {near} of {len(scored)} came no farther."


def _dead(view: StudyView) -> str:
    often = [each for each in failed_places(view) if len(each.tries) > OFTEN]
    names = ", ".join(span(each.name, SHORT) for each in often[:4])
    if not names or not themes_of(view):
        return ""
    left = f" and {len(often) - 4} more" if len(often) > 4 else ""
    return f"Tried {OFTEN + 1} times or more without success: {names}{left}."


def _broken(view: StudyView) -> str:
    """How many, and the cause of most of them where there is one."""
    found = sorted(causes(view), key=lambda each: -len(each.experiments))
    if not found:
        return ""
    counts = [len(each.experiments) for each in found]
    often = ", most often" if len(found) > 1 else ""
    is_known = counts[0] > max(counts[1:], default=0) and found[0].reason
    reason = f"{often}: {span(found[0].reason, 100)}" if is_known else ""
    return f"{counted(sum(counts), 'experiment').capitalize()} ended without a score{reason}."


def _share(each: Worth) -> float:
    return each.share or 0.0


def percent(share: float) -> str:
    """Such as "42%", "0.3%"."""
    value = share * 100
    return f"{value:.0f}%" if abs(value) >= 1 or not value else f"{value:.1g}%"


def _more(count: int) -> str:
    return "One more is" if count == 1 else f"{count} more are"


def _all(count: int) -> str:
    return "its one experiment" if count == 1 else f"all {count} experiments"


def _none(count: int) -> str:
    return "its one experiment did not" if count == 1 else f"none of {count} experiments"
