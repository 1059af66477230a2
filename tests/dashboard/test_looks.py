"""Protects how the page shows things: hostile words as text, a long night, on a phone, in the dark,
by keyboard and to a screen reader; and that a page of somebody else gets nothing of it."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from autoresearch.experiment import Experiment, Run, Verdict
from autoresearch.lab import Lab
from autoresearch.program import Program
from autoresearch.store import now
from autoresearch.testing.long_study import HOSTILE, long_study
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.stored import write_study
from autoresearch.testing.tiny import TRAIN, make_tiny_lab
from autoresearch.text import clean
from tests.dashboard.conftest import Open
from tests.dashboard.parts import events_of, eventually, store_of

MARKUP = (
    "<img src=x onerror=\"document.title='broken in'\"><script>document.title='broken in'</script>"
    "<style>*{display:none}</style></title></textarea><svg/onload=alert(1)>{{7*7}}${7*7}"
)
COUNT = 5000


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long night, and a study of hostile words with real commits."""
    folder = make_tiny_lab(tmp_path_factory.mktemp("looks") / "lab")
    lab = Lab.open(folder)
    path = lab.home / "autoresearch.db"
    write_study(path, "night", long_night())
    write_study(path, "hostile", hostile(lab))
    return folder


def long_night() -> Iterator[Experiment]:
    """A shorter one again and again."""
    first, *history = long_study(250).history
    yield replace(first, commit=None)
    for number in range(1, COUNT + 1):
        each = history[number % len(history)]
        yield replace(each, number=number, parent=number - 1, commit=None)


