"""What a person says of agents, beside which one: `run --agent-read`, limits, the box."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """For every researcher that starts a program of somebody else's."""

    boxed: bool = True  # hold it in a box, where bubblewrap can run
    grants: tuple[Path, ...] = ()  # what more of this machine it may read
    start_seconds: float = 300.0  # silence before its first session, and then at work, after
    idle_seconds: float = 300.0  # which it counts as hanging
    nudges: int = 3  # how often it is told to go on before it counts as useless
    tool_calls: int = 200  # of one proposal; an agent that needs more is in a loop
