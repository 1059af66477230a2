"""results.tsv: the original's log of a study."""

from collections.abc import Iterable

from autoresearch.analysis.view import has_score, memory_gb, score_of
from autoresearch.experiment import Experiment, Verdict
from autoresearch.text import plain


def results_tsv(experiments: Iterable[Experiment]) -> str:
    """The original's log, one line per closed experiment, baseline first.

    Five columns: commit, val_bpb, memory_gb, status (keep, discard, crash), description. Any
    reader of tab-separated values reads it back: no field holds a tab, newline or double quote.
    """
    lines = ["commit\tval_bpb\tmemory_gb\tstatus\tdescription"]
    for each in experiments:
        if each.is_open:
            continue
        score = score_of(each) if has_score(each) else 0.0
        status = each.verdict if each.verdict in (Verdict.KEEP, Verdict.DISCARD) else "crash"
        status = Verdict.DISCARD if each.is_taken_back else status
        commit = plain(each.short_commit) or "-"
        words = plain(each.description).replace('"', "'")
        lines.append(f"{commit}\t{written(score)}\t{memory_gb(each):.1f}\t{status}\t{words}")
    return "\n".join(lines) + "\n"


def written(score: float) -> str:
    """Six decimals, as the original has them; seven digits of a small one that has more."""
    text, whole = f"{score:.6f}", f"{score:.7g}"
    return whole if abs(score) < 0.1 and float(whole) != float(text) else text
