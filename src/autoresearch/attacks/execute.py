"""Runs attacks for real: one study of a lab, its experiments hostile, and witnesses around it.

    with stage(lab, {}, forged) as made:
        results = attack(made, in_turn(attacks("box")), python, best_tier())

Not covered: the lab's own code is trusted, and so is whoever picks the attacks.
"""

import os
import secrets
import site
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from autoresearch import keep, opening
from autoresearch.attacks import Attack
from autoresearch.attacks.witness import Witness, listeners, sweep
from autoresearch.box.sandbox import Tier
from autoresearch.budget import StudyLimits
from autoresearch.context import Study
from autoresearch.experiment import Experiment, Proposal, Run, Usage
from autoresearch.lab import Lab
from autoresearch.researchers.base import Desk
from autoresearch.runners.base import Progress
from autoresearch.store import Store
from autoresearch.study import research

TAG = "doctor"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e"  # in front of every description: none may come through


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attack. `holds` None: it could not be tried here."""

    attack: Attack
    holds: bool | None
    sentence: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A lab to be attacked, what may be told of it, and who looks on."""

    lab: Path
    facts: Mapping[str, Any]
    witness: Witness
    forged: Callable[[Run], str]  # why the score of a run cannot be honest, or ""


@contextmanager
def stage(lab: Path, known: Mapping[str, str], forged: Callable[[Run], str]) -> Iterator[Stage]:
    """What the attacks on any lab need."""
    token, home = f"{os.getpid()}-{secrets.token_hex(8)}", Path.home()
    with listeners(token) as (servers, path), decoy(home, token) as hub:
        witness = Witness(lab, servers)
        told = {
            "token": token,
            "engine": os.getpid(),
            "lab": str(lab),
            "home": str(home),
            "hub": str(hub),
            "marker": str(witness.marker),
            "tcp": servers.port("TCP"),
            "udp": servers.port("UDP"),
            "unix": path,
            "abstract": servers.abstract,
            **known,
        }
        try:
            yield Stage(lab, told, witness, forged)
        finally:
            witness.outlived()
            sweep(token, places(home))


@contextmanager
def decoy(home: Path, token: str) -> Iterator[Path]:
    """Pretrained weights in the home folder, for an attack to look for."""
    folder = home / ".cache" / f"autoresearch-attack-{token}.d"
    weights = folder / "model.safetensors"
    with suppress(OSError):
        folder.mkdir(parents=True)
        weights.write_text("weights")
    try:
        yield folder
    finally:
        weights.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def places(home: Path) -> tuple[Path, ...]:
    """Where an attack may have left a file when nothing held it back."""
    fixed = ("/tmp", "/var/tmp", "/run", "/run/lock", "/dev", "/dev/shm", "/dev/mqueue")  # noqa: S108
    packages = [*sys.path, *site.getsitepackages(), str(Path(sys.executable).resolve().parent)]
    return (*map(Path, fixed), home, home / ".cache", *(Path(each) for each in packages if each))


def in_turn(chosen: Sequence[Attack]) -> list[Attack]:
    """Attacks that end without a score between those with one: after many failures in a row the
    engine waits, as it must. Each as often as it wants to be run."""
    scored = [each for each in chosen if each.is_scored]
    failing = [each for each in chosen if not each.is_scored]
    mixed = chain.from_iterable(zip_longest(scored, failing))
    return [each for each in mixed if each is not None for _ in range(each.runs)]


# the study


def attack(
    stage: Stage,
    rounds: Sequence[Attack],
    python: str,
    tier: Tier,
    on_result: Callable[[Result], None] = lambda result: None,
    keep_rule: str | None = None,
) -> list[Result]:
    """Run the attacks as one study of the lab on the stage."""
    lab, hostile = Lab.open(stage.lab), Attacker(stage, rounds, on_result)
    with lab.lock(), Store(opening.store_path(lab)) as store:
        opened = opening.open_study(lab, store, opening.Wishes(TAG, keep_rule=keep_rule))
        study = Study(
            tag=TAG,
            lab=lab,
            store=store,
            program=opened.program,
            researcher=hostile,
            researcher_name="attacks",
            watcher=hostile,
            python=python,
            seed=opened.row.seed,
            rule=keep.rule_named(opened.row.keep_rule),
            tier=tier,
        )
        research(study, StudyLimits(experiments=len(rounds)))
    return hostile.results


