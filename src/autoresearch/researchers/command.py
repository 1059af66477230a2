"""Any program that edits files is a researcher: `cmd: aider --yes --message-file {prompt} train.py`

It starts in the desk, once for each proposal. `{prompt}` in its command stands for a file that
holds the prompt, `{text}` for the prompt itself, as one argument; without either the prompt is its
standard input. All that it prints is kept as the talk, and at the end of that it states its
proposal. Where its change would be refused it is called again and told why.

It runs in the agent's box where there is one. A program that is known as an agent (claude, codex,
gemini, ...) finds its own configuration there; any other gets what was granted to be read.
"""

import os
import re
import shlex
import shutil
import tempfile
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import Failed, Unavailable, UserError
from autoresearch.experiment import Proposal, Usage
from autoresearch.process import Ending, Supervised
from autoresearch.researchers.base import Desk, Ledger
from autoresearch.researchers.boxed import Hold, caps
from autoresearch.researchers.outage import Outage, outage_of, outage_said
from autoresearch.researchers.presets import PRESETS, Preset, agent_environment
from autoresearch.researchers.prompt import commands, nudge, prompt
from autoresearch.researchers.settings import Settings
from autoresearch.researchers.statement import read_statement, to_proposal
from autoresearch.text import clean_line

PLACE = re.compile(r"\{(prompt|text)\}")
LONGEST_ARGUMENT_BYTES = 50_000  # the kernel takes 131,072 of all words, quoted once more
TALK_BYTES = 4 * 2**20  # a program that prints more is in a loop
LAST_WORDS = 2000  # characters, in which one that failed says why
INSTANT_SECONDS = 5.0  # who dies within it, and again, will not do better the next time


@dataclass(frozen=True, slots=True)
class Call:
    """One run of the program."""

    ending: Ending
    seconds: float
    said: str

    @property
    def is_well(self) -> bool:
        """Whether it ended by itself, and says that it could do what it was to do."""
        return not (self.ending.exit_code or self.ending.stopped or self.ending.error)

    @property
    def is_stillborn(self) -> bool:
        died = not self.is_well and not self.ending.stopped
        return died and self.seconds < INSTANT_SECONDS

    def outage(self) -> Outage | None:
        """Ask only where it made no change that can be used."""
        if self.is_well:
            return outage_said(self.said)
        return None if self.ending.stopped else outage_of(self.said[-LAST_WORDS:])


