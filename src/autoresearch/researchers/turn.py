"""What an agent says, asks and takes during one proposal, and whether that is still reasonable.

A `Conversation` listens to an agent: it answers permissions by policy, writes down what is said and
done, counts tokens and money, and notices an agent that loops, floods or has gone silent.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from autoresearch.errors import Spent
from autoresearch.experiment import Usage
from autoresearch.researchers.acp_words import Answer
from autoresearch.researchers.base import Ledger
from autoresearch.researchers.permissions import Policy, Refused, ToolCall
from autoresearch.researchers.presets import Counting
from autoresearch.researchers.statement import Statement, read_statement
from autoresearch.text import clean_line

MOST_SAID = 4 * 2**20  # characters of messages and thoughts in one proposal
MOST_NOTES = 20  # of one kind in one proposal
MOST_TOLD = 2**53  # JSON and every reader of it hold such a number
LONGEST_SESSION = 1000  # characters of its id
SIGNS_PER_CALL = 5  # who asks, or tells its tokens, more often than so uses tools without a word


class Trouble(Enum):
    """Why an agent is stopped in the middle of its work."""

    LOOP = auto()  # more tool calls than one idea can need
    FLOOD = auto()  # more words than anyone could read
    SILENCE = auto()
    TIME = auto()  # the proposal has taken as long as it may


@dataclass(slots=True)
class Meter:
    """Tokens and money of one agent's process, each counted once."""

    counting: Counting
    _calls: int = 0  # tokens of this turn's calls of the model, by the context after each
    _context: int = 0
    _is_begun: bool = False  # a call of which more may be told
    _cost_usd: float = 0.0  # of which it is on record
    _session: Usage = field(default_factory=Usage)

    @classmethod
    def of(cls, counting: Counting, totals: object) -> "Meter":
        """Of a session that was begun by another process; `totals`: as it left them."""
        match totals:
            case {
                "cost_usd": int() | float() as cost,
                "tokens": [int(read), int(out), int(cached)],
            }:
                return cls(counting, _cost_usd=cost, _session=Usage(read, out, cached))
        return cls(counting)

    @property
    def totals(self) -> dict[str, Any]:
        """What the session had told by now of all its turns, as JSON can hold it."""
        told = self._session
        counts = (told.input_tokens, told.output_tokens, told.cached_tokens)
        tokens = [min(max(each, 0), MOST_TOLD) for each in counts]
        return {"cost_usd": self._cost_usd, "tokens": tokens}

    @property
    def pending(self) -> int:
        """The tokens of this turn so far."""
        return self._calls

    def call(self, context_tokens: int, is_paid: bool) -> None:
        """A call of the model left a context of this size; agents tell it more than once.

        `is_paid`: the cost has risen since, so that it was another call even at the same size.
        Claude tells a context as a call begins and as it ends: what it has grown by is counted.
        """
        is_end = self.counting is Counting.TURN and self._is_begun and not is_paid
        if is_end and context_tokens > self._context:
            self._calls += context_tokens - self._context
            self._is_begun = False
        elif is_paid or context_tokens != self._context:
            self._calls += context_tokens
            self._is_begun = True
        self._context = context_tokens

    def acted(self) -> None:
        """A tool has ended: what the model is told next is another call."""
        self._is_begun = False

    def unpaid(self, cost_usd: float | None) -> float:
        """What is new of a session's cost so far. One that falls was counted from zero again."""
        if cost_usd is None:
            return 0.0
        return cost_usd - self._cost_usd if cost_usd >= self._cost_usd else cost_usd

    def paid(self, cost_usd: float) -> None:
        """A session's cost so far is on record."""
        self._cost_usd = cost_usd

    def turn(self, told: Usage | None) -> Usage:
        """The tokens of a turn that has ended; `told`: by the answer to its prompt."""
        calls, self._calls, self._context, self._is_begun = self._calls, 0, 0, False
        if told is None:
            return Usage(calls)
        if self.counting is Counting.CALL:
            return Usage(max(calls - told.tokens, 0)) + told
        if self.counting is Counting.SESSION:
            told, self._session = less(told, self._session), told
        return told


def less(usage: Usage, earlier: Usage) -> Usage:
    """What came on top; a count that has fallen was begun anew."""
    if usage.tokens < earlier.tokens:
        return usage
    return Usage(
        max(usage.input_tokens - earlier.input_tokens, 0),
        max(usage.output_tokens - earlier.output_tokens, 0),
        max(usage.cached_tokens - earlier.cached_tokens, 0),
    )