@dataclass(slots=True)
class Attacker:
    """Proposes the attacks one after the other, watches the study, and judges each."""

    stage: Stage
    rounds: Sequence[Attack]
    on_result: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)
    _complaints: list[str] = field(default_factory=list)
    _acts: list[Experiment] = field(default_factory=list)

    # a researcher

    def propose(self, desk: Desk) -> Proposal:
        attack = self.rounds[desk.number - 1]
        script = attack.script(self.stage.facts)
        if attack.is_proposal:
            program = self.stage.lab.parent / "proposal.py"
            program.write_text(script)
            subprocess.run([sys.executable, "-I", str(program)], cwd=desk.tree, check=True)
        else:
            (desk.tree / "train.py").write_text(script)
        make_new(desk)
        return Proposal(f"{HOSTILE}{attack.name}")

    # a watcher

    def began(self, experiment: Experiment) -> None:
        self._complaints.clear()

    def spent(self, experiment: Experiment, used: Usage) -> None: ...
    def proposed(self, experiment: Experiment) -> None: ...

    def progress(self, experiment: Experiment, progress: Progress) -> None: ...

    def scoring(self, experiment: Experiment) -> None:
        self._complaints += self.stage.witness.outlived()

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...

    def finished(self, experiment: Experiment, best: Experiment | None) -> None:
        witness = self.stage.witness
        self._complaints += [*witness.outlived(), *witness.traces()]
        self._complaints += forgeries(experiment, self.stage)
        if experiment.number == 0:
            return
        attack = self.rounds[experiment.number - 1]
        self._acts.append(experiment)
        if len(self._acts) < attack.runs and not self._complaints:
            return
        self._conclude(attack)

    def _conclude(self, attack: Attack) -> None:
        if not any(each.attack == attack for each in self.results):
            seconds = sum(each.seconds or 0.0 for each in self._acts)
            holds, sentence = judge(attack, self._acts, self._complaints)
            self.results.append(Result(attack, holds, sentence, seconds))
            self.on_result(self.results[-1])
        self._acts.clear()


def make_new(desk: Desk) -> None:
    """Another text each time: an edit that was tried before would be refused, not run."""
    script = desk.tree / "train.py"
    if script.is_file() and not script.is_symlink():
        with script.open("a") as file:
            file.write(f"\nROUND = {desk.number}\n")


def forgeries(experiment: Experiment, stage: Stage) -> list[str]:
    """Complaints about scores or texts that cannot be honest."""
    found = [stage.forged(run) for run in experiment.runs if run.score is not None]
    if not (experiment.reason + experiment.description).isprintable():
        found.append("its text came through with control characters")
    return [each for each in found if each]


def judge(
    attack: Attack, acts: Sequence[Experiment], complaints: Sequence[str]
) -> tuple[bool | None, str]:
    """Whether the protection held, and the sentence: what the user read, or what went wrong."""
    if complaints:
        return False, complaints[0]
    for act in acts:
        config = act.last_run.config if act.last_run else {}
        if config.get("breached"):
            where = config.get("where")
            return False, f"it got through{f': {where}' if where else ''}"
        if why := config.get("not_tested"):
            return None, str(why)
        if str(act.verdict) not in attack.expect:
            wanted = " or ".join(attack.expect)
            return False, f"it must be {wanted}, and was {act.verdict}: {act.reason}"
        if not any(words.strip() in act.reason for words in attack.says.split(" | ")):
            return False, f"it must say {attack.says!r}, and said: {act.reason}"
    return True, acts[-1].reason
