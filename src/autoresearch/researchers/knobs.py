"""The built-in researcher: turns the CAPITAL constants of a script. No model, no key.

Optuna proposes, by ask and tell: TPE (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011), or at random. Nothing is remembered between proposals: each rebuilds what is
known from the study's history, so that a resumed study goes on as if it had never stopped.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import create_trial

from autoresearch.errors import Failed, UserError
from autoresearch.experiment import Proposal
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.researchers.hints import misread, space_of
from autoresearch.researchers.notes import Notes, Values
from autoresearch.researchers.space import Choice, Space
from autoresearch.source.constants import Constant, find_constants, left_open, rewrite
from autoresearch.source.literals import Scalar, literal

_ASKS = 200  # before the neighbourhood counts as exhausted
_EAGER = 50  # of these, before they are made at random: TPE may insist on what was tried
_FIRST = 10  # results that TPE needs to learn from; before, steps are small and random
_NAMED = 8  # knobs, or hints, that are named in the evening
_DARING = 0.05  # share of proposals that may repeat what broke: it may have had another cause


class Knobs:
    """Changes one to three knobs at a time. `mode` is "tpe", which learns, or "random"."""

    def __init__(self, mode: str = "tpe") -> None:
        if mode not in ("tpe", "random"):
            raise UserError(f"the knobs researcher has no mode {mode!r}: write `tpe` or `random`")
        self.mode = mode
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def check(self, tree: Path) -> list[str]:
        """What it will turn in the scripts of this folder, and which hints it cannot read."""
        for path in sorted(tree.rglob("*.py")):
            source = path.read_text(encoding="utf-8", errors="replace")
            with suppress(SyntaxError):
                if lines := _told(path.name, find_constants(source), left_open(source)):
                    return lines
        return []

    def propose(self, desk: Desk) -> Proposal:
        """Edits the first editable script that has knobs. `Failed` when nothing is left to try."""
        script = _find_script(desk)
        notes = Notes.read(desk, script.constants)
        rng = random.Random(desk.seed)
        is_careful = self.mode == "tpe" and rng.random() >= _DARING
        patience = _ASKS // 2 if is_careful else 0
        for turn in range(_ASKS):
            is_eager = turn < _EAGER
            learns = is_eager and self.mode == "tpe"
            names = _pick(rng, notes, is_eager, learns)
            after = {**notes.before, **_ask(names, notes, learns, rng.getrandbits(32))}
            is_too_bold = turn < patience and notes.is_risky(after)
            if not is_too_bold and not notes.is_tried(after):
                return _write(script, notes.before, after, desk.program)
        raise Failed(
            f"nothing new came to mind: the {len(notes.before)} knobs of {script.path.name} have "
            f"been tried around experiment {desk.parent.number}; widen their ranges or add knobs"
        )


def _told(file: str, constants: Mapping[str, Constant], open_ones: Sequence[str]) -> list[str]:
    """The lines of check() on one script; none for one without knobs."""
    knobs = [name for name, each in constants.items() if space_of(each, each.value)]
    if not knobs and not open_ones:
        return []
    shown, left = ", ".join(knobs[:_NAMED]), len(knobs) - _NAMED
    more = f" and {left} more" if left > 0 else ""
    found = f"knobs turns {len(knobs)} constants of {file}{': ' if knobs else ''}{shown}{more}"
    if open_ones:
        found += f"; {len(open_ones)} written None, and turned where a run tells what they came to"
    wrong = [words for each in constants.values() if (words := misread(each))]
    return [found, *(f"knobs: a hint is left out: {words}" for words in wrong[:_NAMED])]


# --- The script -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Script:
    """The file that holds the knobs."""

    path: Path
    source: str
    constants: Mapping[str, Constant]
    resolved: Values  # what the constants that are written `None` came to


def _find_script(desk: Desk) -> _Script:
    for name in desk.program.editable:
        path = desk.tree / name
        if path.suffix == ".py" and path.is_file() and _is_inside(path, desk.tree):
            script = _read(path, name, desk.parent.resolved)
            if any(space_of(each, each.value) for each in script.constants.values()):
                return script
    raise Failed(
        f"no knobs in {', '.join(desk.program.editable)}: give the script constants in CAPITALS at "
        "its left margin, such as `LR = 0.02  # range: 0.001 to 0.1, log`"
    )


def _is_inside(path: Path, tree: Path) -> bool:
    """Not a link that leads out of the desk."""
    return path.resolve().is_relative_to(tree.resolve())


def _read(path: Path, name: str, resolved: Values) -> _Script:
    try:
        source = path.read_bytes().decode()  # not read_text: line ends are to stay as they are
        return _Script(path, source, find_constants(source, resolved), resolved)
    except UnicodeDecodeError as error:
        raise Failed(f"{name} is not UTF-8 text (byte {error.start})") from error
    except SyntaxError as error:
        raise Failed(f"{name} line {error.lineno} cannot be parsed: {error.msg}") from error


def _write(script: _Script, before: Values, after: Values, program: Program) -> Proposal:
    """Makes the change in the file, and says what it is."""
    changed = [name for name in before if after[name] != before[name]]
    texts = {name: script.constants[name].written(after[name]) for name in changed}
    script.path.write_bytes(rewrite(script.source, texts, script.resolved).encode())
    return Proposal(
        description=", ".join(
            f"{name} {_shown(script.constants[name])} -> {_one_line(texts[name])}"
            for name in changed
        ),
        hypothesis=_hypothesis({name: (before[name], after[name]) for name in changed}, program),
        details={"knobs": dict(after), "from": dict(before)},
    )


def _shown(constant: Constant) -> str:
    return literal(constant.value, "") if constant.text == "None" else _one_line(constant.text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _hypothesis(changes: Mapping[str, tuple[Scalar, Scalar]], program: Program) -> str:
    *others, last = (_phrase(name, *change) for name, change in changes.items())
    change = f"{', '.join(others)} and {last}" if others else last
    return f"{change[0].upper()}{change[1:]} may give a {program.direction} {program.metric}."


def _phrase(name: str, before: Scalar, after: Scalar) -> str:
    if isinstance(after, bool):
        return f"turning {name} {'on' if after else 'off'}"
    if isinstance(after, str) or isinstance(before, bool | str):
        return f"setting {name} to {after}"
    return f"{'raising' if after > before else 'lowering'} {name}"


# --- Asking -----------------------------------------------------------------------------------


def _pick(rng: random.Random, notes: Notes, is_eager: bool, learns: bool) -> list[str]:
    """Mostly one knob, early on above all; those that were turned least come first.

    First of all, and each alone, what the script guessed for this machine: sizes, mostly, which
    decide how much is done in the fixed time.
    """
    if learns and notes.guesses:
        return [rng.choice(sorted(notes.guesses))]
    early = len(notes.results) < _FIRST
    weights = ((8, 2, 0) if early else (5, 3, 2)) if is_eager else (1, 1, 1)
    number = rng.choices((1, 2, 3), weights)[0]
    names = [name for name in notes.spaces if name not in notes.idle]
    rank = {name: rng.random() ** (1 + notes.turns[name]) for name in names}
    return sorted(sorted(rank, key=lambda name: rank[name], reverse=True)[:number])


def _ask(names: Sequence[str], notes: Notes, learns: bool, seed: int) -> Values:
    """New values for some knobs, without those that are hardly new."""
    spaces = {name: notes.spaces[name] for name in names}
    if learns and len(notes.results) >= _FIRST:
        study = _learned(spaces, notes, seed)
    else:
        study = optuna.create_study(sampler=RandomSampler(seed))
        if learns:  # small steps find the first improvement of a good baseline sooner
            spaces = {name: space.near(notes.before[name]) for name, space in spaces.items()}
        if learns and notes.guesses.issuperset(names):  # less work a step first: more steps
            spaces = {name: space.below(notes.before[name]) for name, space in spaces.items()}
    trial = study.ask({name: _distribution(space) for name, space in spaces.items()})
    values = {name: space.decode(trial.params[name]) for name, space in spaces.items()}
    return {
        name: value
        for name, value in values.items()
        if notes.spaces[name].is_step(notes.before[name], value)
    }


def _learned(spaces: Mapping[str, Space], notes: Notes, seed: int) -> optuna.Study:
    """A study of these knobs alone, told of every result that has a place in their spaces."""
    with warnings.catch_warnings():  # Optuna before 5 calls `multivariate` experimental
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = TPESampler(seed=seed, multivariate=True, n_startup_trials=_FIRST)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    distributions = {name: _distribution(space) for name, space in spaces.items()}
    for values, score in notes.results:
        params = {n: space.encode(values[n]) for n, space in spaces.items() if n in values}
        if len(params) == len(spaces) and None not in params.values():
            study.add_trial(create_trial(params=params, distributions=distributions, value=score))
    return study


def _distribution(space: Space) -> BaseDistribution:
    """What Optuna samples a coordinate from."""
    if isinstance(space, Choice):
        return CategoricalDistribution([repr(value) for value in space.values])
    if space.is_integer:
        return IntDistribution(int(space.low), int(space.high), log=space.is_log)
    return FloatDistribution(space.low, space.high, log=space.is_log)
