"""The built-in researcher: turns the CAPITAL constants of a script. No model, no key.

Optuna proposes, by ask and tell: TPE (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", 2011), or at random. Nothing is remembered between proposals: each rebuilds what is
known from the study's history, so that a resumed study goes on as if it had never stopped.

A proposal's `details` hold the value of every knob after the change (`knobs`) and before it
(`from`). The second tells what the parent held even where a person or an agent made the parent.
"""

import math
import random
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import create_trial

from autoresearch.constants import Constant, find_constants, rewrite
from autoresearch.errors import Failed, UserError
from autoresearch.experiment import Experiment, Proposal, Verdict
from autoresearch.literals import Scalar
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.researchers.hints import space_of
from autoresearch.researchers.space import Space

Values = Mapping[str, Scalar]

_ASKS = 100  # before a neighbourhood counts as exhausted
_FIRST = 10  # results that TPE needs to learn from; before, steps are small and random
_BROKEN = (Verdict.CRASH, Verdict.TIMEOUT, Verdict.INVALID)


class Knobs:
    """Changes one to three knobs at a time. `mode` is "tpe", which learns, or "random"."""

    def __init__(self, mode: str = "tpe") -> None:
        if mode not in ("tpe", "random"):
            raise UserError(f"the knobs researcher has no mode {mode!r}: write `tpe` or `random`")
        self.mode = mode
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def propose(self, desk: Desk) -> Proposal:
        """Edits the first editable script that has knobs. `Failed` when nothing is left to try."""
        script = _find_script(desk)
        notes = _read_history(desk, script)
        rng = random.Random(desk.seed)
        for turn in range(_ASKS):
            names = _pick(rng, notes)
            learns = self.mode == "tpe" and turn < _ASKS // 2  # it may insist on what was tried
            new = _ask(names, notes, learns, rng.getrandbits(32))
            after = {**notes.before, **new}
            if after != notes.before and _key(after) not in notes.tried:
                return _write(script, notes.before, after, desk.program)
        raise Failed(
            f"nothing new came to mind: the {len(notes.before)} knobs of {script.path.name} have "
            f"been tried around experiment {desk.parent.number}; widen their ranges or add knobs"
        )


# --- The script -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Script:
    """The file that holds the knobs."""

    path: Path
    source: str
    constants: Mapping[str, Constant]


def _find_script(desk: Desk) -> _Script:
    for name in desk.program.editable:
        path = desk.tree / name
        if path.suffix == ".py" and path.is_file() and _is_inside(path, desk.tree):
            script = _read(path, name)
            if any(space_of(each, each.value) for each in script.constants.values()):
                return script
    raise Failed(
        f"no knobs in {', '.join(desk.program.editable)}: give the script constants in CAPITALS at "
        "its left margin, such as `LR = 0.02  # range: 0.001 to 0.1, log`"
    )


def _is_inside(path: Path, tree: Path) -> bool:
    """Not a link that leads out of the desk."""
    return path.resolve().is_relative_to(tree.resolve())


def _read(path: Path, name: str) -> _Script:
    try:
        source = path.read_bytes().decode()  # not read_text: line ends are to stay as they are
        return _Script(path, source, find_constants(source))
    except UnicodeDecodeError as error:
        raise Failed(f"{name} is not UTF-8 text (byte {error.start})") from error
    except SyntaxError as error:
        raise Failed(f"{name} line {error.lineno} cannot be parsed: {error.msg}") from error


def _write(script: _Script, before: Values, after: Values, program: Program) -> Proposal:
    """Makes the change in the file, and says what it is."""
    changed = [name for name in before if after[name] != before[name]]
    texts = {name: script.constants[name].written(after[name]) for name in changed}
    script.path.write_bytes(rewrite(script.source, texts).encode())
    return Proposal(
        description=", ".join(
            f"{name} {_one_line(script.constants[name].text)} -> {_one_line(texts[name])}"
            for name in changed
        ),
        hypothesis=_hypothesis({name: (before[name], after[name]) for name in changed}, program),
        details={"knobs": dict(after), "from": dict(before)},
    )


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


# --- The history ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Notes:
    """What the history says of the knobs."""

    spaces: Mapping[str, Space]
    before: Values  # of the parent
    results: Sequence[tuple[Values, float]]  # lower is better; a crash stands there as the worst
    turns: Mapping[str, int]  # how often each knob was turned
    tried: frozenset[frozenset[tuple[str, Scalar]]]


