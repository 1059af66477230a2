"""What a study took: hours, tokens, money, and what each gain cost of them.

What nobody told is left out: an imported log knows no times, and no time is made up for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log10

from autoresearch.analysis.view import StudyView
from autoresearch.report.findings import counted, duration

Form = Callable[[float], str]
GRAPHICS = ("gpu", "GPU")  # names under which a machine tells of them


@dataclass(frozen=True, slots=True)
class Cost:
    """One thing that was spent. None where it cannot be divided by what was gained."""

    name: str
    total: str
    per_kept: str
    per_gain: str


def costs(view: StudyView) -> list[Cost]:
    """As far as it is known."""
    used = view.used
    found = [
        _cost(view, "From start to end", view.wall_seconds, duration),
        _cost(view, _device(view), view.total("seconds"), duration),
        _cost(view, "Training", view.total("training_seconds"), duration),
        _cost(view, "Experiments, proposals included", busy_seconds(view), duration),
        _cost(view, "Runs", float(runs(view)), _whole),
        _cost(view, "Tokens trained on", view.total("tokens"), _whole),
        _cost(view, "Tokens of proposals", float(used.tokens), _whole),
        _cost(view, "Money", used.cost_usd, dollars),
    ]
    return [each for each in found if each]


def table(view: StudyView) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A heading and its rows; what it cost for each gain stands there if there is one."""
    unit, wanted = gain_unit(view), 2 if view.kept else 1
    head = ("What", "In all", "Per kept change")[: 1 + wanted]
    head += (f"Per {unit_text(unit)} gained",) if unit else ()
    rows = [
        ((each.name, each.total, each.per_kept)[: 1 + wanted]) + ((each.per_gain,) if unit else ())
        for each in costs(view)
    ]
    return head, rows


def counts(view: StudyView) -> str:
    return f"{counted(len(view.tried), 'experiment').capitalize()}, {len(view.kept)} kept."


def gain_unit(view: StudyView) -> float | None:
    """A round part of the whole gain to give prices for: 0.01 of 0.0282; None without a gain."""
    return float(f"1e{floor(log10(view.gain))}") if view.gain > 0 else None


def unit_text(unit: float) -> str:
    return f"{unit:.{max(0, -floor(log10(unit)))}f}" if 1e-9 < unit < 1e9 else f"{unit:g}"


def busy_seconds(view: StudyView) -> float:
    return sum(each.seconds or 0.0 for each in view.closed)


def runs(view: StudyView) -> int:
    """Finished ones that are known; an imported log tells of none."""
    return sum(len(each.runs) for each in view.closed)


def has_times(view: StudyView) -> bool:
    return bool(view.wall_seconds or busy_seconds(view) or view.total("training_seconds"))


def dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.1 or not value else f"${value:.2g}"


def notes(view: StudyView) -> list[str]:
    """What the table cannot say."""
    found = []
    if not has_times(view):
        found.append("No time is known of this study, so no hours are told.")
    used = view.used
    if used.tokens:
        cached = f", {used.cached_tokens:,} of them cached" if used.cached_tokens else ""
        words = f"{used.input_tokens:,} tokens read{cached}, {used.output_tokens:,} written"
        found.append(f"Of the proposals: {words}.")
        silent = sum(each.cost_usd is None for each in view.usage.values())
        if silent:
            who = counted(silent, "proposal")
            found.append(f"No price is known of {who}.")
    return found


def _device(view: StudyView) -> str:
    known = any(view.machine.get(name) for name in GRAPHICS)
    return "GPU time, start to score" if known else "Time of the machine, start to score"


def _cost(view: StudyView, name: str, total: float | None, form: Form) -> Cost | None:
    if not total:
        return None
    unit, kept = gain_unit(view), len(view.kept)
    per_kept = form(total / kept) if kept else ""
    per_gain = form(total * unit / view.gain) if unit else ""
    return Cost(name, form(total), per_kept, per_gain)


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
