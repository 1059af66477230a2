"""An agent's process and the connection to it: nothing of them is left afterwards.

async with started(argv, desk.tree, environment, host) as agent:
    await agent.link.initialize(...)
"""

import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from autoresearch.process import Supervised, last_line
from autoresearch.researchers.acp_link import Link
from autoresearch.researchers.acp_words import Gone, Host
from autoresearch.researchers.boxed import caps
from autoresearch.text import clean_line

GRACE_SECONDS = 1.0  # to write its session down, once its input has ended
LONGEST_SECONDS = 7 * 86400.0  # time is looked after by whoever waits
LOG_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent."""

    process: Supervised
    link: Link
    log: Path  # what it says beside the protocol

    def is_gone(self) -> bool:
        return self.process.ending(timeout=0.0) is not None

    def last_words(self) -> str:
        """How it ended, in one line."""
        ending = self.process.ending(timeout=GRACE_SECONDS)
        said = last_line(self.log) or clean_line(self.link.noise)
        if ending is None:
            how = "it closed its output"
        elif ending.error:
            how = f"it could not be started: {ending.error}"
        elif ending.stopped:
            how = f"it was stopped: too much of {ending.stopped}"
        else:
            how = f"it ended by itself with exit code {ending.exit_code}"
        return f"{how}: {said}" if said else how


@asynccontextmanager
async def started(
    argv: Sequence[str], tree: Path, env: Mapping[str, str], host: Host
) -> AsyncIterator[Agent]:
    """Start it. On the way out without an error it has a moment to end by itself.

    Where the block raises Gone, another one is raised, which says how it ended.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autoresearch-")))
        log = folder / "stderr.txt"
        ear, their_mouth = os.pipe()
        their_ear, mouth = os.pipe()
        try:
            process = Supervised(
                argv, cwd=tree, env=env, log=log, caps=caps(tree, LONGEST_SECONDS, LOG_BYTES),
                stdin=their_ear, stdout=their_mouth,
            )  # fmt: skip
        except BaseException:
            os.close(ear)
            os.close(mouth)
            raise
        finally:
            os.close(their_ear)
            os.close(their_mouth)
        stack.enter_context(process)
        link = await Link.open(ear, mouth, host)
        agent = Agent(process, link, log)
        try:
            yield agent
        except Gone as error:
            raise Gone(agent.last_words()) from error
        finally:
            await link.close()
        process.ending(timeout=GRACE_SECONDS)
