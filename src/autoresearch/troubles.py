"""What ended without a score, grouped by its cause."""

import re
from collections import defaultdict
from collections.abc import Sequence

from autoresearch.experiment import Experiment, Verdict
from autoresearch.text import clean_line
from autoresearch.view import StudyView

PAST = {
    Verdict.KEEP: "kept",
    Verdict.DISCARD: "discarded",
    Verdict.CRASH: "crashed",
    Verdict.TIMEOUT: "ran out of time",
    Verdict.INVALID: "broke a rule",
    Verdict.FAILED: "failed before a run",
}
_NUMBERS = re.compile(r"\d[\d.,]*")


def troubles(view: StudyView) -> list[Sequence[Experiment]]:
    """Groups of one verdict and one reason, numbers aside; first what cost a run."""
    groups: dict[tuple[bool, str, str], list[Experiment]] = defaultdict(list)
    for each in view.tried:
        if each.verdict not in (Verdict.KEEP, Verdict.DISCARD):
            reason = _NUMBERS.sub("#", clean_line(each.reason, 60))
            groups[each.verdict is Verdict.FAILED, str(each.verdict), reason].append(each)
    ranked = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0]))
    return [group for _, group in ranked]
