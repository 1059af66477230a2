"""The judge: turns a finished run into a score, and scores into a verdict.

Measuring runs the lab's own score command from a pinned copy of the locked files, isolated from
the experiment's tree. Weighing is pure: numbers in, a verdict and its sentence out.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.errors import Crashed, Invalid, LabError, TimedOut
from autoresearch.experiment import Experiment, Verdict
from autoresearch.process import Caps, Ending, environment, run
from autoresearch.program import Program
from autoresearch.runners.base import Outcome
from autoresearch.runners.local import command, numbers
from autoresearch.text import clean_line

RULE_BROKEN = 3  # exit code of a score command that found the artifact to break a rule


@dataclass(frozen=True, slots=True)
class Data:
    """What the prepare command made: facts that a run may read, and files it gets at READY."""

    manifest: str = ""
    handover: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A score, and how long it took to find."""

    score: float
    seconds: float
    facts: Mapping[str, float] = field(default_factory=dict)


def prepare(
    program: Program, python: str, locked: Path, log: Path, tick: Callable[[], None]
) -> Data:
    """Run the prepare command from the pinned files: quick when all is there, and it mends what is
    damaged, so it is run before every experiment. Raises LabError when it fails."""
    result = log.with_suffix(".json")
    result.unlink(missing_ok=True)
    env = environment({"AUTORESEARCH_RESULT": str(result)}, "AUTORESEARCH_", "HF_", "HTTP", "http")
    argv = command(program.commands.prepare, python, *isolated(program.commands.prepare))
    caps = Caps(seconds=24 * 3600.0, memory_bytes=program.limits.memory_bytes)
    ending = run(argv, cwd=locked, env=env, log=log, caps=caps, tick=tick)
    if ending.exit_code or ending.stopped:
        words = ending.said or ending.error or f"exit code {ending.exit_code}"
        raise LabError(f"preparing failed: {words}\nits output is in {log}")
    if not result.exists():
        return Data()
    facts = json.loads(result.read_text())
    return Data(facts.get("manifest", ""), tuple(map(Path, facts.get("handover", ()))))


def isolated(words: tuple[str, ...]) -> tuple[str, ...]:
    """`-I` for a Python script: nothing of the environment or the folder can change what runs."""
    return ("-I",) if words[0] == "python" and len(words) > 1 and words[1].endswith(".py") else ()


def measure(
    outcome: Outcome,
    *,
    program: Program,
    python: str,
    locked: Path,
    tree: Path,
    data: Data,
    log: Path,
    tick: Callable[[], None],
) -> Measurement:
    """The score of an artifact.

    `locked` holds the pinned locked files, `tree` a fresh copy of the experiment's. Raises Crashed
    when the artifact cannot be scored, Invalid when it breaks a rule, TimedOut.
    """
    began, result = time.monotonic(), log.with_suffix(".json")
    env = environment(
        {
            "AUTORESEARCH_MANIFEST": data.manifest,
            "AUTORESEARCH_ARTIFACT": str(outcome.artifact),
            "AUTORESEARCH_TREE": str(tree),
            "AUTORESEARCH_RESULT": str(result),
            "TMPDIR": str(log.parent),
        }
    )
    words = program.commands.score
    limits = program.limits
    caps = Caps(limits.scoring_seconds, limits.memory_bytes, limits.log_bytes)
    argv = command(words, python, *isolated(words))
    ending = run(argv, cwd=locked, env=env, log=log, caps=caps, tick=tick)
    check_scoring(ending, limits.scoring_seconds)
    facts = read_result(result, program.metric)
    return Measurement(facts.pop(program.metric), time.monotonic() - began, facts)


def check_scoring(ending: Ending, limit: float) -> None:
    if ending.stopped == "time":
        raise TimedOut(f"scoring took longer than {limit:g} s")
    if ending.stopped:
        raise Crashed(f"scoring used more {ending.stopped} than it may")
    said = ending.said.removeprefix("prepare.py: ") or f"exit code {ending.exit_code}"
    if ending.exit_code == RULE_BROKEN:
        raise Invalid(said)
    if ending.exit_code:
        raise Crashed(f"could not be scored: {said}")


def read_result(result: Path, metric: str) -> dict[str, float]:
    """The finite numbers that the score command wrote, the metric among them."""
    try:
        facts: dict[str, Any] = json.loads(result.read_text())
        score = facts[metric]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Crashed(f"the score command wrote no {metric}") from error
    finite = numbers(facts)
    if metric not in finite:
        raise Invalid(f"its {metric} is {clean_line(str(score), 80)}, not a finite number")
    return finite


# weighing: pure


def undecided(scores: Sequence[float]) -> bool:
    """True while another run is needed: one run an experiment."""
    return not scores


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its sentence."""

    verdict: Verdict
    reason: str
    score: float
    delta: float | None


def weigh(scores: Sequence[float], program: Program, best: Experiment | None) -> Decision:
    """Keep what is better than the incumbent, however little: the original's rule."""
    score = sum(scores) / len(scores)
    if best is None or best.score is None:
        return Decision(
            Verdict.KEEP, "the baseline: everything else is measured against it", score, None
        )
    delta = score - best.score
    if program.is_better(score, best.score):
        reason = f"{abs(delta):.4f} better than #{best.number}, in one run each: not confirmed"
        return Decision(Verdict.KEEP, reason, score, delta)
    word = f"{abs(delta):.4f} worse than" if delta else "no better than"
    return Decision(Verdict.DISCARD, f"{word} #{best.number}", score, delta)
