"""What an experiment may have written, made harmless before it leaves the server.

The page shows all of it as text, never as markup; here goes what would steer a reader's eyes:
escape sequences, hidden characters, a turned reading direction.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from autoresearch.text import clean, plain

TAIL_BYTES = 48 * 2**10  # of a log or a talk: more is read in the terminal
LONGEST = 4000


def harmless(value: Any) -> Any:
    """JSON values with harmless words in them; numbers that JSON has not become None."""
    if isinstance(value, str):
        return plain(value[:LONGEST])
    if isinstance(value, Mapping):
        return {plain(str(name)[:200]): harmless(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(each) for each in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def tail(path: Path) -> dict[str, Any]:
    """The end of a file as text: {"text", "cut": whether something stands before it}."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except OSError:
        return {"text": "", "cut": False}
    text = data.decode(errors="replace")
    is_cut = size > TAIL_BYTES
    if is_cut:
        text = text.partition("\n")[2] or text
    return {"text": clean(text.replace("\r\n", "\n").replace("\r", "\n")), "cut": is_cut}
