"""Protects what a person does with the page: every control, in a real browser, against a real study
that runs; two browsers, a restarted server, a restarted engine and a broken line."""

import http.server
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autoresearch.testing.long_study import long_study
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.stored import write_study
from tests.dashboard.conftest import Open
from tests.dashboard.parts import Wire, ask, engine, events_of, eventually, stepped_lab, store_of

pytestmark = pytest.mark.measured

LONG = "SLEEP = 60"  # an idea whose run takes a minute: something to skip


@pytest.fixture
def server(lab: Path) -> Iterator[PageServer]:
    stepped_lab(lab)
    with PageServer(lab) as server:
        yield server


def see(page: Any, selector: str, text: "str | re.Pattern[str]" = "") -> Any:
    """The element, once it shows this."""
    found = page.locator(selector).filter(has_text=text) if text else page.locator(selector)
    found.first.wait_for()
    return found.first


def state(page: Any, words: str) -> None:
    see(page, "#state", re.compile(words))


def agree(page: Any, *, really: bool = True) -> None:
    """Answer the question that stands before an order."""
    page.locator("#confirm[open]").wait_for()
    page.locator("#confirm-yes" if really else "#confirm button[value=no]").click()
    page.locator("#confirm").wait_for(state="hidden")


def idea(page: Any, text: str) -> None:
    page.get_by_label("A note, or an idea").fill(text)
    page.get_by_role("button", name="Queue as an idea").click()
    see(page, "#answer", "idea")


def running(page: Any, text: str) -> None:
    """Once the experiment of these words trains."""
    see(page, "#current", text)
    state(page, "training")


