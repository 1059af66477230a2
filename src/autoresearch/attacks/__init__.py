"""The attack suite: small hostile scripts, each with the verdict that it must get.

    labs/box/    against the box and the harness; in a tiny lab (target.py), a fraction of a second
    labs/gpt/    against the score; in the reference lab, with torch, seconds each

A script is a train.py, or, with `kind: proposal`, a program that an untrusted researcher runs in
its desk. Its docstring is its record:

    What it tries, in a line.

    protects: the protection that must stop it
    expect: the verdict, or several: `discard or crash`; discard says that it was scored
    says: part of the sentence that the user reads, or several: `this | that`
    needs tier: the lowest tier of the box that must stop it
    runs: how often it is run in a row (default 1): plant, then look
    slow: yes, when it is too slow for `doctor`

It says honestly whether it got what it must not get: `breached` in the configuration that it
submits; `not_tested` there is why it could not try on this machine.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "labs"
FACTS = "FACTS = {}\n"  # a line of the scripts that is filled in: where things are


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile script, and what must become of it."""

    name: str
    path: Path
    tries: str
    protects: str
    expect: tuple[str, ...]  # verdicts, any of them
    says: str
    needs_tier: int
    runs: int = 1
    is_proposal: bool = False
    is_slow: bool = False

    @property
    def is_scored(self) -> bool:
        return "discard" in self.expect

    def script(self, facts: Mapping[str, Any]) -> str:
        """The script with what an attacker may know filled in: everything but the secret."""
        return self.path.read_text().replace(FACTS, f"FACTS = {json.dumps(dict(facts))}\n")


def attacks(lab: str) -> tuple[Attack, ...]:
    """The attacks on a lab, `box` or `gpt`, by name."""
    return tuple(read(path) for path in sorted((FOLDER / lab).glob("*.py")))


def read(path: Path) -> Attack:
    """The attack that a script's docstring describes."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    tries, _, rest = text.partition("\n")
    lines = (line.partition(":") for line in rest.splitlines() if ":" in line)
    words = {key.strip(): value.strip() for key, _, value in lines}
    return Attack(
        name=path.stem,
        path=path,
        tries=tries.rstrip("."),
        protects=words["protects"],
        expect=tuple(words["expect"].split(" or ")),
        says=words["says"],
        needs_tier=int(words["needs tier"]),
        runs=int(words.get("runs", "1")),
        is_proposal=words.get("kind") == "proposal",
        is_slow=words.get("slow") == "yes",
    )
