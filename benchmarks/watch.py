"""How quick the live page is with 5,000 experiments. `python benchmarks/watch.py [COUNT]`

Chromium loads the page several times from a server of its own; then events and experiments arrive
while frames are counted. Prints medians, with the fastest and the slowest.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from autoresearch.experiment import Verdict
from autoresearch.lab import Lab
from autoresearch.store import Store, now
from autoresearch.testing.browser import CHROMIUM, FLAGS
from autoresearch.testing.long_study import long_study
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.stored import experiment_row, insert, write_study
from autoresearch.testing.tiny import make_tiny_lab

LOADS = 9
ARRIVALS = 60
FRAMES = """async (seconds) => {
  const gaps = []; let last = performance.now(); const end = last + seconds * 1000;
  while (last < end) {
    await new Promise(requestAnimationFrame);
    const now = performance.now(); gaps.push(now - last); last = now;
  }
  return gaps;
}"""


def words(values: Sequence[float], unit: str) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):7.2f} {unit} ({low:.2f} to {high:.2f})"


def load_seconds(page: Page, address: str) -> float:
    """From the navigation to the table and the chart being drawn."""
    page.goto("about:blank")
    page.goto(address, wait_until="commit")
    wait_until_drawn(page)
    return float(page.evaluate("performance.now()")) / 1000


def first_load_seconds(browser: Browser, server: PageServer) -> float:
    """The same in a browser that was never there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    seconds = load_seconds(context.new_page(), server.address)
    context.close()
    return seconds


def wait_until_drawn(page: Page) -> None:
    page.wait_for_selector("#rows a")
    page.wait_for_selector("#chart-legend li")


def arrive(path: Path, count: int, ended: threading.Event) -> None:
    """New experiments and events, ten a second, as no real study has them."""
    last = long_study(20).history[-1]
    for number in range(count + 1, count + 1 + ARRIVALS):
        new = replace(last, number=number, parent=0, verdict=Verdict.DISCARD, finished_at=now())
        with Store(path) as store:
            insert(store._db, "experiments", experiment_row("night", new))
            store.event("night", "nudged", experiment=number, text="it arrives")
        time.sleep(0.1)
    ended.set()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        lab = Lab.open(make_tiny_lab(Path(name) / "lab"))
        path = lab.home / "autoresearch.db"
        write_study(path, "night", long_study(count).history)
        with PageServer(lab.root) as server:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            with page.expect_response("**/api/study/night") as answer:
                page.goto(server.address)
            size = len(answer.value.body())
            sent = answer.value.request.sizes()["responseBodySize"]
            wait_until_drawn(page)
            loads = [first_load_seconds(browser, server) for _ in range(LOADS)]
            print(f"page of {count:,}, until table and chart are drawn {words(loads, 's')}")
            loads = [load_seconds(page, server.origin) for _ in range(LOADS)]
            print(f"the same in a browser that was there before    {words(loads, 's')}")
            print(f"its data: {size / 1e6:.2f} MB, {sent / 1e6:.2f} MB as sent")
            ended = threading.Event()
            thread = threading.Thread(target=arrive, args=(path, count, ended))
            thread.start()
            gaps = page.evaluate(FRAMES, 6)
            thread.join()
            print(f"frames while {ARRIVALS} experiments arrive {words(gaps, 'ms')}")
            long = sum(gap > 200 for gap in gaps)
            print(f"frames later than 200 ms: {long} of {len(gaps)}")
            typed = []
            for letter in "warmdown":
                began = time.perf_counter()
                page.locator("#search").press(letter)
                page.evaluate("new Promise(requestAnimationFrame)")
                typed.append((time.perf_counter() - began) * 1000)
            print(f"a letter in the search {words(typed, 'ms')}")
            browser.close()


if __name__ == "__main__":
    main()
