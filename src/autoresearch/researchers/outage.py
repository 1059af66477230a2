"""Whether a text of an agent says that its model cannot be reached, and for how long.

Agents report a rate limit, a server's error or a lost network in words of many kinds, some as an
error, some as if the model had said it. `outage_of` knows the usual ones in an error, `outage_said`
in a message; ask that one only where no change was made: anyone may speak of a network.
"""

import re
from dataclasses import dataclass

from autoresearch.text import clean_line


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


SIGNED_OUT = "not signed in"
_BEFORE = (  # `status code: 429`, `HTTP 503`; a bare `code: 512` is something else
    r"(?:status(?:\W{0,3}code)?|api error|error\W{0,3}code|http(?:\W{0,3}(?:status|error|code))?)"
    r"\W{0,3}"
)
_SERVERS = r"5(?:0\d|2\d)"  # codes that are in use
_KINDS = {
    "rate limit": _any(
        _BEFORE + r"(?:429|529)\b",
        r"\b(?:429|529)\W{1,3}(?:too many|overloaded|status|\{)",
        r"rate[ _-]?limit",
        r"too many requests",
        r"overloaded",
        r"usage[ _]limit",
        r"hit your (?:\w+ )?limit",
        r"exceeded your (?:current )?quota",
        r"quota (?:exceeded|exhausted)",
        r"resource[ _]?(?:has been )?exhausted",
        r"out of credits|credit balance|insufficient[ _](?:quota|balance|credit)",
    ),
    SIGNED_OUT: _any(
        _BEFORE + r"40[13]\b",
        r"\b40[13]\W{1,3}(?:unauth|forbidden)",
        r"unauthori[sz]ed",
        r"authentication (?:is )?(?:required|failed|error)",
        r"not (?:logged|signed) in",
        r"please (?:run )?/?(?:log|sign) ?in",
        r"(?:invalid|incorrect|missing|no) (?:x-)?api[ _-]?key",
        r"api key (?:is )?(?:not|missing|required)",
        r"set an auth method",
    ),
    "server error": _any(
        _BEFORE + _SERVERS + r"\b",
        r"\b"
        + _SERVERS
        + r"\W{1,3}(?:internal server|bad gateway|service unavail|gateway time|status|\{)",
        r"internal server error|bad gateway|gateway time-?out",
        r"service (?:is )?(?:temporarily |currently )?unavailable",
        r"server[ _]error|the server had an error",
        r"experiencing high demand",  # Codex, of any 5xx
        r"api error: json|incomplete json",  # an answer of a proxy's, perhaps
    ),
    "no connection": _any(
        r"\bE(?:CONNREFUSED|CONNRESET|NOTFOUND|TIMEDOUT|AI_AGAIN|HOSTUNREACH|NETUNREACH|PIPE)\b",
        r"fetch failed|error sending request|premature close|socket hang ?up|other side closed",
        r"connection (?:was )?(?:refused|reset|error|closed|aborted|lost|timed out)",
        r"(?:unable|failed|cannot|could not) (?:to )?connect",
        r"network (?:is unreachable|error|failure)",
        r"name resolution|resolve host",
        r"stream (?:was )?disconnected|unexpected end of (?:stream|json|data|input)",
        r"request timed out|timed out waiting",
    ),
}
_LONGEST_SAID = 1500  # characters: an error that is passed off as an answer is short
_LONGEST_ERROR = 20_000

_NUMBER, _UNIT = r"\d{1,9}(?:\.\d{1,9})?", r"ms|[a-z]*"
_WAIT = re.compile(
    r"(?:retry[ _-]?(?:after|delay|in)|try again (?:in|after)|again in|resets? in|wait(?: for)?)"
    rf"\W{{0,6}}(?:about )?(?P<time>{_NUMBER}\s?(?:{_UNIT})"
    rf"(?:[\s,]{{0,2}}(?:and )?{_NUMBER}\s?(?:{_UNIT})){{0,2}})",
    re.IGNORECASE,
)
_PART = re.compile(rf"({_NUMBER})\s?({_UNIT})", re.IGNORECASE)
_LONGEST_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a model cannot be reached. `retry_seconds`: when it asked to be tried again."""

    kind: str
    text: str
    retry_seconds: float | None = None

    @property
    def reason(self) -> str:
        return f"{self.kind}: {self.text}"


def outage_of(error: str) -> Outage | None:
    """The outage that an error speaks of."""
    text = error[:_LONGEST_ERROR]
    for kind, words in _KINDS.items():
        if words.search(text):
            return Outage(kind, clean_line(text, 200), retry_seconds(text))
    return None


def outage_said(message: str) -> Outage | None:
    """The outage that stands in place of an answer."""
    return outage_of(message) if len(message.strip()) <= _LONGEST_SAID else None


def retry_seconds(text: str) -> float | None:
    """When a text says to come back: `Retry-After: 30`, `try again in 1h 5m`, `retryDelay: 34s`."""
    found = _WAIT.search(text)
    if not found:
        return None
    seconds = sum(float(number) * _scale(unit) for number, unit in _PART.findall(found["time"]))
    return min(seconds, _LONGEST_SECONDS)


def _scale(unit: str) -> float:
    """Seconds of one of a unit; whatever is no unit stands for seconds."""
    if unit.lower().startswith(("ms", "milli")):
        return 0.001
    return {"m": 60.0, "h": 3600.0}.get(unit[:1].lower(), 1.0)
