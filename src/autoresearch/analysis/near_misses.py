"""Near misses: discarded changes that may be worth another look, and what counts as near."""

from autoresearch.analysis.tally import REWRITE, Themes, gain_of, places, values_now
from autoresearch.analysis.view import StudyView, score_of, spread_of
from autoresearch.experiment import Experiment, Verdict


def near_misses(view: StudyView, themes: Themes) -> list[tuple[float, Experiment]]:
    """Those that lost less than is usual, unless their place has won since; the closest first.

    One for each place, with its gain.
    """
    bound, now, won = usual(view), values_now(view, themes), dict[str, int]()
    for each in view.kept:
        won |= dict.fromkeys(places(themes, each), each.number)
    close: dict[tuple[object, ...], tuple[float, Experiment]] = {}
    for each in view.tried:
        gain, names = gain_of(view, each), places(themes, each)
        settled = any(won.get(name, 0) > each.number for name in names if name != REWRITE)
        changed = themes.get(each.number, ())
        is_in = bool(changed) and all(t.after and t.after == now.get(t.name) for t in changed)
        if each.verdict is Verdict.DISCARD and gain is not None and not settled and not is_in:
            place = names if names and REWRITE not in names else (each.number,)
            if gain >= max(-bound, close.get(place, (-bound, each))[0]):
                close[place] = gain, each
    return sorted(close.values(), key=lambda pair: (-pair[0], -pair[1].number))


def usual(view: StudyView) -> float:
    """The noise, or what a kept change gains on average if that is more."""
    if not view.baseline:
        return 0.0
    found = max(spread_of(view.baseline), view.gain / max(1, len(view.kept)))
    return found or abs(score_of(view.baseline)) * 0.005