def test_every_control_steers_a_running_study(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    page = open_page(server)
    see(page, "#nothing h1", "No study yet")
    with engine(lab, "--experiments", "400", "--for", "2h"):
        state(page, "Running")  # it appears by itself
        see(page, "#rows .is-keep")
        see(page, "#budget", re.compile(r"left of 400.*left of 2 h", re.S))
        see(page, "#device", "Processor")
        see(page, "#chart canvas")

        page.get_by_role("button", name="Pause").click()
        see(page, "#answer", "pausing")
        state(page, "Paused")
        assert page.get_by_role("button", name="Pause").is_hidden()
        check_veto(page, lab)
        check_words(page, lab)
        check_budget(page, lab)

        idea(page, LONG)
        page.get_by_role("button", name="Resume").click()
        running(page, LONG)
        see(page, "#tried-list", "now #")
        assert page.locator("#pending").is_hidden()
        see(page, "#live-legend", re.compile(r"#\d+, running: \d"))
        see(page, "#progress-text", re.compile(r"of 1 min.*step \d+.*loss"))
        page.locator("#rows tr", has_text="running").click()  # it can be looked at meanwhile
        see(page, "#experiment .legend", re.compile(r"#\d+: \d"))
        see(page, "#experiment .diff ins", "60")
        page.keyboard.press("Escape")
        check_skip(page, lab)

        idea(page, LONG)
        running(page, LONG)
        page.get_by_role("button", name="Stop after this one").click()
        agree(page, really=False)
        assert not events_of(lab, "stop")
        page.get_by_role("button", name="Stop after this one").click()
        agree(page)
        see(page, "#state-more", "stops after this experiment")
        check_skip(page, lab)
        state(page, "Not running")
        see(page, "#state-more", "You stopped it")
    for kind, count in (("pause", 1), ("resume", 1), ("stop", 1), ("veto", 1), ("restore", 1)):
        assert len(events_of(lab, kind)) == count, kind


def check_veto(page: Any, lab: Path) -> None:
    page.locator("#filters").get_by_text("kept").click()
    row = page.locator("#rows tr[data-number]").first
    number = row.get_attribute("data-number")
    row.click()
    see(page, "#experiment h1", f"#{number}")
    see(page, "#experiment .diff ins", "=")
    see(page, "#experiment .diff .k-m")  # a number has its colour
    see(page, "#experiment table", "Setting")
    see(page, "#experiment .lineage [aria-current]", f"#{number}")
    see(page, "#experiment canvas")
    page.get_by_role("button", name="Veto this change").click()
    agree(page, really=False)
    assert not events_of(lab, "veto")
    page.get_by_role("button", name="Veto this change").click()
    see(page, "#confirm-text", re.compile(rf"Takes back #{number}.*; the best is then .*\(\d"))
    agree(page)
    see(page, "#experiment .verdict", "vetoed")
    see(page, "#experiment-answer", f"#{number} is vetoed")
    assert [each.data for each in events_of(lab, "veto")] == [{"experiment": int(number)}]
    page.get_by_role("button", name="Restore").click()
    agree(page)
    see(page, "#experiment .verdict", "kept")
    page.get_by_role("link", name="All experiments").click()
    see(page, "#events", f"You vetoed #{number}")
    page.locator("#filters").get_by_text("all").click()


def check_words(page: Any, lab: Path) -> None:
    field = page.get_by_label("A note, or an idea")
    page.get_by_role("button", name="Leave a note").click()
    assert page.evaluate("document.activeElement.id") == "word"  # nothing was said yet
    field.fill("stay away from Y <b>")
    page.get_by_role("button", name="Leave a note").dblclick()
    see(page, "#pending-list", re.compile(r"knobs reads no words.*stay away from Y <b>", re.DOTALL))
    eventually(lambda: field.input_value() == "", "the field is emptied")
    idea(page, "Y = 0.25")
    see(page, "#pending-list", "Y = 0.25")
    page.get_by_role("button", name="Withdraw the idea: Y = 0.25").click()
    page.get_by_role("button", name="Withdraw the note: stay away from Y <b>").click()
    page.locator("#pending").wait_for(state="hidden")
    assert [each.data["text"] for each in events_of(lab, "note", "idea")] == [
        "stay away from Y <b>",
        "Y = 0.25",
    ]


def check_budget(page: Any, lab: Path) -> None:
    for unit, amount, seen in (
        ("experiments", "5", "left of 405"),
        ("hours", "1.5", "left of 3 h 30 min"),
    ):
        page.get_by_label("Unit").select_option(unit)
        page.get_by_label("Extend the budget by").fill(amount)
        page.get_by_role("button", name="Extend").click()
        agree(page, really=False)
        page.get_by_role("button", name="Extend").click()
        see(page, "#confirm-text", f"more, {seen.removeprefix('left of ')}")
        agree(page)
        see(page, "#budget", seen)
    page.get_by_role("button", name="Take back: 1 h 30 min").click()
    agree(page)
    see(page, "#budget", "left of 2 h")
    # there is no limit on tokens and money
    assert page.locator("#extend-unit option:not([hidden])").count() == 2
    assert [each.data for each in events_of(lab, "extend")] == [
        {"experiments": 5},
        {"seconds": 5400.0},
    ]


def check_skip(page: Any, lab: Path) -> None:
    number = len(events_of(lab, "skip"))
    page.get_by_role("button", name="Skip this run").click()
    agree(page, really=False)
    assert len(events_of(lab, "skip")) == number
    page.get_by_role("button", name="Skip this run").click()
    agree(page)
    skipped = eventually(lambda: events_of(lab, "skip")[number:], "a skip")[0].data["experiment"]
    eventually(lambda: verdict_of(lab, skipped) == "discard", "the skip")
    see(page, "#events", f"You skipped #{skipped}")


def verdict_of(lab: Path, number: int) -> str | None:
    with store_of(lab) as store:
        return store.experiment("night", number).verdict


def shown_events(page: Any) -> list[int]:
    """The ids in the list of what happened, the oldest first."""
    more = page.locator("#more-events")
    while more.is_visible():
        more.click()
    found = page.eval_on_selector_all("#events li[data-id]", "all => all.map(e => +e.dataset.id)")
    return [*reversed(found)]


def check_events(page: Any, lab: Path) -> None:
    """The page shows every event of the store, once."""
    stored = [each.id for each in events_of(lab)]
    eventually(lambda: shown_events(page) == stored, "all events are shown")


def test_two_browsers_are_of_one_mind(server: PageServer, lab: Path, open_page: Open) -> None:
    with engine(lab, "--experiments", "400"):
        pages = [open_page(server), open_page(server)]
        for page in pages:
            state(page, "Running")
            see(page, "#rows .is-keep")
        for page in pages:  # at the same moment, as far as that can be done
            page.evaluate("document.getElementById('pause').click()")
        for page in pages:
            state(page, "Paused")
        assert len(events_of(lab, "pause")) == 1
        idea(pages[0], "Y = 0.3")
        see(pages[1], "#pending-list", "Y = 0.3")
        for page in pages:
            page.evaluate("document.querySelector('#pending-list button').click()")
        for page in pages:
            page.locator("#pending").wait_for(state="hidden")
        assert len(events_of(lab, "withdraw")) == 1
        pages[1].get_by_role("button", name="Resume").click()
        for page in pages:
            state(page, "Running")
            check_events(page, lab)


def page_of_a_night(server: PageServer, lab: Path, open_page: Open, **more: Any) -> Any:
    """The page of five experiments that are over; its line may break."""
    write_study(lab / ".autoresearch" / "autoresearch.db", "night", long_study(5).history)
    page = open_page(server, may_lose=True, **more)
    state(page, "Not running")
    return page


def test_a_restarted_server_loses_and_doubles_nothing(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    page = page_of_a_night(server, lab, open_page)
    server.stop(signal.SIGKILL)
    see(page, "#connection[data-state=lost]")
    with store_of(lab) as store:
        for number in range(20):
            store.event("night", "nudged", experiment=1, text=f"while it was away, {number}")
    page.get_by_label("A note, or an idea").fill("said to a server that is away")
    page.get_by_role("button", name="Leave a note").click()
    server.start()
    see(page, "#answer.is-error", "started anew: open the address")
    state(page, "Locked")
    see(page, "#state-more", "open the address that the terminal shows")
    page.goto(server.address)  # in the same tab: only what stands behind the # changes
    see(page, "#connection[data-state=live]")
    page.get_by_role("button", name="Leave a note").click()
    see(page, "#pending-list", "said to a server that is away")
    assert len(events_of(lab, "note")) == 1
    check_events(page, lab)
    other = page.context.new_page()
    server.restart()
    state(page, "Locked")
    other.goto(f"{server.origin}/#/night")
    see(other, "#locked h1", "Open the address")
    assert not other.locator("#overview").is_visible()
    other.goto(server.address)  # opens both
    for each in (page, other):
        see(each, "#connection[data-state=live]")
        state(each, "Not running")


def test_who_takes_the_port_or_another_one_hears_no_token(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    """An agent in its box may bind ports of this machine, also that of a page that has ended."""
    page, first, port = page_of_a_night(server, lab, open_page), server.token, server.port
    server.stop(signal.SIGINT)
    with listening(port) as heard, PageServer(lab) as later:
        page.context.new_page().goto(later.address)  # in the same browser, while the tab is open
        eventually(lambda: len(heard) > 3, "the tab asks again")
        assert later.port != port
        assert not [each for each in heard if later.token in each]
        assert first not in page.url
        said = {"Authorization": f"Bearer {first}"}
        assert ask(later, "/api/studies", headers=said, is_known=False).code == 401


def test_many_tabs_leave_each_other_a_line(server: PageServer, lab: Path, open_page: Open) -> None:
    """A browser has six lines to a server; a feed holds one for good."""
    page = page_of_a_night(server, lab, open_page)
    for number in range(1, 9):  # of them only the last one is in front
        page.evaluate(HIDE, True)
        page = page.context.new_page()
        page.goto(f"{server.origin}/#/night")
        see(page, "#connection[data-state=live]")
        page.get_by_label("A note, or an idea").fill(f"from tab {number}")
        page.get_by_role("button", name="Leave a note").click()
        see(page, "#pending-list", f"from tab {number}")
    first = page.context.pages[0]
    assert not first.get_by_text("from tab 8").count()
    first.evaluate(HIDE, False)
    see(first, "#pending-list", "from tab 8")
    check_events(first, lab)


HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_server_that_hangs_is_lost_and_found(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    page = page_of_a_night(server, lab, open_page)
    page.clock.install()
    page.reload()
    see(page, "#connection[data-state=live]")
    with server.held():
        page.clock.fast_forward(30_000)
        see(page, "#connection[data-state=lost]")
        page.clock.fast_forward(5_000)
        see(page, "#connection[data-state=lost]")
    page.clock.fast_forward(30_000)
    see(page, "#connection[data-state=live]")


@contextmanager
def listening(port: int) -> Iterator[list[str]]:
    """Another program at that port of this machine; what it is asked."""
    heard: list[str] = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_error(404)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield heard
        other.shutdown()


def test_a_killed_and_restarted_engine_is_seen(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    page = open_page(server)
    with engine(lab, "--experiments", "400"):
        see(page, "#rows .is-keep")
        idea(page, LONG)
        running(page, LONG)
    state(page, "The engine has died")
    see(page, "#state[data-state=died]")
    see(page, "#state-more", re.compile(r"last sign was at.*autoresearch run --tag night"))
    see(page, "#rows .is-open", "left open")
    see(page, "#live-title", "left open")
    with engine(lab, "--experiments", "400"):
        running(page, LONG)
        see(page, "#events", "after the engine had been killed")
        check_skip(page, lab)
    check_events(page, lab)


def test_what_a_broken_line_swallowed_is_asked_for_again(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    """Curves and sheets, which are asked for apart: no error in the page, and no hole in it."""
    page = page_of_a_night(server, lab, open_page)
    for lost, instead in (("curves/*", "val_bpb"), ("experiments/2", "could not be read")):
        with page.expect_event("requestfailed"):
            page.route(f"**/api/study/night/{lost}", lambda route: route.abort())
            page.evaluate("location.hash = '#/night/2'")
        see(page, "#experiment", instead)
        page.unroute_all()
        page.evaluate("location.hash = '#/night'")
        see(page, "#overview")
        page.evaluate("location.hash = '#/night/2'")
        see(page, "#experiment", "val_bpb")
        page.evaluate("location.hash = '#/night'")
        see(page, "#overview")


def test_a_broken_line_loses_no_event_and_doubles_no_order(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    wire = Wire(server.port)
    page = page_of_a_night(server, lab, open_page, port=wire.port)
    for times in range(3):
        wire.cut()
        see(page, "#connection[data-state=lost]")
        with store_of(lab) as store:
            store.event("night", "nudged", experiment=1, text=f"unheard {times}")
        wire.mend()
        see(page, "#connection[data-state=live]")
        see(page, "#events", f"unheard {times}")
    wire.loses_answer = True  # the order arrives, and the browser cannot know
    page.get_by_label("A note, or an idea").fill("said once")
    page.get_by_role("button", name="Leave a note").click()
    see(page, "#answer", "done already")
    see(page, "#pending-list", "said once")
    assert [each.data for each in events_of(lab, "note")] == [{"text": "said once"}]
    check_events(page, lab)
    wire.close()


def test_trouble_is_seen_at_the_top_while_it_lasts(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    agent = lab.parent / "agent.sh"
    agent.write_text("#!/bin/sh\necho 'Error: 429 rate limit exceeded' >&2\nexit 1\n")
    agent.chmod(0o755)
    page = open_page(server)
    with engine(lab, "--experiments", "400", "--researcher", f"cmd:{agent}"):
        see(page, "#troubles", re.compile(r"Since .*rate limit.*knobs stands in"))
        see(page, "#state[data-state=trouble]")
        see(page, "#events", re.compile(r"knobs stands in for .*#\d+ and \d+ experiments? before"))
        words = [sys.executable, "-m", "autoresearch", "status"]
        said = subprocess.run(words, cwd=lab, capture_output=True, text=True, check=True).stdout
        assert re.search(r"^trouble +.*rate limit", said, re.MULTILINE)
    state(page, "has died")
    assert page.locator("#troubles").is_hidden()


def test_an_address_that_leads_nowhere_is_said_once(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    page = page_of_a_night(server, lab, open_page)
    page.evaluate("location.hash = '#/night/5555'")
    see(page, "#experiment", "There is no such experiment")
    with store_of(lab) as store:
        store.event("night", "nudged", text="news")
    page.wait_for_timeout(3000)  # news of the machine come meanwhile
    assert page.get_by_text("There is no such experiment").count() == 1
    page.evaluate("location.hash = '#/%E0%A4%A'")
    page.wait_for_url("**/#/night")
    see(page, "#overview")