def hostile(lab: Lab) -> list[Experiment]:
    words, program = f"{MARKUP} {HOSTILE[0]} {HOSTILE[3]}", Program()
    files = lab.disk(program)
    first = lab.snapshot(files, "baseline", lab.head())
    edited = TRAIN + f'"""{words}"""\n# {MARKUP}\n'
    second = lab.snapshot({**files, "train.py": edited.encode()}, "hostile", first)
    folder = lab.study_folder("hostile")
    for name, end in (("logs", "txt"), ("talks", "md")):
        (folder / name).mkdir(parents=True)
        (folder / name / f"0001.{end}").write_text(f"{words}\n\x1b[2J\x1b]0;title\x07{MARKUP}")
    figures = {"seconds": 1.0, f"audit_{MARKUP}": 1.0}
    run = Run(0, 1, MARKUP, now(), 2.0, words, figures, {MARKUP: words, "X": 1})
    at, keep = now(), Verdict.KEEP
    return [
        Experiment(0, None, at, at, first, "baseline", "", "", {}, keep, "", 3.0, runs=(run,)),
        Experiment(
            1, 0, at, at, second, words, words, words, {}, keep, words, 2.0, -1.0, 1.0,
            (replace(run, config={MARKUP: MARKUP, "X": 2}),),
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def server(lab: Path) -> Iterator[PageServer]:
    with PageServer(lab) as server:
        yield server


def drawn(page: Any) -> None:
    page.wait_for_selector("#rows a")
    page.wait_for_selector("#chart-legend li")


def test_a_difference_of_small_scores_does_not_vanish(server: PageServer, open_page: Open) -> None:
    page = open_page(server, "night")
    shown = page.evaluate(
        """async () => {
          const { score, signed } = await import("/static/format.js");
          return [score(3.1e-9), signed(2.05e-9, 1.05e-9), signed(2e-9, 0), signed(3e-5, 0.97)];
        }"""
    )
    assert shown == ["3.100e-9", "+2.050e-9", "+2.000e-9", "+0.00003"]


def test_hostile_words_are_text(server: PageServer, lab: Path, open_page: Open) -> None:
    with store_of(lab) as store:
        store.event("hostile", "nudged", experiment=1, text=f"{MARKUP} {HOSTILE[0]}")
        store.event("hostile", MARKUP[:40], **{MARKUP: MARKUP})
    page = open_page(server, "hostile")
    drawn(page)
    page.locator("#events", has_text="<script>").wait_for()
    seen = page.locator("body").inner_text()
    assert MARKUP[:60] in seen
    page.locator("#rows a", has_text="#1").click()
    page.locator("#experiment .diff", has_text="onload=alert").wait_for()
    for fold in page.locator("#experiment details").all():
        fold.locator("summary").click()
    seen += page.locator("#experiment").inner_text()
    for part in (".diff ins", "details pre", "h1", "table"):
        page.locator(
            f"#experiment .{part}" if part[0] == "d" and "ins" in part else f"#experiment {part}",
            has_text="<script>",
        ).first.wait_for()
    assert clean(seen) == seen  # nothing hidden, nothing that turns the direction
    assert "broken in" not in page.title()
    made = page.evaluate("document.querySelectorAll('main :is(img, script, style, svg)').length")
    assert made == 0


def test_a_long_night_is_shown_whole_and_stays_quick(
    server: PageServer, lab: Path, open_page: Open
) -> None:
    page = open_page(server, "night")
    drawn(page)
    page.locator(f"#table[aria-rowcount='{COUNT + 2}']").wait_for()
    assert page.locator("#rows tr").count() < 100  # only what is in view
    page.locator("#scroll").evaluate("it => it.scrollTop = it.scrollHeight")
    page.locator("#rows tr[data-number='0']").wait_for()
    page.locator("#scroll").evaluate("it => it.scrollTop = it.scrollHeight / 2")
    middle = page.locator("#rows tr[data-number='2500']")
    middle.wait_for()
    place = middle.bounding_box()["y"]
    last = long_study(20).history[-1]
    with store_of(lab) as store:
        store.event("night", "nudged", text="it arrives")
        number = store.begin("night", 0, "knobs").number
        store.finish("night", number, Verdict.DISCARD, last.reason, score=1.4, delta=0.1)
    rows = page.locator(f"#table[aria-rowcount='{number + 2}']")
    rows.wait_for()
    eventually(lambda: abs(middle.bounding_box()["y"] - place) < 2, "what is read stays in place")
    page.get_by_label("Search experiments").fill("WARMDOWN 0.75")
    page.locator("#rows .c-description", has_text="WARMDOWN_RATIO to 0.75").first.wait_for()
    found = page.locator("#rows .c-description").all_inner_texts()
    assert all("WARMDOWN" in each and "0.75" in each for each in found)
    page.get_by_label("Search experiments").fill("nothing is called that")
    page.locator("#no-rows").wait_for()


def test_the_table_sorts_and_filters(server: PageServer, open_page: Open) -> None:
    page = open_page(server, "night")
    drawn(page)
    page.get_by_role("button", name="Score").click()
    assert page.locator("th.c-score").get_attribute("aria-sort") == "ascending"
    scores = [float(each) for each in page.locator("#rows .c-score").all_inner_texts()]
    assert scores == sorted(scores)
    page.get_by_role("button", name="Score").click()
    scores = [float(each) for each in page.locator("#rows .c-score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    for name in ("crashed", "kept", "discarded"):
        page.locator("#filters").get_by_text(name).click()
        assert set(page.locator("#rows .c-verdict").all_inner_texts()) == {name}
    for name in ("#", "Verdict", "Change", "What", "By", "Took", "When"):
        page.locator("#head").get_by_role("button", name=name, exact=True).click()
        page.locator("#rows a").first.wait_for()


def test_the_chart_names_what_is_under_the_pointer_and_opens_it(
    server: PageServer, open_page: Open
) -> None:
    page = open_page(server, "night")
    drawn(page)
    page.get_by_label("Show").select_option("30")
    label = page.locator("#chart").get_attribute("aria-label")
    assert re.search(r"Chart of 50\d\d experiments, \d+ kept, best 1\.\d+ by #\d+", label)
    box = page.locator("#chart").bounding_box()
    tip = page.locator("#tooltip")

    def point() -> bool:
        for x in range(80, int(box["width"]) - 10, 12):
            for y in range(15, int(box["height"]) - 60, 12):
                page.mouse.move(box["x"] + x, box["y"] + y)
                if tip.is_visible():
                    return True
        return False

    eventually(point, "a dot is under the pointer")
    number = re.match(r"#(\d+) ", tip.inner_text())
    assert number
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url(f"**/#/night/{number[1]}")
    page.locator("#experiment h1", has_text=f"#{number[1]} ").wait_for()


def test_the_keyboard_goes_everywhere(server: PageServer, open_page: Open) -> None:
    page = open_page(server, "night")
    drawn(page)
    press = page.keyboard.press
    press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("SOFTCAP j k ?")
    assert page.get_by_label("Search experiments").input_value() == "SOFTCAP j k ?"
    page.get_by_label("Search experiments").fill("SOFTCAP")
    press("Escape")
    numbers = page.eval_on_selector_all(
        "#rows tr[data-number]", "all => all.map(e => +e.dataset.number)"
    )
    for key in ("j", "j", "ArrowDown", "k"):
        press(key)
    page.locator(f"#rows .is-selected[data-number='{numbers[1]}']").wait_for()
    press("Enter")
    page.locator("#experiment h1", has_text=f"#{numbers[1]} ").wait_for()
    assert page.evaluate("document.activeElement.id") == "experiment-title"
    press("j")
    page.locator("#experiment h1", has_text=f"#{numbers[2]} ").wait_for()
    press("ArrowLeft")
    page.locator("#experiment h1", has_text=f"#{numbers[1]} ").wait_for()
    press("Escape")
    page.locator("#overview").wait_for()
    press("?")
    page.locator("#help[open]").wait_for()
    press("j")  # belongs to the dialog now
    press("Escape")
    page.locator("#help").wait_for(state="hidden")
    page.go_back()
    page.locator("#experiment h1").wait_for()
    page.reload()  # its address is its own
    page.locator("#experiment h1", has_text=f"#{numbers[1]} ").wait_for()


def test_the_chooser_goes_to_another_study(server: PageServer, open_page: Open) -> None:
    page = open_page(server, "night", may_lose=True)  # a browser notes a 404
    drawn(page)
    page.get_by_label("Study", exact=True).select_option("hostile")
    page.wait_for_url("**/#/hostile")
    page.locator("#table[aria-rowcount='3']").wait_for()
    page.goto(f"{server.origin}/#/unknown")
    page.wait_for_url(re.compile("#/(night|hostile)$"))


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def test_a_phone_shows_all_of_it(server: PageServer, open_page: Open) -> None:
    page = open_page(server, "night", **PHONE)
    drawn(page)
    for opened in (False, True):
        if opened:
            page.locator("#rows tr[data-number]").nth(2).tap()
            page.locator("#experiment dl").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate(
            "[...document.querySelectorAll('button, .button, select, .chips span')]"
            ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 36)"
            ".map(e => e.outerHTML)"
        )
        assert not small
    page.get_by_role("link", name="All experiments").tap()
    page.locator("#overview").wait_for()


CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] > 0.99) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("main *, header *")) {
    const words = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!words || !e.offsetParent || e.disabled || e.closest("svg, .hidden")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${e.outerHTML.slice(0, 90)}`);
  }
  return poor;
}"""
OUTLINE = """() => [...document.querySelectorAll("h1, h2, h3")]
  .filter((e) => e.offsetParent).map((e) => +e.tagName[1])"""
UNNAMED = """() => [...document.querySelectorAll("input, select, textarea, button, a")]
  .filter((e) => e.offsetParent)
  .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim()))
  .map((e) => e.outerHTML)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_it(server: PageServer, open_page: Open, theme: str) -> None:
    page = open_page(server, "hostile", color_scheme=theme)
    drawn(page)
    for number in (None, 1):
        if number is not None:
            page.goto(f"{server.origin}/#/hostile/{number}")
            page.locator("#experiment .diff").wait_for()
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate(UNNAMED) == []
        levels = page.evaluate(OUTLINE)
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("main").count() == page.locator("body > header").count() == 1
    page.goto(f"{server.origin}/#/hostile")
    drawn(page)
    roles = page.locator("#table").aria_snapshot()
    assert "columnheader" in roles
    assert "cell" in roles
    assert page.locator("#said").get_attribute("role") == "status"
    assert "Not running" in page.locator("#said").inner_text()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (theme == "dark")


def test_the_charts_follow_the_theme(server: PageServer, open_page: Open) -> None:
    page = open_page(server, "night")
    drawn(page)
    before = page.locator("#chart canvas").first.evaluate("it => it.toDataURL()")
    page.emulate_media(color_scheme="dark")
    canvas = page.locator("#chart canvas").first
    eventually(lambda: canvas.evaluate("it => it.toDataURL()") != before, "another picture")


EVIL = """<!doctype html><title>evil</title><script>
const found = [];
const note = (name) => (value) => found.push(`${name}: ${value}`);
const server = SERVER;
const order = ORDER;
(async () => {
  for (const path of ["/", "/api/studies", "/api/study/night", "/api/study/night/experiments/1"]) {
    for (const mode of ["cors", "no-cors"]) {
      await fetch(server + path, {credentials: "include", mode})
        .then((r) => r.text()).then((t) => t && note("read")(path + t.slice(0, 40)), () => {});
    }
  }
  for (const type of ["application/json", "text/plain"]) {
    for (const mode of ["cors", "no-cors"]) {
      const how = {method: "POST", credentials: "include", mode, body: order};
      const headers = {"Content-Type": type};
      await fetch(server + "/api/orders", {...how, headers})
        .then((r) => r.ok && note("gave")(type), () => {});
    }
  }
  await new Promise((done) => {
    const feed = new EventSource(server + "/api/study/night/feed", {withCredentials: true});
    feed.onmessage = note("heard");
    feed.onerror = done;
  });
  for (const path of ["/static/main.js", "/api/studies"]) {
    await new Promise((done) => {
      const script = document.createElement("script");
      const ran = () => { note("ran")(path); done(); };
      Object.assign(script, {src: server + path, onload: ran, onerror: done});
      document.head.append(script);
    });
  }
  await new Promise((done) => {
    const frame = document.createElement("iframe");
    Object.assign(frame, {src: server + "/", onload: done});
    document.body.append(frame);
  });
  try { if (frames[0].document.body.textContent.trim()) note("framed")(1); } catch {}
  document.title = JSON.stringify(found);
})();
</script><body></body>
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_reads_and_does_nothing(
    server: PageServer, lab: Path, browser: Any, name: str
) -> None:
    """Of another port of this machine, and of another site."""
    order = json.dumps({"tag": "night", "kind": "note", "data": {"text": "evil"}, "key": "e" * 16})
    text = EVIL.replace("SERVER", json.dumps(server.origin)).replace("ORDER", json.dumps(order))

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((name, 0), Evil) as evil:
        threading.Thread(target=evil.serve_forever, daemon=True).start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_url("**/#/**")
        page.goto(f"http://{name}:{evil.server_port}/")
        eventually(lambda: page.title().startswith("["), "it has tried all")
        assert json.loads(page.title()) == []
        context.close()
        evil.shutdown()
    assert not events_of(lab, "note")