def _key(values: Values) -> frozenset[tuple[str, Scalar]]:
    return frozenset(values.items())


def _read_history(desk: Desk, script: _Script) -> _Notes:
    now = {name: constant.value for name, constant in script.constants.items()}
    starts = _starts(desk.history)
    spaces = {
        name: space
        for name, constant in script.constants.items()
        if (space := space_of(constant, starts.get(name, constant.value)))
    }
    known = _known(desk, now)
    comparable = [values for values in known.values() if spaces.keys() <= values.keys()]
    return _Notes(
        spaces,
        {name: now[name] for name in spaces},
        _results(desk, known),
        Counter(name for each in desk.history for name in _turned(each)),
        frozenset(_key({name: values[name] for name in spaces}) for values in comparable),
    )


def _recalled(experiment: Experiment, key: str) -> Values:
    """One of our own details, empty for an experiment that was not ours."""
    values = experiment.details.get(key)
    if not isinstance(values, Mapping):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, Scalar)}


def _starts(history: Sequence[Experiment]) -> Values:
    """The first value that each knob is known to have had in this study."""
    starts: dict[str, Scalar] = {}
    for each in history:
        first = "knobs" if each.parent is None else "from"
        starts = {**_recalled(each, first), **starts}
    return starts


def _known(desk: Desk, now: Values) -> dict[int, Values]:
    """The knobs of every experiment that is known to us, by its number."""
    known: dict[int, Values] = {}
    for each in desk.history:
        if each.parent is not None and (before := _recalled(each, "from")):
            known.setdefault(each.parent, before)
        if after := _recalled(each, "knobs"):
            known[each.number] = after
    return known | {desk.parent.number: now}


def _turned(experiment: Experiment) -> list[str]:
    before = _recalled(experiment, "from")
    return [
        name for name, value in _recalled(experiment, "knobs").items() if before.get(name) != value
    ]


def _results(desk: Desk, known: Mapping[int, Values]) -> list[tuple[Values, float]]:
    """Knobs and score of each experiment that has both, lower being better.

    One that broke counts as clearly worse than all others, so that its neighbourhood is avoided.
    """
    sign = 1 if desk.program.is_better(0, 1) else -1
    scores = {
        each.number: sign * each.score
        for each in desk.history
        if each.verdict not in _BROKEN and each.score is not None and math.isfinite(each.score)
    }
    best, worst = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    bad = worst + (worst - best or 1.0)
    broken = {each.number: bad for each in desk.history if each.verdict in _BROKEN}
    found = sorted((scores | broken).items())
    return [(known[number], score) for number, score in found if number in known]


# --- Asking -----------------------------------------------------------------------------------


def _pick(rng: random.Random, notes: _Notes) -> list[str]:
    """Mostly one knob, early on above all; those that were turned least come first."""
    weights = (8, 2, 0) if len(notes.results) < _FIRST else (5, 3, 2)
    number = min(rng.choices((1, 2, 3), weights)[0], len(notes.spaces))
    order = sorted(
        notes.spaces, key=lambda name: rng.random() ** (1 + notes.turns[name]), reverse=True
    )
    return sorted(order[:number])


def _ask(names: Sequence[str], notes: _Notes, learns: bool, seed: int) -> Values:
    """New values for some knobs, the others staying as they are."""
    spaces = {name: notes.spaces[name] for name in names}
    if learns and len(notes.results) >= _FIRST:
        study = _learned(spaces, notes, seed)
    else:
        study = optuna.create_study(sampler=RandomSampler(seed))
        if learns:  # small steps find the first improvement of a good baseline sooner
            spaces = {name: space.near(notes.before[name]) for name, space in spaces.items()}
    trial = study.ask({name: space.distribution() for name, space in spaces.items()})
    return {name: space.decode(trial.params[name]) for name, space in spaces.items()}


def _learned(spaces: Mapping[str, Space], notes: _Notes, seed: int) -> optuna.Study:
    """A study of these knobs alone, told of every result that has a place in their spaces."""
    with warnings.catch_warnings():  # Optuna before 5 calls `multivariate` experimental
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler = TPESampler(seed=seed, multivariate=True, n_startup_trials=_FIRST)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    distributions = {name: space.distribution() for name, space in spaces.items()}
    for values, score in notes.results:
        params = {n: space.encode(values[n]) for n, space in spaces.items() if n in values}
        if len(params) == len(spaces) and None not in params.values():
            study.add_trial(create_trial(params=params, distributions=distributions, value=score))
    return study
