"""What `status --watch` shows: a glance at a study as the lines of a screen, however small that is.

running night4: training #12; pausing after that
#12 DEPTH 8 -> 9, proposed by opencode
━━━━━━━━━━━──────  62%  loss 2.314  123k tokens/s  1.9 min left
best 0.9712 val_bpb, #9: gain 0.0213  ▁▁▃▅▅█
left: 88 of 100 experiments, 4.8 of 8 h
#11 discard 0.9720 ...
note 57 waits: stay away from the optimizer
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite

from rich.text import Text

from autoresearch.activity import TRAINING
from autoresearch.cli.status import Status, limit_json, words_json
from autoresearch.cli.terminal import limit_words, result_line, short_count, waiting_words
from autoresearch.keep import amount
from autoresearch.text import clean_line, duration, short

LATEST = 10
MOST_WAITING = 6  # lines of notes and ideas
LONGEST_SPARK = 32


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What bars are drawn with."""

    full: str = "━"
    empty: str = "─"
    steps: str = "▁▂▃▄▅▆▇█"


PLAIN = Glyphs("#", "-", "_.-=^")  # where the terminal has nothing better


def board(it: Status, width: int, height: int, glyphs: Glyphs = Glyphs()) -> list[Text]:
    """At most `height` lines, each at most `width` cells wide; the first ones matter most."""
    head = [
        _state(it),
        *_troubles(it),
        *_current(it, width, glyphs),
        *_best(it, width, glyphs),
        *_budget(it),
    ]
    waiting = _waiting(it)
    room = max(0, height - len(head) - len(waiting))
    closed = [each for each in it.done if each.verdict is not None]
    latest = [result_line(each) for each in islice(reversed(closed), min(LATEST, room))]
    lines = [*head, *latest, *waiting][:height]
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines


def _state(it: Status) -> Text:
    style = "bold cyan" if it.is_busy else "bold yellow"
    style = "bold yellow" if it.state.paused else style
    return Text(f"{it.tag}: ", "bold").append(clean_line(it.words), style)


def _troubles(it: Status) -> list[Text]:
    return [Text(clean_line(each.text, 400), "bold red") for each in it.troubles]


def _current(it: Status, width: int, glyphs: Glyphs) -> list[Text]:
    """The experiment that runs: what it is, and how far it is."""
    if not it.is_busy or it.current is None:
        return []
    each = it.current
    what = clean_line(each.description, 400) or "not proposed yet"
    lines = [Text(f"#{each.number} {what}").append(f"  by {clean_line(each.researcher)}", "dim")]
    seconds, total = _number(it, "seconds"), _number(it, "budget_seconds")
    if it.now.get("phase") != TRAINING or seconds is None or not total:
        return lines
    share = min(1.0, max(0.0, seconds / total))
    facts = [f"{100 * share:3.0f}%", f"{duration(max(0, round(total - seconds)))} left"]
    if (loss := _number(it, "loss")) is not None:
        facts.insert(1, f"loss {loss:.4g}")
    if (speed := _number(it, "tokens_per_second")) is not None:
        facts.insert(2, f"{short_count(round(speed))} tokens/s")
    said = "  ".join(facts)
    room = max(8, min(40, width - len(said) - 2))
    full = round(share * room)
    bar = Text(glyphs.full * full, "green").append(glyphs.empty * (room - full), "dim")
    return [*lines, bar.append(f"  {said}", "default")]


def _number(it: Status, name: str) -> float | None:
    value = it.now.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if isfinite(value) else None


def _best(it: Status, width: int, glyphs: Glyphs) -> list[Text]:
    best, metric = it.best, clean_line(it.program.metric, 40)
    if best is None or best.score is None:
        return []
    if best.number == 0 or it.gain is None:
        line = Text(f"baseline {short(best.score)} {metric}: nothing beats it yet")
    else:
        line = Text("best ").append(f"{short(best.score)} {metric}", "bold green")
        line.append(f", #{best.number}: gain {amount(it.gain)}")
    room = min(LONGEST_SPARK, width - line.cell_len - 2)
    if room >= 8 and len(it.done) > 1:
        line.append(f"  {sparkline(it.running_best(), room, glyphs.steps)}", "green")
    return [line]


def sparkline(values: Sequence[float], width: int, steps: str) -> str:
    """A line of at most `width` characters through values that only rise."""
    shown = [each for each in values if isfinite(each)]
    if not shown:
        return ""
    count = min(width, len(shown))
    picked = [shown[(place + 1) * len(shown) // count - 1] for place in range(count)]
    low, high = shown[0], max(shown[-1], shown[0])
    span = (high - low) or 1.0
    return "".join(steps[round((each - low) / span * (len(steps) - 1))] for each in picked)


def _budget(it: Status) -> list[Text]:
    if not it.limits:
        return []
    words = (limit_words(limit_json(each)) for each in it.limits)
    return [Text(f"left: {', '.join(words)}")]


def _waiting(it: Status) -> list[Text]:
    rows = [f"note {waiting_words(words_json(each))}" for each in it.notes]
    rows += [f"idea {waiting_words(words_json(each))}" for each in it.ideas]
    shown = rows if len(rows) <= MOST_WAITING else rows[: MOST_WAITING - 1]
    lines = [Text(each, "magenta") for each in shown]
    if len(shown) < len(rows):
        lines.append(Text(f"and {len(rows) - len(shown)} more wait", "magenta"))
    return lines
