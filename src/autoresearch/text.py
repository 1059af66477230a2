"""Text from experiments is hostile: what is shown of it passes through here."""

import re
import unicodedata

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def clean(text: str) -> str:
    """Without escape sequences, control characters and direction overrides; lines stay lines."""
    text = ESCAPES.sub("", text)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in BANNED)


BANNED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean_line(text: str, limit: int = 300) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(clean(text.replace("\n", " ").replace("\t", " ")).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
