"""Giving an order: checked against how the study stands, written down once, answered in a line.

    give(lab, store, "nov27", "note", {"text": "try a wider MLP"})

An order has a key of the sender's own: sent twice, it is written once.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from autoresearch.budget import used_of
from autoresearch.errors import LabError, StudyError
from autoresearch.experiment import IMPORTED, Experiment, Verdict, incumbent
from autoresearch.lab import Lab
from autoresearch.ledger import used_by, waited
from autoresearch.program import Program
from autoresearch.researchers.hints import admits, hint_of
from autoresearch.source.constants import assignments, settable, texts
from autoresearch.source.literals import evaluate
from autoresearch.steering.state import DIMENSIONS, ORDERS, Steering, Words, at_work, steering_of
from autoresearch.store import Store
from autoresearch.text import clean, duration, numbered, short

LONGEST_WORDS = 4000  # characters of a note or an idea
MOST_WAITING = 100  # notes, or ideas
LIMITS = {  # said of one that is not there
    "experiments": "no limit on experiments", "seconds": "no time limit",
    "tokens": "no limit on tokens", "cost_usd": "no limit on cost",
}  # fmt: skip
LARGEST = {"experiments": 10**6, "seconds": 3.2e7, "tokens": 10**12, "cost_usd": 10**6}  # in all
DEAF = ("knobs",)  # researchers that read no words
_KEY = re.compile(r"[\w-]{8,64}")


@dataclass(frozen=True, slots=True)
class Sight:
    """What an order is checked against, all of one moment."""

    tag: str
    program: Program
    experiments: tuple[Experiment, ...]
    state: Steering
    is_at_work: bool
    used: Mapping[str, float]  # of each limit
    lab: Lab

    @property
    def current(self) -> Experiment | None:
        return next((each for each in self.experiments if each.is_open), None)

    @property
    def when(self) -> str:
        current = self.current
        if not self.is_at_work:
            return "when the study runs again"
        return f"after experiment #{current.number}" if current else "now"


def give(
    lab: Lab, store: Store, tag: str, kind: str, data: Mapping[str, Any], key: str | None = None
) -> str:
    """Check an order and write it down, once for a key; returns what will come of it, in a line.

    Raises StudyError for what cannot be asked, or not now; then nothing was written.
    """
    if kind not in ORDERS:
        raise StudyError(f"nothing is called {kind!r} here: there are {', '.join(ORDERS)}")
    if not isinstance(data, Mapping):
        raise StudyError("an order's data must be names and values")
    key = secrets.token_hex(16) if key is None else key
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise StudyError("an order's key has 8 to 64 letters, digits, - and _")
    with store.at_once():
        program = Program.from_contract(store.study(tag).contract)
        if (known := store.ordered(tag, key)) is not None:
            if known.kind != kind:
                raise StudyError(f"this key is of another order ({known.kind}): take a new one")
            return "done already"
        if store.study(tag).researcher == IMPORTED and kind not in ("veto", "restore"):
            raise StudyError(
                f"study {tag} was imported from a log: nothing runs in it, or ever will"
            )
        state, experiments = steering_of(store, tag), store.experiments(tag)
        used = used_of(experiments, used_by(store, tag), waited(store, tag))
        sight = Sight(tag, program, experiments, state, at_work(lab, state), used, lab)
        facts, sentence = CHECKS[kind](sight, data)
        if facts is not None:
            number = store.order(tag, kind, facts, key)
            sentence = sentence.replace("{id}", str(number))
            if kind in ("veto", "restore"):
                before = _standing(experiments)
                store.veto(tag, facts["experiment"], kind == "veto")
                changed = before ^ _standing(store.experiments(tag))
                sentence += _built(len(changed - {facts["experiment"]}))
                sentence += _follow(lab, store, tag, program)
    return sentence


def _standing(experiments: tuple[Experiment, ...]) -> set[int]:
    return {each.number for each in experiments if each.is_kept}


def _built(count: int) -> str:
    """How many kept changes a veto takes along, or a restore brings back."""
    return f", with {numbered(count, 'kept change')} built on it" if count else ""


def _follow(lab: Lab, store: Store, tag: str, program: Program) -> str:
    """Git's branch goes to the incumbent of now; words about both. Inside the order's transaction,
    so that of two people, and an engine, the last one's branch stands."""
    experiments = store.experiments(tag)
    best = incumbent(experiments, lower=program.is_lower)
    if best is None or best.commit is None:
        return ""
    words = f"; the best is now {_named(best)}"
    current = next((each for each in experiments if each.is_open), None)
    if current is not None and current.undone:
        words += f"; #{current.number} was built on it and ends"
    try:
        follows = lab.point_branch(tag, best.commit)
    except LabError as error:
        return f"{words}; git's branch follows at the next run: {error}"
    return words if follows else f"{words}; you are on its branch, which moves once you leave it"


