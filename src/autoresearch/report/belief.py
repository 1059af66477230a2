"""Can I believe it? What each number rests on, and what weakens it, in sentences."""

from autoresearch.analysis import throughput
from autoresearch.analysis.noise import doubt, is_confirmed, sealed
from autoresearch.analysis.view import StudyView, run_scores, score_of
from autoresearch.experiment import BUSY_PERCENT
from autoresearch.report.findings import counted, quotable
from autoresearch.text import digits_for, number, part_of

Points = list[tuple[str, str]]
BOXES = {
    3: "tier 3: each run was held in a box by bubblewrap and seccomp (a strong one)",
    2: "tier 2: each run was held in a box by the kernel's access rules (a medium one)",
    1: "UNPROTECTED (tier 1): no box held the runs, so that only the audit stood between an "
    "experiment and its score",
}

WHERE = "docs/judge.md"
IMPORT_WORDS = "imported from a log, which says nothing of times, seeds or the machine."


def belief(view: StudyView) -> Points:
    """(what, sentence), the weightiest first; empty while there is no baseline."""
    if not view.baseline or not view.best:
        return []
    found = [
        ("The gain", gain_words(view)),
        ("The sealed text", sealed_words(view)),
        ("Runs", runs_words(view)),
        ("Speed", speed_words(view)),
        ("Kept changes", kept_words(view)),
        ("Choosing", choosing_words(view)),
        ("Protection", protection_words(view)),
        ("Other programs", load_words(view)),
        ("Origin", IMPORT_WORDS if view.is_imported else ""),
    ]
    return [(name, words) for name, words in found if words]


def gain_words(view: StudyView) -> str:
    """Such as "0.028214 of 0.997900 (2.83%), give or take 0.0011"."""
    if view.gain <= 0 or not view.baseline or not view.best:
        return ""
    base = score_of(view.baseline)
    digits = digits_for(base, score_of(view.best), 7)
    part = part_of(view.gain, base).replace("%", "% of")
    share = f" ({part} the baseline)" if part else ""
    return f"{number(view.gain, digits, like=base)}{share}{interval_words(view)}."


def interval_words(view: StudyView) -> str:
    """What chance does to the gain, as far as runs were repeated."""
    found = doubt(view)
    if found.interval is None:
        return "; no run was repeated, so nothing here says how much of it is chance"
    if found.spread.is_none:
        return "; repeated runs scored the same: no chance shows in it"
    assert view.baseline is not None
    half = number(found.interval, like=score_of(view.baseline))
    within = " That is more than the gain: it may be chance" if found.interval >= view.gain else ""
    words = f", ± {half} (95% interval, from the spread of repeated runs)"
    return f"{words}.{within}" if within else words


def sealed_words(view: StudyView) -> str:
    if found := quotable(view):
        return found
    if view.final is not None and view.best is not None:
        return (
            f"opened for #{view.final.number}; the best is #{view.best.number} now, of which it "
            "says nothing."
        )
    if view.kept and can_open(view):
        return (
            "not opened yet: `autoresearch report --final` trains the best on fresh seeds and "
            "scores it there, once."
        )
    return ""


def can_open(view: StudyView) -> bool:
    """Whether there is a sealed text that has not been opened."""
    runs = (run for each in view.closed for run in each.runs)
    return view.final is None and any("confirm" in run.figures for run in runs)


def runs_words(view: StudyView) -> str:
    """How often each number was taken, and how far repeated ones differ."""
    assert view.baseline is not None
    assert view.best is not None
    base = f"the baseline rests on {counted(len(run_scores(view.baseline)), 'run')}"
    best = f", the best on {counted(len(run_scores(view.best)), 'run')}" if view.best.number else ""
    found = view.noise
    if not found.degrees:
        return f"{base}{best}."
    sd = number(found.sd, like=score_of(view.baseline))
    return (
        f"{base}{best}. Runs that differ in their seed only stray by {sd} (standard deviation, "
        f"{counted(int(found.degrees), 'degree')} of freedom)."
    )


def kept_words(view: StudyView) -> str:
    """How many were confirmed."""
    if not view.kept:
        return ""
    sure = sum(is_confirmed(each) for each in view.kept)
    count = len(view.kept)
    if sure == count:
        return f"{_all(count)} confirmed by another run with another seed."
    words = f"{sure} of {count} were confirmed by a second run, the others rest on one run each"
    if not sure:
        who = "it was not" if count == 1 else f"none of {count} was"
        words = f"{who} confirmed by a second run"
    return f"{words}. In simulated nights about every second keep on one run is luck ({WHERE})."


def _all(count: int) -> str:
    return {1: "it was", 2: "both were"}.get(count, f"all {count} were")


def choosing_words(view: StudyView) -> str:
    final = sealed(view)
    if view.gain <= 0 or len(view.tried) < 2 or view.noise.is_none or (final and final.is_fresh):
        return ""
    aside = "; the interval does not count that" if doubt(view).interval is not None else ""
    return (
        f"the best was chosen among {len(view.tried)} attempts by its score, so that part of the "
        f"gain may be luck{aside}."
    )


def protection_words(view: StudyView) -> str:
    return f"{BOXES[view.tier]}." if view.tier in BOXES else ""


def speed_words(view: StudyView) -> str:
    """How far the same time has not meant the same training."""
    varies, parts = throughput.variation(view), []
    if varies >= throughput.LEAST:
        parts.append(
            f"runs of one and the same file trained on up to {varies * 100:.0f}% more tokens than "
            "others, as the machine was faster or slower"
        )
    more = throughput.more_tokens(view.best, view.baseline) if view.kept and view.best else None
    if told := throughput.words(more):
        parts.append(f"those of the best trained on {told} than the baseline's")
    is_doubtful = told and varies >= throughput.LEAST and 0 < (more or 0) < 2 * varies
    doubt = " Part of the gain may be that." if is_doubtful else ""
    return f"in the same time, {'; '.join(parts)}.{doubt}" if parts else ""


def load_words(view: StudyView) -> str:
    """Of the runs that the headline compares."""
    busiest = busiest_percent(view)
    if busiest < BUSY_PERCENT:
        return ""
    return (
        f"took up to {busiest:.0f}% of the processor during the runs of the baseline and the "
        "best: part of the differences measures them."
    )


def busiest_percent(view: StudyView) -> float:
    runs = [run for each in (view.baseline, view.best) if each for run in each.runs]
    return max((run.figures.get("other_cpu_percent", 0.0) for run in runs), default=0.0)
