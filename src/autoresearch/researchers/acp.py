"""Any coding agent that speaks the Agent Client Protocol is the researcher.

    Acp("gemini", PRESETS["gemini"], Settings()).propose(desk)

Each proposal is a process of its own: started in its box, told the task, and told to go on as long
as the desk would be refused. It ends with the change, or with an error that says what was wrong:

    it asks, stops, breaks a rule     told so, a few times; then Failed
    it dies                           started once more; then Unavailable
    it is silent, or takes too long   Unavailable
    it loops or floods                what it has changed, if that can be used; else Failed
    its model cannot be reached       Unavailable, with the time that was asked for

`continued`: the agent's session is taken up again for the next proposal, where the agent can do
that. Its process is not kept: a desk is laid out anew for each proposal, and a process in a box
would go on seeing the old one.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoresearch import __version__
from autoresearch.errors import Failed, Spent, Unavailable, UserError
from autoresearch.experiment import Experiment, Proposal
from autoresearch.program import Program
from autoresearch.researchers.acp_process import started
from autoresearch.researchers.acp_visit import Troubled, Visit, description_of
from autoresearch.researchers.acp_words import About, AgentError, Gone, Session
from autoresearch.researchers.base import Desk
from autoresearch.researchers.boxed import Hold
from autoresearch.researchers.outage import SIGNED_OUT, outage_of
from autoresearch.researchers.permissions import Policy
from autoresearch.researchers.presets import Preset, agent_environment, check_installed
from autoresearch.researchers.prompt import AGAIN, commands, continued, prompt
from autoresearch.researchers.settings import Settings
from autoresearch.researchers.statement import to_proposal
from autoresearch.researchers.turn import Conversation, Meter, Trouble
from autoresearch.text import clean_line

CHECK_SECONDS = 120.0  # to start and open a session; the first start of an agent is slow
LIVES = 2  # how often an agent is started for one proposal


class Acp:
    """The agent of a preset."""

    listens = True

    def __init__(
        self, name: str, preset: Preset, settings: Settings, continued: bool = False
    ) -> None:
        """Raises UserError when its program is not installed."""
        check_installed(name, preset)
        self.name, self.preset, self.settings, self.continued = name, preset, settings, continued
        self._session, self._meter = "", Meter(preset.counting)
        self._taken_up = ""  # the earlier session that this process was asked to go on with
        self._spoiled: set[str] = set()  # sessions that came to grief, which nobody takes up again
        self._hold = Hold(name, settings, preset.writable())

    def check(self, tree: Path) -> list[str]:
        """Start it once and ask it for a session: a missing login shows now, not at night."""
        desk = Desk(tree, Program(), (), Experiment(0, None, ""), 1, 0, seconds=CHECK_SECONDS)
        why = self._hold.unboxed_because
        box = f"WITHOUT a box: {why}" if why else "in a box: it writes its desk and its own folders"
        try:
            about = asyncio.run(self._greet(desk))
        except Gone as error:
            raise UserError(f"{self.name} does not start: {error}") from error
        except Troubled as error:
            why = f"{self.name} {self._words(error, desk)}, and opened no session"
            raise UserError(f"{why}: start it once by hand") from error
        except AgentError as error:
            outage = outage_of(str(error))
            if error.needs_login or outage is None or outage.kind == SIGNED_OUT:
                raise UserError(str(self._fault(error))) from error
            return [f"{self.name} cannot be reached yet, and is asked again: {outage.reason}"]
        return [f"{about.name or self.name} answers, and works {box}"]

    def propose(self, desk: Desk) -> Proposal:
        return asyncio.run(self._propose(desk))

    async def _greet(self, desk: Desk) -> About:
        policy = Policy(desk.tree, (), self._readable())
        talk = Conversation(desk.ledger, policy, self._meter, self.settings.tool_calls)
        deadline = time.monotonic() + desk.seconds
        argv = self._hold.around(self.preset.command, desk)
        async with started(argv, desk.tree, self._environment(), talk) as agent:
            visit = Visit(self.name, self.settings, desk, agent, talk, deadline)
            about = await visit.wait(agent.link.initialize(__version__))
            await self._begin(visit, about)
            return about

    def _environment(self) -> dict[str, str]:
        return agent_environment(self.preset)

    async def _propose(self, desk: Desk) -> Proposal:
        deadline = time.monotonic() + desk.seconds
        for life in range(1, LIVES + 1):
            self._taken_up = ""
            try:
                return await self._live(desk, deadline, AGAIN if life > 1 else "")
            except AgentError as error:
                fault = self._fault(error)
                is_of_old = not isinstance(fault, Unavailable) and self._spoil(desk, str(fault))
                if life == LIVES or not is_of_old:
                    raise fault from error
            except (Unavailable, Spent):  # neither is the fault of its session
                raise
            except Failed as error:
                self._spoil(desk, str(error))
                raise
            except Gone as error:
                died = str(error)
                self._spoil(desk, died)
                desk.ledger.note("died", f"{self.name}: {died}")
        outage = outage_of(died)
        raise Unavailable(f"{self.name}: {died}", outage.retry_seconds if outage else None)

    async def _live(self, desk: Desk, deadline: float, again: str) -> Proposal:
        """One process, from its start to a proposal."""
        is_boxed = not self._hold.unboxed_because
        policy = Policy(
            desk.tree, desk.program.editable, self._readable(),
            is_boxed, desk.program.commands.train,
        )  # fmt: skip
        talk = Conversation(desk.ledger, policy, self._meter, self.settings.tool_calls)
        about = About()
        argv = self._hold.at_night(self.preset.command, desk)
        try:
            async with started(argv, desk.tree, self._environment(), talk) as agent:
                visit = Visit(self.name, self.settings, desk, agent, talk, deadline)
                about = await visit.wait(agent.link.initialize(__version__))
                session, is_known = await self._open(visit, about)
                most = (
                    f"{self.settings.tool_calls} uses of tools are the most: then you are stopped."
                )
                rules = (commands(desk, is_boxed), most)
                opening = continued(desk) if is_known else prompt(desk, *rules)
                statement, said = await visit.work(session, opening + again)
        except Troubled as error:
            self._spoil(desk, self._words(error, desk))
            self._weigh(error, desk)  # now it can change nothing any more
            statement, said = talk.statement, talk.last_message
        proposal = to_proposal(statement, desk.program, description_of(said))
        return replace(proposal, details=self._details(about))

    async def _open(self, visit: Visit, about: About) -> tuple[Session, bool]:
        """The session to work in, and whether it knows the task already."""
        known = await self._continue(visit, about) if self.continued else None
        if known is None:  # whose totals begin at nothing
            self._session, self._meter = "", Meter(self.preset.counting)
            visit.talk.meter = self._meter
        session = known or await self._begin(visit, about)
        await self._set_mode(visit, session)
        self._session = session.id
        if self.continued:
            visit.talk.session = session.id
        return session, known is not None

    async def _begin(self, visit: Visit, about: About) -> Session:
        """A new session; an agent that wants a key named is told to take the one it was given."""
        link, tree = visit.agent.link, visit.desk.tree
        try:
            return await visit.wait(link.new_session(tree))
        except AgentError as error:
            has_key = any(name in os.environ for name in self.preset.login_keys)
            if not (error.needs_login and has_key and self.preset.login in about.logins):
                raise
        await visit.wait(link.login(self.preset.login))
        return await visit.wait(link.new_session(tree))

    async def _continue(self, visit: Visit, about: About) -> Session | None:
        """The session of the last proposal, where there is one and it can be taken up again."""
        last = _last_details(self.name, visit.desk)
        known = self._session or str(last.get("session") or "")
        if not known or known in self._spoiled:
            return None
        if not (about.can_load or about.can_resume):
            visit.desk.ledger.note("session", f"{self.name} cannot take up an earlier session")
            return None
        try:
            link, tree = visit.agent.link, visit.desk.tree
            self._taken_up = known
            if known != self._session:  # of a process before this one
                totals = visit.desk.ledger.totals(known) or last.get("meter")
                self._meter = Meter.of(self.preset.counting, totals)
                visit.talk.meter = self._meter
            return await visit.wait(link.continue_session(known, tree, about))
        except AgentError as error:
            self._taken_up = ""
            visit.desk.ledger.note("session", f"could not be taken up again: {error}")
            return None

    def _spoil(self, desk: Desk, why: str) -> bool:
        """Never again take up the session that this process went on with; False: it was a new one.

        One that has grown too long, or cannot be loaded, would fail in the same way all night.
        """
        if not self._taken_up:
            return False
        self._spoiled.add(self._taken_up)
        self._taken_up = self._session = ""
        desk.ledger.note("session", f"{self.name} gives up its earlier session: {why}")
        return True

    async def _set_mode(self, visit: Visit, session: Session) -> None:
        """The mode in which it asks before it acts, if it has one."""
        wanted = self.preset.modes
        mode = next((each for each in wanted if each in session.modes), "")
        if session.mode in wanted or not wanted:
            return
        try:
            if not mode:
                raise AgentError(f"there is none of {', '.join(wanted)}")
            await visit.wait(visit.agent.link.set_mode(session, mode))
        except AgentError as error:
            words = f"{self.name} stays in its mode {session.mode or 'without a name'}: {error}"
            visit.desk.ledger.note("mode", words)

    def _weigh(self, error: Troubled, desk: Desk) -> None:
        """Of an agent that was stopped: raises, unless the files can be used as they are."""
        words = f"{self.name} {self._words(error, desk)}"
        desk.ledger.note("broken-off", words)
        if error.trouble is Trouble.SILENCE:
            raise Unavailable(words)
        if objection := desk.objection():
            kind = Unavailable if error.trouble is Trouble.TIME else Failed
            raise kind(f"{words}; {objection}")

    def _words(self, error: Troubled, desk: Desk) -> str:
        """What it did that it had to be stopped."""
        return {
            Trouble.LOOP: f"used tools more than {self.settings.tool_calls} times",
            Trouble.FLOOD: "said more than anyone could read",
            Trouble.SILENCE: f"hangs: nothing came for {error.patience:.3g} s",
            Trouble.TIME: f"hangs: not done after {desk.seconds:.3g} s",
        }[error.trouble]

    def _fault(self, error: AgentError) -> Failed:
        """What an error that an agent answered with means for the night."""
        outage = outage_of(str(error))
        if outage is None and not error.needs_login:
            return Failed(f"{self.name} answered with an error: {clean_line(str(error))}")
        if outage is None or outage.kind == SIGNED_OUT:
            words = f"{self.name} is not signed in ({clean_line(str(error), 150)})"
            return Unavailable(f"{words}: sign in with it once, or set its key")
        return Unavailable(f"{self.name}: {outage.reason}", outage.retry_seconds)

    def _details(self, about: About) -> dict[str, Any]:
        session = {"session": self._session, "meter": self._meter.totals} if self.continued else {}
        return {"acp": self.name, "agent": clean_line(about.name, 100), **session}

    def _readable(self) -> tuple[Path, ...]:
        return (*self.settings.grants, *self.preset.writable())


def _last_details(name: str, desk: Desk) -> Mapping[str, Any]:
    """Of an agent's last proposal, perhaps before a restart: its session, and what that took."""
    for each in reversed(desk.history):
        if each.details.get("acp") == name:
            return each.details
    return {}