class Command:
    """A program as a researcher. UserError where it cannot be found or read."""

    listens = True
    is_silent = True

    def __init__(self, words: Sequence[str], settings: Settings | None = None) -> None:
        self._line, self._settings = shlex.join(words), settings or Settings()
        found = shutil.which(words[0])
        if found is None:
            raise UserError(
                f"the command {clean_line(self._line)!r} names no program that is there: install "
                "it, or write its whole path"
            )
        self._words = [os.path.abspath(found), *words[1:]]  # noqa: PTH100  links must stay
        self.name = Path(self._words[0]).name
        self._preset: Preset | None = PRESETS.get(self.name.removesuffix("-agent"))
        own = self._preset.writable() if self._preset else ()
        self._hold = Hold(self.name, self._settings, own)
        for path in self._settings.grants:
            if not path.exists():
                raise UserError(f"the program cannot be shown {path}: it is not there")

    def check(self, tree: Path) -> list[str]:
        """It is not started: only a proposal can show whether it works."""
        del tree
        why = self._hold.unboxed_because
        return [f"{self.name} works " + (f"WITHOUT a box: {why}" if why else "in a box")]

    def propose(self, desk: Desk) -> Proposal:
        deadline = time.monotonic() + desk.seconds
        rules = () if self._hold.unboxed_because else (commands(desk, is_boxed=True),)
        text = task = prompt(desk, *rules)
        with own_folder(desk) as folder:
            for nudges_left in range(self._settings.nudges, -1, -1):
                call = self._started(desk, folder, text, deadline)
                objection = desk.objection()
                if not objection and call.ending.stopped != "time":  # it may be half an edit
                    return self._proposal(desk, call)
                if failure := self._failure(call):
                    raise failure
                if nudges_left:
                    desk.ledger.note("nudged", f"{self.name}: {objection}")
                    text = f"{task}\n{nudge(objection, call.ending.said)}"
        raise Failed(f"{self.name} ended without a change that can be used: {objection}")

    def _proposal(self, desk: Desk, call: Call) -> Proposal:
        if not call.is_well:
            desk.ledger.note("ended", f"{self._how_it_ended(call)}; its change is taken")
        statement = read_statement(call.said)
        return to_proposal(statement, desk.program, f"a change by {self.name}")

    def _started(self, desk: Desk, folder: Path, text: str, deadline: float) -> Call:
        """A call; one that dies at once, with nothing done, is made again, once."""
        call = self._call(desk, folder, text, deadline)
        if call.is_stillborn and desk.objection() and not call.outage():
            desk.ledger.note("restarted", self._how_it_ended(call))
            again = self._call(desk, folder, text, deadline)
            if again.is_stillborn and again.ending.exit_code == call.ending.exit_code:
                raise Unavailable(f"{self._how_it_ended(again)}, twice")
            return again
        return call

    def _failure(self, call: Call) -> Failed | None:
        """Why it is of no use to tell it to go on."""
        if outage := call.outage():
            return Unavailable(f"{self.name}: {outage.reason}", outage.retry_seconds)
        if call.ending.error or call.ending.stopped == "time":
            return Unavailable(self._how_it_ended(call))
        return None if call.is_well else Failed(self._how_it_ended(call))

    def _call(self, desk: Desk, folder: Path, text: str, deadline: float) -> Call:
        file, log = folder / "prompt.md", folder / "log"
        folder.mkdir(parents=True, exist_ok=True)  # without a box a program can remove it
        file.write_text(text, encoding="utf-8")
        log.unlink(missing_ok=True)
        began = time.monotonic()
        argv = self._hold.at_night(filled(self._words, text, file), desk, file)
        desk.tick()
        talk = Talk(log, desk.ledger)
        desk.ledger.talk(f"\n## {clean_line(self._line)}\n\n")
        with ExitStack() as stack:
            stdin = None if PLACE.search(self._line) else stack.enter_context(file.open("rb"))
            process = stack.enter_context(
                Supervised(
                    argv,
                    cwd=desk.tree,
                    env=self._environment(),
                    log=log,
                    caps=caps(desk.tree, max(0.1, deadline - began), TALK_BYTES),
                    stdin=stdin.fileno() if stdin else None,
                )
            )
            while (ending := process.ending(timeout=0.2)) is None:
                desk.tick()
                talk.follow()
            desk.tick()  # as in process.run()
        talk.follow(to_the_end=True)
        desk.ledger.spend(Usage())  # whatever it took
        return Call(ending, time.monotonic() - began, talk.said)

    def _environment(self) -> dict[str, str]:
        names = self._preset.keys if self._preset else ()
        return agent_environment(
            None, {name: os.environ[name] for name in names if name in os.environ}
        )

    def _how_it_ended(self, call: Call) -> str:
        ending = call.ending
        said = f": {ending.said}" if ending.said else ""
        if ending.error:
            return f"{self.name} cannot be started: {clean_line(ending.error)}"
        if ending.stopped == "time":
            return f"{self.name} hangs: it was stopped after {call.seconds:.0f} s{said}"
        if ending.stopped == "log":
            return f"{self.name} printed more than {TALK_BYTES >> 20} MB{said}"
        if ending.stopped:
            return f"{self.name} was stopped: too much of {ending.stopped}{said}"
        return f"{self.name} ended with exit code {ending.exit_code}{said}"


def filled(words: list[str], text: str, file: Path) -> list[str]:
    """With the placeholders replaced, each once: what the prompt holds is never looked at."""
    argument = text.replace("\0", "")
    if len(argument.encode()) > LONGEST_ARGUMENT_BYTES:
        argument = f"Your task is in the file {file}: read all of it, then do what it says."
    values = {"prompt": str(file), "text": argument}
    return [PLACE.sub(lambda place: values[place[1]], word) for word in words]


@contextmanager
def own_folder(desk: Desk) -> Iterator[Path]:
    """For the prompt and the log: out of the program's reach, except that it may read the one."""
    if desk.scratch is not None:
        yield desk.scratch
        return
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as name:
        yield Path(name)


class Talk:
    """What the program prints, given to the ledger in whole lines while it is still at work."""

    def __init__(self, log: Path, ledger: Ledger) -> None:
        self._log, self._ledger, self._place = log, ledger, 0
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._rest, self._said = "", [""]

    @property
    def said(self) -> str:
        return "".join(self._said)

    def follow(self, to_the_end: bool = False) -> None:
        """Pass on what came since the last time; the last line when it is whole."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._place)
                data = file.read()
        except FileNotFoundError:
            return
        self._place += len(data)
        text = self._rest + self._decode(data, to_the_end).replace("\r", "\n")
        cut = len(text) if to_the_end else text.rfind("\n") + 1
        self._rest = text[cut:]
        if cut:
            self._said.append(text[:cut])
            self._ledger.talk(text[:cut])
