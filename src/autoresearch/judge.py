"""Measuring: turns a finished run into a score. What the score is worth, keep.py decides.

The lab's own score command does it, from a pinned copy of the locked files, isolated from the
experiment's tree. Where it must run the experiment's code it does so behind AUTORESEARCH_BOX, in
a box that sees the model and nothing else.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.box.sandbox import Box, Tier, confine
from autoresearch.errors import Crashed, Invalid, LabError, TimedOut
from autoresearch.process import Caps, Ending, environment, run
from autoresearch.program import Program
from autoresearch.runners.base import Data
from autoresearch.runners.local import command, numbers
from autoresearch.text import clean_line

RULE_BROKEN = 3  # exit code of a score command that found the artifact to break a rule


@dataclass(frozen=True, slots=True)
class Known:
    """What scoring may compare with: all of it optional, and none of it the experiment's."""

    splits: str = "dev"  # which parts of the validation text to score: "dev,confirm", "final"
    reference: Mapping[str, float] = field(default_factory=dict)  # how scoring the baseline went
    incumbent_claim: Path | None = None  # the incumbent's losses, where the score command kept them


@dataclass(frozen=True, slots=True)
class Measurement:
    """A score, how long it took to find, and what else the score command says of it."""

    score: float
    seconds: float
    facts: Mapping[str, float] = field(default_factory=dict)


def prepare(
    program: Program, python: str, lab: Path, locked: Path, log: Path, tick: Callable[[], None]
) -> Data:
    """Run the prepare command from the pinned files: quick when all is there, and it mends what is
    damaged, so it is run before every experiment. Raises LabError when it fails.

    It runs in `locked` and is told where the lab is, since relative paths start there.
    """
    result = log.with_suffix(".json")
    result.unlink(missing_ok=True)
    told = {"AUTORESEARCH_RESULT": str(result), "AUTORESEARCH_LAB": str(lab)}
    env = environment(told, "AUTORESEARCH_", "HF_", "HTTP", "http")
    argv = command(program.commands.prepare, python, *isolated(program.commands.prepare))
    caps = Caps(seconds=24 * 3600.0, memory_bytes=program.limits.memory_bytes)
    ending = run(argv, cwd=locked, env=env, log=log, caps=caps, tick=tick)
    if ending.exit_code or ending.stopped:
        words = ending.error or ending.said or f"exit code {ending.exit_code}"
        where = f"its output is in {log}"
        if words.startswith("ModuleNotFoundError"):
            where = f"install it for {python}; the extra `gpt` has what the three files need"
        raise LabError(f"preparing failed: {words}\n{where}")
    if not result.exists():
        return Data()
    facts = json.loads(result.read_text())
    paths = {name: tuple(map(Path, facts.get(name, ()))) for name in ("handover", "withheld")}
    return Data(facts.get("manifest", ""), **paths)


def isolated(words: tuple[str, ...]) -> tuple[str, ...]:
    """`-I` for a Python script: nothing of the environment or the folder can change what runs."""
    return ("-I",) if words[0] == "python" and len(words) > 1 and words[1].endswith(".py") else ()


def measure(
    artifact: Path,
    *,
    program: Program,
    python: str,
    locked: Path,
    tree: Path,
    data: Data,
    log: Path,
    tick: Callable[[], None],
    tier: Tier = Tier.PROCESSES,
    known: Known | None = None,
) -> Measurement:
    """The score of an artifact, a folder that a run left.

    `locked` holds the pinned locked files, `tree` a fresh copy of the experiment's; the score
    command may leave its losses in `claim.bin` beside the log. Raises Crashed when the artifact
    cannot be scored, Invalid when it breaks a rule, TimedOut.
    """
    began, result, known = time.monotonic(), log.with_suffix(".json"), known or Known()
    box = Box(
        python=python,
        readable=(locked, tree, artifact, *map(Path, filter(None, [data.manifest]))),
        hidden=data.withheld,
        processes=program.limits.processes,
        open_files=program.limits.open_files,
    )
    given = {
        "MANIFEST": data.manifest,
        "ARTIFACT": str(artifact),
        "TREE": str(tree),
        "RESULT": str(result),
        "SPLITS": known.splits,
        "BOX": json.dumps(confine([], box, tier)),
        "CLAIM": str(log.with_name("claim.bin")),
        "INCUMBENT": str(known.incumbent_claim or ""),
    }
    if known.reference:
        reference = log.with_name("reference.json")
        reference.write_text(json.dumps(dict(known.reference)))
        given["REFERENCE"] = str(reference)
    env = environment({f"AUTORESEARCH_{k}": v for k, v in given.items()})
    env["TMPDIR"] = str(log.parent)
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
    said = ending.error or ending.said.removeprefix("prepare.py: ")
    said = said or f"exit code {ending.exit_code}"
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
