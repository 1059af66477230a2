"""What an experiment may have written, made harmless before it leaves the server.

The page shows all of it as text, never as markup; here goes what would steer a reader's eyes:
escape sequences, hidden characters, a turned reading direction.
"""

from pathlib import Path
from typing import Any

from autoresearch.text import clean, json_value, plain

TAIL_BYTES = 48 * 2**10  # of a log or a talk: more is read in the terminal
LONGEST, LONGEST_NAME = 4000, 200


def harmless(value: Any) -> Any:
    """JSON values with harmless words in them; numbers that JSON has not become None."""
    return json_value(
        value, lambda word: plain(word[:LONGEST]), lambda name: plain(name[:LONGEST_NAME])
    )


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
