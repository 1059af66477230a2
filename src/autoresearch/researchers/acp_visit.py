"""One agent at work on one proposal: prompts, turns, nudges, and an eye on it all the while."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from autoresearch.errors import Failed, Spent, Unavailable
from autoresearch.researchers.acp_process import Agent
from autoresearch.researchers.acp_words import AgentError, Answer, Gone, Session
from autoresearch.researchers.base import Desk
from autoresearch.researchers.outage import outage_said
from autoresearch.researchers.prompt import ask_for_statement, nudge
from autoresearch.researchers.settings import Settings
from autoresearch.researchers.statement import Statement, first_sentence
from autoresearch.researchers.turn import Conversation, Trouble

POLL_SECONDS = 0.1
CANCEL_SECONDS = 1.0  # an agent that is asked to stop has so long to say what it has taken
T = TypeVar("T")


class Troubled(Exception):
    """The agent had to be stopped in the middle of its work. `patience`: the silence allowed, s."""

    def __init__(self, trouble: Trouble, patience: float = 0.0) -> None:
        super().__init__(trouble.name)
        self.trouble, self.patience = trouble, patience


@dataclass(slots=True)
class Visit:
    """An agent's process at a desk. `deadline` is on the monotonic clock."""

    name: str
    settings: Settings
    desk: Desk
    agent: Agent
    talk: Conversation
    deadline: float
    _looks_gone: int = 0

    async def work(self, session: Session, text: str) -> tuple[Statement, str]:
        """Until the desk's files can be used: what was stated of them, and in the last message.

        Raises Troubled, Gone, AgentError; Failed when it had its chances; Unavailable.
        """
        nudges, is_asked, words = 0, False, ""
        while True:
            await self._turn(session, text)
            statement, said = self.talk.statement, self.talk.last_message
            if objection := self.desk.objection():
                self._give_up(objection, said, nudges)
                nudges += 1
                self.desk.ledger.note("nudged", objection)
                text = nudge(objection, said, self.talk.refused)
            elif statement.is_complete or is_asked:
                return statement, words or said
            else:
                is_asked, words, text = True, said, ask_for_statement()

    async def wait(self, call: Coroutine[Any, Any, T]) -> T:
        """The outcome of a call before the work, with an eye on the agent. Raises as work()."""
        task = asyncio.ensure_future(call)
        try:
            return await self._wait_for(task, self.settings.start_seconds)
        finally:
            await _end(task)

    def _give_up(self, objection: str, said: str, nudges: int) -> None:
        """Raises, when there is no use in telling it to go on."""
        if outage := outage_said(said or self.talk.text):
            raise Unavailable(f"{self.name}: {outage.reason}", outage.retry_seconds)
        if nudges >= self.settings.nudges:
            raise Failed(f"{self.name} was told to go on {nudges} times, and still: {objection}")
        if time.monotonic() > self.deadline:
            raise Troubled(Trouble.TIME)

    async def _turn(self, session: Session, text: str) -> None:
        """One prompt, until its answer has ended; what it took counts, however it ends."""
        self.talk.begin(text)
        prompt = asyncio.ensure_future(self.agent.link.prompt(session.id, text))
        try:
            trouble = await self._heard_out(session, prompt)
        except (AgentError, Gone):
            self.talk.end(None)  # what it took until then is paid for
            raise
        except BaseException:
            with suppress(Spent):  # Stopped, or Spent itself, says already why it ends
                self.talk.end(_answer_of(prompt))
            raise
        finally:
            await _end(prompt)
        self.talk.end(_answer_of(prompt))
        if trouble is not None:
            raise trouble

    async def _heard_out(
        self, session: Session, prompt: "asyncio.Future[Answer]"
    ) -> Troubled | None:
        """Until the answer has ended, or was broken off, and then why."""
        try:
            await self._wait_for(prompt, self.settings.idle_seconds)
        except Troubled as error:
            await self._break_off(session, prompt)
            return error
        return None

    async def _wait_for(self, task: "asyncio.Future[T]", patience: float) -> T:
        """The outcome of a task. Raises Troubled, Gone, and what tick() and the ledger raise."""
        while not task.done():
            await asyncio.wait({task}, timeout=POLL_SECONDS)
            self._look_after(task.done(), patience)
        return task.result()

    def _look_after(self, is_done: bool, patience: float) -> None:
        self.desk.tick()
        if self.agent.link.failure is not None:
            raise self.agent.link.failure
        if self.agent.link.is_flooded:
            raise Troubled(Trouble.FLOOD)
        if trouble := self.talk.trouble(patience):
            raise Troubled(trouble, patience)
        if is_done:
            return
        if time.monotonic() > self.deadline:
            raise Troubled(Trouble.TIME)
        self._looks_gone = self._looks_gone + 1 if self.agent.is_gone() else 0
        if self._looks_gone > 3:  # its last words have had the time to arrive
            raise Gone

    async def _break_off(self, session: Session, prompt: "asyncio.Future[Answer]") -> None:
        """Ask it to stop, and wait a moment for the end of its answer."""
        self.talk.is_over = True
        await self.agent.link.cancel(session.id)
        until = time.monotonic() + CANCEL_SECONDS
        while not prompt.done() and time.monotonic() < until:
            await asyncio.wait({prompt}, timeout=POLL_SECONDS)
            self.desk.tick()


def _answer_of(prompt: "asyncio.Future[Answer]") -> Answer | None:
    """The end of a turn, where it got so far."""
    is_answered = prompt.done() and not prompt.cancelled() and prompt.exception() is None
    return prompt.result() if is_answered else None


async def _end(task: "asyncio.Future[Any]") -> None:
    """Nobody waits for a task any more."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


def description_of(said: str) -> str:
    """For want of a statement: the first sentence, unless it is an error in disguise."""
    return "" if outage_said(said) else first_sentence(said)
