"""Pictures of the live page: `python docs/images/watch.py NIGHT [FOLDER]`

NIGHT is a finished study as make.py reads it: docs/examples/overnight-125/results.tsv gave the
pictures here. It is shown as if it went on: the run at work, its curve, all times, tokens and words
are made up. Writes watch-desktop.png, watch-phone.png and watch-dark.png.
"""

import json
import math
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from make import of_json, of_tsv
from playwright.sync_api import Browser, sync_playwright

from autoresearch import machine
from autoresearch.experiment import Experiment, Usage, incumbent
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.steering import orders
from autoresearch.store import Store
from autoresearch.testing.browser import CHROMIUM, FLAGS
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.stored import write_study
from autoresearch.testing.tiny import make_tiny_lab

HERE = Path(__file__).parent
TAG = "nov27"
BUDGET_SECONDS, DONE = 300.0, 0.63  # of the run at work
HYPOTHESIS = (
    "The loss still falls steeply when the warmdown begins: a longer one should let the matrices "
    "settle, at no cost in steps."
)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "device_scale_factor": 1.5}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 1080}},
    "phone": PHONE,
    "dark": {"viewport": {"width": 1280, "height": 1080}, "color_scheme": "dark"},
}


def main() -> None:
    night = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE
    read = of_json if night.suffix == ".json" else of_tsv
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        lab = Lab.open(make_tiny_lab(Path(name) / "lab"))
        with at_work(lab, list(read(night))), PageServer(lab.root) as server:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            for look, options in LOOKS.items():
                shoot(browser, server, out / f"watch-{look}.png", options)
            browser.close()


def shoot(browser: Browser, server: PageServer, path: Path, options: dict[str, Any]) -> None:
    page = browser.new_context(**options).new_page()
    page.goto(server.address)
    page.wait_for_selector("#chart-legend li")
    page.wait_for_selector("#live-legend li")
    page.wait_for_timeout(1500)  # the charts have drawn their names
    page.screenshot(path=path)


@contextmanager
def at_work(lab: Lab, night: list[Experiment]) -> Iterator[None]:
    """The night as an engine would have it that works on its next experiment."""
    program = Program(budget_seconds=BUDGET_SECONDS)
    path, folder = lab.home / "autoresearch.db", lab.study_folder(TAG)
    history = [*moved(night)]
    write_study(path, TAG, history, program=program, machine=machine.facts())
    best = incumbent(history, lower=True)
    assert best is not None
    current = len(history)
    curve(folder, best.number, 0.0, 1.0)
    curve(folder, current, -0.07, DONE)
    with lab.lock(), Store(path) as store:
        limits = {
            "experiments": 200,
            "seconds": 16 * 3600.0,
            "tokens": 20_000_000,
            "cost_usd": 25.0,
        }
        store.event(TAG, "started", pid=os.getpid(), researcher="claude", **limits)
        store.event(TAG, "nudged", experiment=12, text="it had edited nothing: asked once more")
        opened = store.begin(TAG, best.number, "claude")
        words = {"description": "WARMDOWN_RATIO 0.6 -> 0.75", "hypothesis": HYPOTHESIS}
        store.proposed(TAG, replace(opened, **words))
        spend(store, current)
        orders.give(lab, store, TAG, "note", {"text": "leave the tokenizer alone; look at the MLP"})
        (folder / "now.json").write_text(json.dumps(now_facts(current)))
        yield


def moved(night: list[Experiment]) -> Iterator[Experiment]:
    """The same experiments, six minutes each, so that the last one has just ended."""
    start = datetime.now(UTC) - timedelta(minutes=6 * len(night) + 3)
    for each in night:
        began = start + timedelta(minutes=6 * each.number)
        ended = began + timedelta(minutes=6)
        times = {"started_at": began.isoformat(), "finished_at": ended.isoformat()}
        who = each.researcher or ("claude" if each.number else "baseline")
        yield replace(each, **times, seconds=355.0, commit=None, researcher=who)


def curve(folder: Path, number: int, better: float, done: float) -> None:
    """A loss that falls as losses do."""
    dice, rows = random.Random(number), []
    for step in range(1, int(300 * done)):
        seconds = step * BUDGET_SECONDS / 300
        loss = 3.1 + 5.5 * math.exp(-seconds / 9) + 1.3 * math.exp(-seconds / 90) + better
        rows.append([seconds, step * 4, loss + dice.gauss(0, 0.008), step * 262_144])
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "curves" / f"{number:04d}.jsonl").write_text(text)


def now_facts(current: int) -> dict[str, Any]:
    seconds = DONE * BUDGET_SECONDS
    since = datetime.now(UTC) - timedelta(seconds=seconds + 20)
    figures = {"seconds": seconds, "step": 752, "loss": 3.1962, "tokens": 49_283_072}
    place = {"pid": os.getpid(), "experiment": current, "run": 0, "phase": "training"}
    rest = {"since": since.isoformat(), "budget_seconds": BUDGET_SECONDS}
    return {**place, **rest, **figures, "tokens_per_second": 260_753.0}


def spend(store: Store, count: int) -> None:
    for number in range(1, count):
        store.spend(TAG, number, "claude", Usage(61_000, 4_100, 48_000, 0.094))


if __name__ == "__main__":
    main()