Checked = tuple[Mapping[str, Any] | None, str]  # what to write down (None: nothing), what to say


def _pause(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data)
    if sight.state.paused:
        return None, "it is paused already"
    return {}, f"pausing {sight.when}; go on with `autoresearch resume`"


def _resume(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data)
    if not sight.state.paused:
        return None, "it is not paused"
    return {}, "going on" if sight.is_at_work else "no longer paused; no engine runs: run it again"


def _stop(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data)
    if not sight.is_at_work:
        raise StudyError(f"study {sight.tag} is not running: there is nothing to stop")
    if sight.state.stopping:
        return None, "it is stopping already"
    return {}, f"stopping {sight.when}"


def _skip(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data, "experiment")
    current = sight.current
    if not sight.is_at_work or current is None:
        raise StudyError(f"study {sight.tag} runs no experiment now: there is nothing to skip")
    number = _number(data, "experiment") if "experiment" in data else current.number
    if number != current.number:
        raise StudyError(f"experiment #{number} is not the running one, #{current.number} is")
    if number == 0:
        raise StudyError("the baseline cannot be skipped: everything else is measured against it")
    if number in sight.state.skips:
        return None, f"#{number} is being skipped already"
    return {"experiment": number}, f"skipping #{number}"


def _veto(sight: Sight, data: Mapping[str, Any]) -> Checked:
    each = _kept(sight, data)
    if each.vetoed:
        return None, f"#{each.number} is vetoed already"
    return {"experiment": each.number}, f"#{each.number} is vetoed"


def _restore(sight: Sight, data: Mapping[str, Any]) -> Checked:
    each = _kept(sight, data)
    if not each.vetoed:
        return None, f"#{each.number} is not vetoed"
    return {"experiment": each.number}, f"#{each.number} is restored"


def _kept(sight: Sight, data: Mapping[str, Any]) -> Experiment:
    _only(data, "experiment")
    number = _number(data, "experiment")
    each = next((each for each in sight.experiments if each.number == number), None)
    if each is None:
        raise StudyError(f"study {sight.tag} has no experiment {number}: see `autoresearch log`")
    if number == 0 or each.verdict is not Verdict.KEEP:
        raise StudyError(f"#{number} was not kept: only a kept change can be vetoed or restored")
    return each


def _note(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data, "text")
    _room(sight.state.notes, "notes")
    facts, who = {"text": _text(data)}, sight.state.researcher
    if who in DEAF:
        return facts, f"note {{id}} waits: {who} reads no words, until a researcher that does runs"
    return facts, "note {id} goes to the next proposal that a model or agent makes"


def _idea(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data, "text", "files", "onto")
    _room(sight.state.ideas, "ideas")
    text, files = _text(data), data.get("files")
    waiting = sum(each.taken is None for each in sight.state.ideas)
    place = f"{waiting} before it" if waiting else "it comes next"
    if files is not None:
        _check_files(files, sight.program)
        number = _number(data, "onto")
        if not any(each.number == number and each.commit for each in sight.experiments):
            raise StudyError(f"study {sight.tag} has no experiment {number} that was edited")
        return {"text": text, "files": dict(files), "onto": number}, f"idea {{id}} waits: {place}"
    if values := assignments(text):
        careful = _check_values(sight, values)
        return {"text": text}, f"idea {{id}} sets {', '.join(values)}: {place}{careful}"
    if (who := sight.state.researcher) in DEAF:
        words = f"idea {{id}} waits: {who} reads no words, until a researcher that does runs"
        return {"text": text}, words
    return {"text": text}, f"idea {{id}} waits for a model or an agent that reads it: {place}"


def _withdraw(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data, "id")
    number = _number(data, "id")
    if amounts := (sight.state.extensions or {}).get(number):
        return _shorten(sight, number, amounts)
    words = next((w for w in (*sight.state.notes, *sight.state.ideas) if w.id == number), None)
    if words is None:
        raise StudyError(f"no note, idea or extension {number} waits: see `autoresearch status`")
    if words.taken is not None:
        raise StudyError(f"idea {number} is experiment #{words.taken} already: skip that instead")
    return {"id": number}, f"{number} is withdrawn"


def _shorten(sight: Sight, number: int, amounts: Mapping[str, float]) -> Checked:
    """Take an extension back, unless some of it is used."""
    said = []
    for name, amount in amounts.items():
        left = (_limit(sight, name) or 0) - amount
        if left < sight.used[name]:
            raise StudyError(f"{_amount(name, sight.used[name])} are used: more than would be left")
        said.append(f"{_amount(name, left)} in all")
    return {"id": number}, f"{number} is withdrawn: {' and '.join(said)}"


