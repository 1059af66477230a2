"""Names to classes: the one place that imports late, so that what is not used costs nothing."""

from importlib import import_module
from typing import Any

from autoresearch.errors import UserError
from autoresearch.researchers.base import Researcher

RESEARCHERS = {
    "knobs": "autoresearch.researchers.knobs:Knobs",
}


def load(path: str) -> Any:
    """What `module:name` stands for."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def researcher(spec: str) -> Researcher:
    """The researcher of `NAME` or `NAME:OPTION`. Raises UserError for an unknown name."""
    name, _, option = spec.partition(":")
    if name not in RESEARCHERS:
        known = ", ".join(RESEARCHERS)
        raise UserError(f"no researcher {name!r}: there are {known}")
    made: Researcher = load(RESEARCHERS[name])(*([option] if option else []))
    return made
