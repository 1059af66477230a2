"""Which of two studies is ahead, in one honest sentence."""

from autoresearch.analysis.view import StudyView, score_of
from autoresearch.compare.comparison import Comparison, Lead, lead
from autoresearch.compare.differences import Weight
from autoresearch.text import clean_line, number


def headline(both: Comparison) -> str:
    """What can be said of the two, in one honest sentence."""
    one, other = both.views
    if broken := both.known(Weight.BREAKS):
        names = " and ".join(each.what for each in broken)
        verb = "differ" if len(broken) > 1 or names.endswith("s") else "differs"
        gains = "; ".join(gained(view) for view in both.views)
        return f"Not comparable, the {names} {verb}: each gain stands for itself ({gains})."
    ahead = lead(one, other)
    if ahead is None:
        empty = [clean_line(view.tag, 32) for view in both.views if not view.best]
        verb = "has" if len(empty) == 1 else "have"
        return f"Nothing to compare: {' and '.join(empty)} {verb} no score."
    if both.is_comparable is None:
        return f"If both were measured alike, which is not known: {ending(both, ahead)}."
    words = ending(both, ahead)
    opens = words.startswith(("both end", "no difference"))  # a tag is written as it is
    return f"{words[0].upper() if opens else words[0]}{words[1:]}{caution(both)}."


def gained(view: StudyView) -> str:
    if not view.baseline or view.gain <= 0:
        return f"{clean_line(view.tag, 32)} none"
    base = score_of(view.baseline)
    share = f", {view.gain / abs(base) * 100:.3g}%" if base else ""
    return f"{clean_line(view.tag, 32)} {number(view.gain, like=base)}{share}"


def ending(both: Comparison, ahead: Lead) -> str:
    """Who is ahead, and whether chance could do that."""
    one, other = both.views
    winner, loser = (other, one) if ahead.amount > 0 else (one, other)
    assert winner.best is not None
    assert loser.best is not None
    best, second = score_of(winner.best), score_of(loser.best)
    metric, name = clean_line(winner.program.metric, 24), clean_line(winner.tag, 32)
    if not ahead.amount:
        return f"both end at {number(best)} {metric}"
    by = number(abs(ahead.amount), like=best)
    scores = f"{number(best)} against {number(second)} {metric}"
    if ahead.interval is None:
        single = " and ".join(clean_line(v.tag, 32) for v in both.views if not v.noise.degrees)
        return f"{name} ends {by} better, {scores}, but {single} repeated no run: it may be chance"
    if not ahead.interval:
        return f"{name} ends {by} better, {scores}, and repeated runs score the same"
    half = number(ahead.interval, like=best)
    if ahead.is_clear:
        return f"{name} ends {by} ± {half} better (95% interval), {scores}"
    return f"no difference that chance could not make: {scores}, {by} ± {half} (95% interval)"


def caution(both: Comparison) -> str:
    """The circumstances that were not the same, such as ", with another machine"."""
    care = [each.what for each in both.known(Weight.CAREFUL)]
    return f", with another {' and '.join(care)}" if care else ""