@dataclass(slots=True)
class Conversation:
    """The host of one agent for one proposal."""

    ledger: Ledger
    policy: Policy
    meter: Meter
    tool_calls: int  # the most that are reasonable
    clock: Callable[[], float] = time.monotonic
    refused: list[str] = field(default_factory=list)  # in this turn
    is_over: bool = False  # nothing is allowed any more
    session: str = ""  # that another process may go on with
    _cost_usd: float | None = None  # of the session so far, as it was told last
    _last_heard: float = 0.0
    _calls: int = 0
    _counts: int = 0
    _asked: int = 0
    _characters: int = 0
    _turn: list[str] = field(default_factory=list)  # pieces of this turn's messages
    _message: list[str] = field(default_factory=list)  # pieces of the last one
    _thought: list[str] = field(default_factory=list)
    _noted: dict[str, int] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)  # calls that it asked for and may not make

    def __post_init__(self) -> None:
        self._last_heard = self.clock()

    def begin(self, prompt: str) -> None:
        """A turn begins."""
        self._turn.clear()
        self._message.clear()
        self.refused.clear()
        self._last_heard = self.clock()
        self.ledger.talk(f"\n\n## Told\n{prompt}\n")

    def end(self, answer: Answer | None) -> None:
        """A turn has ended, or was broken off (None). Raises Spent."""
        self._write_down()
        used = self.meter.turn(answer.usage if answer else None)
        try:
            self._pay()
        finally:
            if used.tokens:
                self._spend(used, answer.model if answer else "")
            elif answer and answer.usage is None:
                self.ledger.spend(used)

    @property
    def text(self) -> str:
        """All messages of this turn."""
        return "".join(self._turn)

    @property
    def last_message(self) -> str:
        """What it said after its last use of a tool."""
        return "".join(self._message)

    @property
    def statement(self) -> Statement:
        """What this turn stated of the change."""
        return read_statement(self.text)

    def trouble(self, idle_seconds: float) -> Trouble | None:
        """What is wrong with how it works, if anything."""
        signs = max(self._counts, self._asked)
        if self._calls > self.tool_calls or signs > SIGNS_PER_CALL * self.tool_calls:
            return Trouble.LOOP
        if self._characters > MOST_SAID:
            return Trouble.FLOOD
        if self.clock() - self._last_heard > idle_seconds:
            return Trouble.SILENCE
        return None

    # the host of the link

    def heard(self) -> None:
        self._last_heard = self.clock()

    def asked(self) -> None:
        self._asked += 1

    def said(self, text: str) -> None:
        self._characters += len(text)
        if self._characters <= MOST_SAID:
            self._turn.append(text)
            self._message.append(text)

    def thought(self, text: str) -> None:
        self._characters += len(text)
        if self._characters <= MOST_SAID:
            self._thought.append(text)

    def called(self, call: ToolCall, is_new: bool) -> None:
        if is_new:
            self._calls += 1
            self._write_down()
            self._turn.append("\n\n")
            self._message.clear()
        elif call.status not in ("completed", "failed"):
            return
        if call.status in ("completed", "failed"):
            self.meter.acted()
        self.ledger.talk(f"\n[{call.kind or 'tool'} {call.status}] {described(call)}\n")
        if outside := self.policy.outside(call):
            self._note("outside", f"{described(call)}: {outside}")
        if call.status == "failed" and (reason := self._forbidden(call)):
            self._refuse(f"{described(call)}: {reason}")  # by the box: it did not ask

    def allows(self, call: ToolCall) -> bool | None:
        if self.is_over:
            return None
        if not (reason := self.policy.refusal(call)):
            return True
        self._answered.add(call.id)
        self._refuse(f"{described(call)}: {reason}")
        return False

    def read(self, path: str) -> str:
        try:
            return self.policy.read(path)
        except Refused as error:
            self._refuse(f"reading: {error}")
            raise

    def write(self, path: str, text: str) -> None:
        if self.is_over:
            raise Refused("the work is over")
        try:
            self.policy.write(path, text)
        except Refused as error:
            self._refuse(f"writing: {error}")
            raise

    def counted(self, context_tokens: int, cost_usd: float | None) -> None:
        self._counts += 1
        if cost_usd is not None and math.isfinite(cost_usd) and cost_usd >= 0:
            self._cost_usd = cost_usd
        self.meter.call(max(context_tokens, 0), self.meter.unpaid(self._cost_usd) > 0)
        self._pay()
        self.ledger.pending(self.meter.pending)

    def _pay(self) -> None:
        """Put on record what is new of the cost; what cannot be written is tried again later."""
        told, new = self._cost_usd, self.meter.unpaid(self._cost_usd)
        if told is None:
            return
        if new > 0:
            try:
                self._spend(Usage(cost_usd=new), cost_usd=told)
            except Spent:  # it is written, and was too much
                self.meter.paid(told)
                raise
        self.meter.paid(told)

    def _spend(self, usage: Usage, model: str = "", **told: float) -> None:
        """Write it down, with all that the session has told by now."""
        is_kept = 0 < len(self.session) <= LONGEST_SESSION
        totals = {"session": self.session, **self.meter.totals, **told} if is_kept else None
        self.ledger.spend(usage, model, totals)

    def _forbidden(self, call: ToolCall) -> str:
        """Why an edit is not allowed, unless it was told so already."""
        is_edit = call.has_diff or call.kind in ("edit", "delete", "move")
        return self.policy.refusal(call) if is_edit and call.id not in self._answered else ""

    def _refuse(self, words: str) -> None:
        line = clean_line(words)
        self.refused.append(line)
        self._note("refused", line)
        self.ledger.talk(f"\n[refused] {line}\n")

    def _note(self, kind: str, text: str) -> None:
        """An event, unless an agent in a loop has made enough of them."""
        self._noted[kind] = self._noted.get(kind, 0) + 1
        if self._noted[kind] <= MOST_NOTES:
            self.ledger.note(kind, clean_line(text))

    def _write_down(self) -> None:
        """Put the words since the last tool call on record."""
        for title, pieces in (("Thought", self._thought), ("Said", self._message)):
            if words := "".join(pieces).strip():
                self.ledger.talk(f"\n## {title}\n{words}\n")
        self._thought.clear()


def described(call: ToolCall) -> str:
    """A tool call in one line."""
    what = call.command or call.title or call.kind or "a tool"
    where = "" if call.command else ", ".join(path for path in call.paths[:3] if path not in what)
    return clean_line(f"{what} ({where})" if where else what, 200)
