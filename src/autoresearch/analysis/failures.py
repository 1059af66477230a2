"""What ended without a score, grouped by its cause."""

import re
from collections import defaultdict
from collections.abc import Sequence

from autoresearch.analysis.view import StudyView
from autoresearch.experiment import Experiment, Verdict
from autoresearch.text import clean_line

PAST = {
    Verdict.KEEP: "kept",
    Verdict.DISCARD: "discarded",
    Verdict.CRASH: "crashed",
    Verdict.TIMEOUT: "ran out of time",
    Verdict.INVALID: "broke a rule",
    Verdict.FAILED: "failed before a run",
}
_NUMBERS = re.compile(r"\d[\d.,]*")
_AMOUNTS = re.compile(r"(?<![\w.#/])\d+(?:\.\d+)?(?![\d.,]*\d)")  # and no names: #7, 0x7f, 1.2.3


def troubles(view: StudyView) -> list[Sequence[Experiment]]:
    """Groups of one verdict and one reason, numbers aside; first what cost a run."""
    groups: dict[tuple[bool, str, str], list[Experiment]] = defaultdict(list)
    for each in view.tried:
        if each.verdict not in (Verdict.KEEP, Verdict.DISCARD):
            reason = _NUMBERS.sub("#", clean_line(each.reason, 60))
            groups[each.verdict is Verdict.FAILED, str(each.verdict), reason].append(each)
    ranked = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0]))
    return [group for _, group in ranked]


def shared_reason(group: Sequence[Experiment]) -> str:
    """The last one's; where others say the same with other amounts, "0.5 to 2.5" in their place."""
    last = group[-1].reason
    words = _AMOUNTS.split(last)
    alike = [
        _AMOUNTS.findall(each.reason) for each in group if _AMOUNTS.split(each.reason) == words
    ]
    ranges = (_range(amounts) for amounts in zip(*alike, strict=True))
    return _AMOUNTS.sub(lambda _: next(ranges), last)


def _range(amounts: Sequence[str]) -> str:
    low, high = min(amounts, key=float), max(amounts, key=float)
    return low if float(low) == float(high) else f"{low} to {high}"
