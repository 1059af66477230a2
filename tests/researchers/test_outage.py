"""Protects a night from an outage taken for an answer, and from an answer taken for an outage."""

import time

import pytest

from autoresearch.researchers.outage import outage_of, outage_said, retry_seconds

OUTAGES = {  # as agents and model servers put it
    'API Error: 429 {"type":"error","error":{"type":"rate_limit_error"}}': "rate limit",
    "exceeded retry limit, last status: 429 Too Many Requests": "rate limit",
    "RESOURCE_EXHAUSTED: You exceeded your current quota": "rate limit",
    "You've hit your usage limit. Try again in 3 hours.": "rate limit",
    "529 overloaded_error": "rate limit",
    "Your credit balance is too low to access the API": "rate limit",
    "Internal error: HTTP 503": "server error",
    "[API Error: 500 Internal Server Error]": "server error",
    "unexpected status 502 Bad Gateway: upstream": "server error",
    "We're currently experiencing high demand, which may cause temporary errors.": "server error",
    "status 500: terminated": "server error",
    "Internal error: API Error: JSON Parse error: Unrecognized token '<'": "server error",
    "fetch failed": "no connection",
    "Cannot connect to API: connect ECONNREFUSED 127.0.0.1:9": "no connection",
    "stream disconnected before completion: error sending request for url": "no connection",
    "getaddrinfo EAI_AGAIN api.example.org": "no connection",
    "Authentication required": "not signed in",
    "Invalid API key · Please run /login": "not signed in",
    "error code: 401 - Unauthorized": "not signed in",
}


@pytest.mark.parametrize("text", OUTAGES)
def test_the_usual_words(text: str) -> None:
    outage = outage_said(text)
    assert outage is not None
    assert outage.kind == OUTAGES[text]
    assert outage.reason.startswith(f"{outage.kind}: ")


@pytest.mark.parametrize(
    "text",
    [
        "I set the number of steps to 500 and the width to 429. Shall I go on?",
        "Shall I change the constant in the code: 512 or 768?",
        "The status: 576 channels so far.",
        "Should I look at the timeout of the training run first?",
        "I could add a connection between layer 3 and 5.",
        "Done. The error falls from 503 to 401 in my estimate.",
        "The rate is limited by memory, so I lowered the batch size.",
        "",
    ],
)
def test_words_of_a_researcher(text: str) -> None:
    assert outage_said(text) is None


def test_only_a_short_message_stands_for_an_outage() -> None:
    text = "I have read about rate limits. " + "So I went on to the next idea. " * 100
    assert outage_said(text) is None
    assert outage_of(text) is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 1m30.5s.", 90.5),
        ("try again in 20ms", 0.02),
        ("Retry-After: 30", 30.0),
        ('"retryDelay": "34s"', 34.0),
        ("resets in 2 hours and 5 minutes", 7500.0),
        ("retry after 999999999 hours", 86400.0),
        ("try again later", None),
    ],
)
def test_the_time_to_wait(text: str, seconds: float | None) -> None:
    assert retry_seconds(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "text", ["retry in ", "wait 1 1 1 ", "code code ", "a", "error: 5", "429 "]
)
def test_no_text_takes_long_to_read(text: str) -> None:
    began = time.monotonic()
    outage_of(text * 10**5)
    retry_seconds((text * 10**5)[:20_000])
    assert time.monotonic() - began < 1
