"""What a researcher reports while it works, written down at once: events, talk, tokens, money."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile
from pathlib import Path
from typing import Any

from autoresearch.budget import StudyLimits
from autoresearch.errors import Spent
from autoresearch.experiment import Usage
from autoresearch.lab import talk_path
from autoresearch.store import ENGINES, Store
from autoresearch.text import clean, clean_line

MOST_NOTES = 200  # of one proposal: an agent in a loop must not fill the store
MOST_TALK_BYTES = 2**20
MOST_TOKENS, MOST_DOLLARS = 10**10, 10**5  # in one report; who tells of more has miscounted
WAITED = "waited"  # an event: time of the study in which nothing could be done
UNTOLD = {"no-tokens": "tokens", "no-cost": "cost_usd"}  # an event: what somebody did not tell
LOUD = ("unavailable", "stand-in", "back", "unboxed", *UNTOLD)  # a person wants to know at once


class StudyLedger:
    """The ledger of one proposal."""

    def __init__(
        self,
        store: Store,
        tag: str,
        number: int,
        researcher: str,
        folder: Path,
        limits: Callable[[], StudyLimits],  # as of now: a person may extend it meanwhile
        tell: Callable[[str], None],
        show: Callable[[Usage], None],
        room: Callable[[], AbstractContextManager[None]] = nullcontext,  # for what must be written
    ) -> None:
        self._store, self._tag, self._number, self._researcher = store, tag, number, researcher
        self._path, self._limits = talk_path(folder, number), limits
        self._tell, self._show, self._room = tell, show, room
        self._notes, self._talked = 0, 0
        self._awaits_cost = limits().cost_usd is not None
        self._path.parent.mkdir(exist_ok=True)
        self._path.unlink(missing_ok=True)  # a proposal that a kill cut short is made again

    def note(self, kind: str, text: str = "") -> None:
        self._notes += 1
        line = clean_line(text, 400)
        kind = f"{kind}-said" if kind in ENGINES else kind
        if self._notes <= MOST_NOTES:
            self._store.event(self._tag, kind, experiment=self._number, text=line)
        if kind in LOUD:
            self._tell(line)

    def talk(self, text: str) -> None:
        words = clean(text).encode()
        room = MOST_TALK_BYTES - self._talked
        self._talked += len(words)
        if room > 0:
            with self._path.open("ab") as file:
                file.write(words[:room])
                if len(words) > room:
                    file.write(b"\n[more was said, and not kept]\n")

    def spend(self, usage: Usage, model: str = "", totals: Mapping[str, Any] | None = None) -> None:
        told, model = plausible(usage), clean_line(model, 100)
        if told != Usage() or totals is not None:
            with self._room():
                self._store.spend(self._tag, self._number, self._researcher, told, model, totals)
        self._warn(told, is_of_money=usage.cost_usd is not None)
        used = used_by(self._store, self._tag)
        if used != Usage():
            self._show(used)
        self._check(used)

    def totals(self, session: str) -> Mapping[str, Any] | None:
        found = self._store.totals(self._tag)
        return next((each for each in found if each.get("session") == session), None)

    def pending(self, tokens: int) -> None:
        if self._limits().tokens is not None:
            self._check(used_by(self._store, self._tag) + plausible(Usage(tokens)))

    def _check(self, used: Usage) -> None:
        if why := self._limits().overspent(used):
            raise Spent(f"the study may go no further: {why}")

    def _warn(self, told: Usage, is_of_money: bool) -> None:
        """A limit that cannot hold is said to be none, once until the study is resumed.

        A report of money alone says nothing of tokens: those come with the turn's end.
        """
        if told.cost_usd is not None:
            self._awaits_cost = False
        if is_of_money and not told.tokens:
            return
        if not told.tokens and self._limits().tokens is not None:
            self._warn_once("no-tokens", "tokens: --max-tokens cannot hold, use --for")
        if self._awaits_cost:
            self._awaits_cost = False
            instead = "--max-tokens" if told.tokens else "--for"
            self._warn_once("no-cost", f"cost: --max-cost cannot hold, use {instead}")

    def _warn_once(self, kind: str, words: str) -> None:
        events = reversed(self._store.events(self._tag, kinds=("resumed", kind)))
        since = takewhile(lambda kind: kind != "resumed", (each.kind for each in events))
        if kind not in since:
            self.note(kind, f"{clean_line(self._researcher, 80)} reports no {words}")


def plausible(usage: Usage) -> Usage:
    """An agent may report anything: without the counts, or the money, that cannot be."""
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    tokens = counts if all(0 <= each <= MOST_TOKENS for each in counts) else (0, 0, 0)
    cost = usage.cost_usd
    is_price = cost is not None and 0 <= cost <= MOST_DOLLARS  # nan is not
    return Usage(*tokens, cost if is_price else None)


def used_by(store: Store, tag: str) -> Usage:
    """What a study's proposals have taken so far."""
    return sum(store.usage(tag).values(), Usage())


def waited(store: Store, tag: str) -> float:
    """Seconds of the study between experiments, in all."""
    return sum(float(each.data["seconds"]) for each in store.events(tag, kinds=(WAITED,)))


def untold(store: Store, tag: str) -> frozenset[str]:
    """Fields of StudyLimits of which it is unknown what was used, because somebody did not tell."""
    return frozenset(UNTOLD[each.kind] for each in store.events(tag, kinds=tuple(UNTOLD)))
