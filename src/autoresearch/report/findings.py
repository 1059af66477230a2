"""What a study's figures say, in words: the sentences and numbers that the reports share.

Words that an experiment wrote come out of here on one line and with nothing hidden in them, but
not yet escaped for HTML or Markdown.
"""

from collections.abc import Sequence
from math import floor, log10

from autoresearch.analysis.noise import Confidence, confidence, doubt, sealed
from autoresearch.analysis.view import StudyView, has_score, moment, score_of
from autoresearch.experiment import Experiment
from autoresearch.text import clean_line, digits_for, number, numbered, part_of, plain, visible

FULL_DIFF_LINES = 600  # more of one diff than anybody reads in a report
FULL_DIFF_CHARACTERS = 60_000
LONGEST = 400  # characters of a description or a reason


def chart_title(view: StudyView) -> str:
    """Such as "nov23: 7 experiments, 3 kept, 1.5320 → 1.4981 val_bpb"."""
    return f"{clean_line(view.tag, 32)}: {in_short(view)}"


def in_short(view: StudyView) -> str:
    """Such as "7 experiments, 3 kept, 1.5320 → 1.4981 val_bpb"."""
    count = len(view.tried)
    parts = [numbered(count, "experiment"), f"{len(view.kept)} kept"]
    if view.baseline and view.best:
        scores = dict.fromkeys((score_of(view.baseline), score_of(view.best)))
        digits = digits_for(min(scores), max(scores), 5)
        metric = clean_line(view.program.metric, 24)
        parts.append(f"{' → '.join(number(each, digits) for each in scores)} {metric}")
    return ", ".join(parts)


def headline(view: StudyView) -> str:
    """Did it work, and by how much, in one sentence."""
    metric, count = plain(view.program.metric), counted(len(view.tried), "experiment")
    if not view.closed:
        return "Nothing has finished yet"
    if not view.baseline or not view.best:
        return "No result: the baseline has no score"
    base, best = score_of(view.baseline), score_of(view.best)
    if not view.tried:
        return f"The baseline stands at {number(base)} {metric}; nothing else has been tried yet"
    if words := taken_back(view):
        return f"No kept change stands against the baseline's {number(base)} {metric}: {words}"
    if view.gain <= 0:
        return f"Nothing beat the baseline's {number(base)} {metric} in {count}"
    how = confidence(view)
    moved = "fell" if view.lower else "rose"
    part = part_of(view.gain, base)
    relative = f", {part} better than the baseline" if part else ""
    tail = " where it was chosen, but not on the sealed text" if how is Confidence.FELL else ""
    half = doubt(view).interval or 0.0
    first, last = meaningful((base, best), half)
    if how is Confidence.NOISY:
        chance = meaningful((half,), half)[0]
        relative = f", and chance alone moves it by {chance} (95% interval)"
    return f"{how.value}: {metric} {moved} from {first} to {last}{relative}{tail}"


def taken_back(view: StudyView) -> str:
    """How many were vetoed where no kept change stands for that; else empty."""
    count, is_all = len(view.vetoed), all(each.vetoed for each in view.vetoed)
    if view.kept or not count:
        return ""
    also = "" if is_all else ", or built on one that was"
    return f"{'one was' if count == 1 else f'{count} were'} vetoed{also}"


def quotable(view: StudyView) -> str:
    """The one number to quote, once the sealed text was opened; else empty."""
    final = sealed(view)
    if final is None:
        return ""
    gain, like = view.as_gain(final.difference), final.best[0]
    runs = f"{counted(len(final.best), 'seed')} against {len(final.baseline)} of the baseline"
    where = "text and seeds" if final.is_fresh else "text"
    how = f"{number(abs(gain), like=like)} {'better' if gain > 0 else 'worse'}"
    found = f"On {where} that nothing was chosen by, {runs}: {how if gain else 'no different'}"
    if final.interval is None:
        return f"{found}; one seed gives no interval."
    low, high = gain - final.interval, gain + final.interval
    doubt = ", so it may be luck" if gain and low <= 0 <= high else ""
    ends = f"{signed(low, like)} to {signed(high, like)}"
    return f"{found} (95% interval of the gain {ends}{doubt})."


def period(view: StudyView) -> str:
    """Such as "8 March 2026, 22:00 to 9 March 2026, 06:10 UTC"; empty where it is not known."""
    started, ended = moment(view.started_at), moment(view.ended_at or "")
    if not started:
        return ""
    first = f"{started:%-d %B %Y, %H:%M}"
    if not ended:
        return f"since {first} UTC, not over yet"
    last = f"{ended:%H:%M}" if started.date() == ended.date() else f"{ended:%-d %B %Y, %H:%M}"
    return f"{first} to {last} UTC"


def diff_lines(diff: str) -> list[str]:
    """The diff's lines, without anything hidden, and no more of them than anybody reads."""
    text = visible(diff[:FULL_DIFF_CHARACTERS]).rstrip("\n")
    lines = text.split("\n") if text else []
    if len(lines) > FULL_DIFF_LINES or len(diff) > FULL_DIFF_CHARACTERS:
        return [*lines[:FULL_DIFF_LINES], "[cut here: autoresearch show --diff has all of it]"]
    return lines


# ---------------------------------------------------------------------------------------------
# Numbers as text


def score_text(experiment: Experiment) -> str:
    """Its score; empty where there is none to compare."""
    return number(score_of(experiment)) if has_score(experiment) else ""


def meaningful(scores: Sequence[float], noise: float) -> list[str]:
    """Scores with two digits of their noise and no more, but with as many as tell them apart."""
    full = [number(each, digits_for(scores[0], scores[-1], 7)) for each in scores]
    if not noise:
        return full
    decimals = max(0, 1 - floor(log10(noise)))
    cut = [f"{each:.{decimals}f}" for each in scores]
    is_enough = len(set(cut)) == len(set(full)) and len(cut[0]) < len(full[0])
    return cut if is_enough else full


def signed(value: float | None, like: float | None) -> str:
    """A difference of scores, with its sign; empty where there is none."""
    if value is None:
        return ""
    return f"{'+' if value > 0 else ''}{number(value, like=like)}"


def known(value: float | None, form: str) -> str:
    """A figure that is never really 0, which stands for not known: empty."""
    return "" if not value else format(value, form)


def duration(seconds: float) -> str:
    """Such as "12.2 hours"."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def counted(count: int, noun: str) -> str:
    """Such as "one experiment", "7 experiments"."""
    return f"one {noun}" if count == 1 else numbered(count, noun)
