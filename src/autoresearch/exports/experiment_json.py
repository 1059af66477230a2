"""Experiments as JSON: the stable keys of `log --json` (docs/cli.md)."""

from typing import Any

from autoresearch.experiment import UNKNOWN_SEED, Experiment, Usage
from autoresearch.program import Program


def experiment_json(each: Experiment, program: Program, used: Usage) -> dict[str, Any]:
    """One experiment. Every key is always there; what is not known is null."""
    run = each.last_run
    figures = dict(run.figures) if run else {}
    return {
        "number": each.number,
        "parent": each.parent,
        "verdict": each.verdict.value if each.verdict else None,
        "vetoed": each.vetoed,
        "undone": each.undone,
        program.metric: each.score,
        "score": each.score,
        "delta": each.delta,
        "description": each.description,
        "hypothesis": each.hypothesis,
        "reason": each.reason,
        "researcher": each.researcher,
        "commit": each.commit,
        "seconds": each.seconds,
        "training_seconds": figures.get("training_seconds"),
        "peak_memory_mb": figures.get("peak_memory_mb"),
        "num_params": whole(figures.get("num_params")),
        "tokens": whole(figures.get("tokens")),
        "started_at": each.started_at or None,
        "finished_at": each.finished_at,
        "tier": each.tier,
        "proposal_tokens": None if each.is_imported else used.tokens,
        "proposal_cost_usd": used.cost_usd,
        "config": dict(run.config) if run else {},
        "runs": [
            {
                "seed": None if one.seed == UNKNOWN_SEED else one.seed,
                "outcome": one.outcome,
                "score": one.score,
                "reason": one.reason,
                "started_at": one.started_at or None,
                "figures": dict(one.figures),
            }
            for one in each.runs
        ],
    }


def whole(number: float | None) -> int | None:
    return None if number is None else int(number)
