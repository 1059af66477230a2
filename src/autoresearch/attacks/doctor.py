"""Doctor: which protections hold on this machine, shown by attacking them.

Runs the attacks on the box for real, through the engine, as one study in a temporary lab, and says
of every protection whether it held. The tier shown is the one whose attacks all failed, whatever
the box believes itself to be.

Not covered: the attacks on the score (tests/attacks runs them in the reference lab: they need
torch and minutes), and whatever nobody has thought of.
"""

import ctypes
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from autoresearch import machine
from autoresearch.attacks import Attack, attacks
from autoresearch.attacks.execute import Result, Stage, attack, in_turn, stage
from autoresearch.attacks.target import make_target
from autoresearch.box.sandbox import Tier, best_tier, obstacle


@dataclass(frozen=True, slots=True)
class Row:
    """One protection: it holds when every attack on it failed."""

    protection: str
    results: tuple[Result, ...]

    @property
    def holds(self) -> bool | None:
        known = [each.holds for each in self.results if each.holds is not None]
        return all(known) if known else None

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(each for each in self.results if each.holds is False)


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found. `tier` is the box that was tried, `shown` the tier that it earned."""

    tier: Tier
    results: tuple[Result, ...]
    facts: Mapping[str, str]
    seconds: float

    @property
    def rows(self) -> tuple[Row, ...]:
        """One for each protection, by name."""
        named = sorted({each.attack.protects for each in self.results})
        return tuple(
            Row(name, tuple(each for each in self.results if each.attack.protects == name))
            for name in named
        )

    @property
    def shown(self) -> Tier:
        """The highest tier of which every attack failed; at the least Tier.PROCESSES."""
        broken = [each.attack.needs_tier for each in self.results if each.holds is False]
        earned = min(int(self.tier), min(broken, default=9) - 1)
        return Tier(max(int(Tier.PROCESSES), earned))

    @property
    def is_sound(self) -> bool:
        """True when everything that this tier promises was seen to hold."""
        return all(each.holds is not False for each in self.results if self._promised(each))

    def _promised(self, result: Result) -> bool:
        return result.attack.needs_tier <= self.tier


def check(
    folder: Path,
    python: str = sys.executable,
    highest: Tier | None = None,
    on_result: Callable[[Result], None] = lambda result: None,
    chosen: Sequence[Attack] | None = None,
) -> Report:
    """Attack a temporary lab in `folder`, which must be empty, at the best tier up to `highest`.

    About half a minute. `chosen` are the attacks: all quick ones on the box unless said.
    """
    began, tier = time.monotonic(), best_tier(highest)
    quick = [each for each in attacks("box") if not each.is_slow]
    rounds = in_turn(quick if chosen is None else chosen)
    with lab_to_attack(folder) as stage:
        results = attack(stage, rounds, python, tier, on_result)
    return Report(tier, tuple(results), facts(), time.monotonic() - began)


@contextmanager
def lab_to_attack(folder: Path) -> Iterator[Stage]:
    """A lab of our own in a folder, everything that its attacks need, and nothing afterwards."""
    target = make_target(folder.absolute())  # runs start elsewhere
    known = {
        "data": str(target.data),
        "validation": str(target.validation),
        "training": str(target.training),
    }
    with stage(target.lab, known, target.forged) as made:
        yield made


# what is printed


def facts() -> dict[str, str]:
    """What the protections depend on, and why a better tier cannot be had."""
    found = {"kernel": f"{platform.system()} {platform.release()}"}
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True)
        found["bubblewrap"] = done.stdout.split()[-1]
    if version := landlock_version():
        found["Landlock"] = f"version {version}"
    found["gpu"] = machine.graphics() or "none"
    missing = {f"tier {tier}": obstacle(tier) for tier in Tier}
    return found | {f"{name} is not to be had": why for name, why in missing.items() if why}


def landlock_version() -> int:
    """0 where the kernel has none."""
    if sys.platform != "linux":
        return 0
    version: int = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(0, version)


WORDS = {True: "holds", False: "DOES NOT HOLD", None: "not tested"}


def table(report: Report) -> str:
    """The findings as plain text."""
    rows = [(row.protection, WORDS[row.holds], by_what(row)) for row in report.rows]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:{width}}  {word:13}  {what}" for name, word, what in rows]
    lines += ["", *(f"{name}: {value}" for name, value in report.facts.items())]
    lines += [f"the box: {named(report.tier)}"]
    lines += [f"shown by {len(report.results)} attacks in {report.seconds:.0f} s: "
              f"{named(report.shown)}"]  # fmt: skip
    return "\n".join(lines)


def named(tier: Tier) -> str:
    return f"tier {int(tier)}, {tier.words}"


def by_what(row: Row) -> str:
    if row.failures:
        return "; ".join(f"{each.attack.name}: {each.sentence}" for each in row.failures)
    if row.holds is None:
        return row.results[0].sentence
    count = sum(each.holds is True for each in row.results)
    skipped = [each for each in row.results if each.holds is None]
    words = "1 attack failed" if count == 1 else f"{count} attacks failed"
    return words + "".join(f"; {each.attack.name} not tried: {each.sentence}" for each in skipped)
