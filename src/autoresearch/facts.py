"""Experiments as JSON: the stable keys of `log --json` and `status --json` (docs/cli.md)."""

from typing import Any

from autoresearch.experiment import Experiment, Usage, incumbent, weakest_tier
from autoresearch.program import Program


def experiment_json(each: Experiment, program: Program, used: Usage) -> dict[str, Any]:
    """One experiment. Every key is always there; what is not known is null."""
    run = each.last_run
    figures = dict(run.figures) if run else {}
    return {
        "number": each.number,
        "parent": each.parent,
        "verdict": each.verdict.value if each.verdict else None,
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
        "started_at": each.started_at,
        "finished_at": each.finished_at,
        "tier": min(
            (int(one.figures["tier"]) for one in each.runs if "tier" in one.figures), default=None
        ),
        "proposal_tokens": used.tokens,
        "proposal_cost_usd": used.cost_usd,
        "config": dict(run.config) if run else {},
        "runs": [
            {
                "seed": one.seed,
                "outcome": one.outcome,
                "score": one.score,
                "reason": one.reason,
                "started_at": one.started_at,
                "figures": dict(one.figures),
            }
            for one in each.runs
        ],
    }


def whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def status_json(
    tag: str, program: Program, experiments: tuple[Experiment, ...], running: bool, used: Usage
) -> dict[str, Any]:
    """A study at a glance."""
    done = [each for each in experiments if each.verdict is not None]
    verdicts = [each.verdict.value for each in done if each.verdict and each.number > 0]
    best, first = incumbent(experiments, lower=program.direction == "lower"), next(iter(done), None)
    current = next((each for each in experiments if each.verdict is None), None)
    return {
        "tag": tag,
        "running": running,
        "metric": program.metric,
        "direction": program.direction,
        "budget_seconds": program.budget_seconds,
        "experiments": max(0, len(done) - 1),
        "verdicts": {name: verdicts.count(name) for name in sorted(set(verdicts))},
        "baseline": first.score if first else None,
        "best": best.score if best else None,
        "best_number": best.number if best else None,
        "best_commit": best.commit if best else None,
        "tier": weakest_tier(done),
        "seconds": sum(each.seconds or 0.0 for each in done),
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cached_tokens": used.cached_tokens,
        "cost_usd": used.cost_usd,
        "current": current.number if current else None,
        "current_description": current.description if current else None,
    }