def _limit(sight: Sight, name: str) -> float | None:
    """What the study may use in all; None where it has no such limit."""
    given: float | None = getattr(sight.state.given, name, None)
    return None if given is None else given + sight.state.added.get(name, 0)


def _extend(sight: Sight, data: Mapping[str, Any]) -> Checked:
    _only(data, *DIMENSIONS)
    if not data:
        raise StudyError("say what to add to: experiments, time, tokens or cost")
    said, facts = [], {}
    for name, amount in data.items():
        is_whole = name in ("experiments", "tokens")
        if isinstance(amount, bool) or not isinstance(amount, int if is_whole else int | float):
            raise StudyError(f"{name} must be {'a whole number' if is_whole else 'a number'}")
        if not 0 < amount <= LARGEST[name]:  # nan is neither
            most = _amount(name, LARGEST[name])
            raise StudyError(f"{name} must be more than 0 and at most {most}")
        if (limit := _limit(sight, name)) is None:
            raise StudyError(f"study {sight.tag} has {LIMITS[name]}: there is nothing to add to")
        if limit + amount > LARGEST[name]:
            most = _amount(name, LARGEST[name])
            raise StudyError(f"that would be more than {most} in all")
        facts[name] = amount
        said.append(f"{_amount(name, amount)} more ({_amount(name, limit + amount)} in all)")
    again = "" if sight.is_at_work else "; run it again to go on"
    back = "; `autoresearch withdraw {id}` takes it back"
    return facts, f"{' and '.join(said)}{again}{back}"


def _amount(name: str, amount: float) -> str:
    """Such as "5 experiments", "2 h", "$7.50"."""
    if name == "experiments":
        return f"{amount:,.0f} experiment{'' if amount == 1 else 's'}"
    words = {"seconds": duration(amount), "tokens": f"{amount:,.0f} tokens"}
    return words.get(name, f"${amount:,.2f}")


CHECKS = {
    "pause": _pause, "resume": _resume, "stop": _stop, "skip": _skip, "veto": _veto,
    "restore": _restore, "note": _note, "idea": _idea, "withdraw": _withdraw, "extend": _extend,
}  # fmt: skip


def _only(data: Mapping[str, Any], *names: str) -> None:
    if unknown := sorted(set(data) - set(names)):
        raise StudyError(f"unknown here: {', '.join(map(str, unknown))}")


def _number(data: Mapping[str, Any], name: str) -> int:
    number = data.get(name)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**53:
        raise StudyError(f"{name} must be a whole number")
    return number


def _text(data: Mapping[str, Any]) -> str:
    text = data.get("text")
    if not isinstance(text, str) or not (words := clean(text).strip()):
        raise StudyError("say something: the text is empty")
    if len(words) > LONGEST_WORDS:
        raise StudyError(f"the text is longer than {LONGEST_WORDS} characters")
    return words


def _room(words: tuple[Words, ...], what: str) -> None:
    if len(words) >= MOST_WAITING:
        raise StudyError(f"{MOST_WAITING} {what} wait already: withdraw some")


def _check_files(files: object, program: Program) -> None:
    names = ", ".join(program.editable)
    if not isinstance(files, Mapping) or not files or set(files) - set(program.editable):
        raise StudyError(f"files must be new text for {names}")
    try:
        size = sum(len(each.encode()) for each in files.values())
    except (AttributeError, UnicodeEncodeError) as error:  # no text, or half a character
        raise StudyError(f"files must be new text for {names}") from error
    limit = program.limits.editable_bytes
    if limit is not None and size > limit:
        raise StudyError(f"files have more than {limit:,} bytes together")


def _check_values(sight: Sight, values: Mapping[str, str]) -> str:
    """Words about values that a constant's hint excludes. Raises StudyError for a name that the
    best's files do not have."""
    best = incumbent(sight.experiments, lower=sight.program.is_lower)
    if best is None or best.commit is None:
        return ""
    sources = texts(sight.lab.contents(best.commit, sight.program.editable))
    there = settable(sources, best.resolved)
    for name in values:
        if name not in there:
            near = get_close_matches(name, there, 1)
            hint = f": is it {near[0]}?" if near else ""
            raise StudyError(f"the best's files set no constant {name}{hint}")
    outside = [
        f"{name}'s hint says {hint_of(there[name][1])}"
        for name, value in values.items()
        if not admits(there[name][1], evaluate(value))
    ]
    return f"; careful: {' and '.join(outside)}" if outside else ""


def _named(each: Experiment) -> str:
    name = f"#{each.number}" if each.number else "the baseline"
    return name if each.score is None else f"{name} ({short(each.score)})"
