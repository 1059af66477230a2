"""Protects the numbers: each one in report.html and report.md is the store's, or follows from it.

The store is read here with plain SQL, and everything that the reports work out is worked out again.
"""

import json
import math
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from markdown_it import MarkdownIt

from autoresearch import import_log
from autoresearch.experiment import Usage, Verdict
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.program import Program
from autoresearch.report import build
from autoresearch.store import Store
from autoresearch.testing.finished import Finished
from autoresearch.testing.tiny import TRAIN, make_tiny_lab
from tests.pages import Page
from tests.report.test_report import ALL, KEPT, NIGHT

T_95 = {2: 4.302653, 4: 2.776445, 5: 2.570582, 6: 2.446912, 7: 2.364624}  # of Student, by degrees


@dataclass
class Rows:
    """A study as plain SQL reads it."""

    path: Path
    tag: str
    experiments: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    final: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        with sqlite3.connect(self.path) as db:
            db.row_factory = sqlite3.Row
            self.experiments = [*map(dict, self._all(db, "experiments", "number"))]
            self.runs = [*map(dict, self._all(db, "runs", 'experiment, "index"'))]
            self.usage = [*map(dict, self._all(db, "usage", "id"))]
            contract = self._all(db, "studies", "tag")[0]["contract"]
            finals = [each for each in self._all(db, "events", "id") if each["kind"] == "final"]
        db.close()
        for each in self.runs:
            each["figures"] = json.loads(each["figures"])
        self.sign = -1.0 if json.loads(contract)["direction"] == "lower" else 1.0
        self.final = json.loads(finals[0]["data"]) if finals else None

    def _all(self, db: sqlite3.Connection, table: str, order: str) -> list[sqlite3.Row]:
        name = "tag" if table == "studies" else "study"
        select = f"SELECT * FROM {table} WHERE {name} = ? ORDER BY {order}"  # noqa: S608
        return db.execute(select, (self.tag,)).fetchall()

    @property
    def tried(self) -> list[dict[str, Any]]:
        return self.experiments[1:]

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [e for e in self.tried if e["verdict"] == "keep" and not e["undone"]]

    @property
    def undone(self) -> list[dict[str, Any]]:
        return [e for e in self.tried if e["verdict"] == "keep" and e["undone"]]

    @property
    def best(self) -> dict[str, Any]:
        return max(self.kept, key=lambda each: self.sign * each["score"])

    @property
    def base(self) -> float:
        return float(self.experiments[0]["score"])

    @property
    def gain(self) -> float:
        return self.sign * (self.best["score"] - self.base)

    def scores(self, number: int) -> list[float]:
        return [
            run["score"]
            for run in self.runs
            if run["experiment"] == number and run["score"] is not None
        ]

    def sd(self) -> tuple[float, int]:
        """Pooled, and its degrees of freedom."""
        groups = [self.scores(e["number"]) for e in self.experiments if e["score"] is not None]
        groups = [group for group in groups if len(group) > 1]
        degrees = sum(len(group) - 1 for group in groups)
        squares = sum(stdev(group) ** 2 * (len(group) - 1) for group in groups)
        return (math.sqrt(squares / degrees) if degrees else 0.0), degrees

    def interval(self) -> float:
        sd, degrees = self.sd()
        counts = [len(self.scores(number)) for number in (0, self.best["number"])]
        return T_95[degrees] * sd * math.sqrt(sum(1 / count for count in counts)) if degrees else 0

    def total(self, figure: str) -> float:
        return sum(run["figures"].get(figure, 0.0) for run in self.runs)


@dataclass
class Written:
    """Both reports of a study, and its rows."""

    rows: Rows
    page: Page
    text: str

    @property
    def markdown(self) -> Page:
        """The short form as a reader of Markdown sees it."""
        return Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(self.text))


def imported(folder: Path) -> tuple[Lab, str]:
    lab = Lab.open(folder)
    with Store(store_path(lab)) as store:
        import_log.take_in(lab, store, NIGHT, import_log.Wanted("overnight-125"))
    return lab, "overnight-125"


def train(**values: float) -> str:
    text = TRAIN
    for name, value in values.items():
        text = re.sub(rf"^{name} = \S+", f"{name} = {value!r}", text, flags=re.MULTILINE)
    return text


def generated(folder: Path, direction: str = "lower") -> tuple[Lab, str]:
    """All verdicts, one run and several, tokens, money, a veto with what was built on it."""
    lab = Lab.open(folder)
    program = replace(Program.load(folder / "program.md"), direction=direction)
    up = -1.0 if direction == "lower" else 1.0
    made = Finished(lab, "gen", (1.5, 1.512, 1.507), program)

    def at(*gains: float) -> tuple[float, ...]:
        return tuple(1.5 + up * gain for gain in gains)

    first = made.add(train(X=2.0), at(0.11, 0.123), Verdict.KEEP, "X up", "more X is better")
    vetoed = made.add(train(X=2.5), at(0.2, 0.21), Verdict.KEEP, "X up again", "still more")
    made.add(train(X=2.5, Y=0.7), at(0.2512, 0.243), Verdict.KEEP, "Y up", parent=vetoed)
    made.history = tuple(
        replace(each, vetoed=each.number == 2, undone=each.number in (2, 3))
        for each in made.history
    )
    made.add(train(X=2.0, Y=0.1), at(0.09), Verdict.DISCARD, "Y down", "less Y", parent=first)
    made.add(train(X=2.0, Y=0.2), at(0.0987), Verdict.DISCARD, "Y down a little", parent=first)
    made.add(train(X=1.0), at(0.1185), Verdict.DISCARD, "X back", parent=first)
    made.add(train(X=9.0), None, Verdict.CRASH, "X far", parent=first)
    made.add(train(X=8.0), None, Verdict.TIMEOUT, "X farther", parent=first)
    made.add(train(X=7.0), None, Verdict.INVALID, "X wrong", parent=first)
    made.add(None, None, Verdict.FAILED, "nothing usable", parent=first)
    made.add(train(X=3.0), at(0.3, 0.3131), Verdict.KEEP, "X to 3", "the best X", parent=first)
    made.add(train(X=3.0, Y=0.9), at(0.2997, 0.2871), Verdict.DISCARD, "Y far up")
    made.save()
    with Store(store_path(lab)) as store:
        store.veto("gen", 2, True)
        store.spend("gen", 1, "codex", Usage(120_000, 3_456, 90_000, 0.71))
        store.spend("gen", 4, "codex", Usage(98_765, 4_321, 0, 1.0466))
        store.spend("gen", 4, "codex", Usage(1_000, 10, 0, None))
    return lab, "gen"


def final(folder: Path) -> tuple[Lab, str]:
    """The same with the sealed text opened, and where higher is better."""
    lab, tag = generated(folder, "higher")
    with Store(store_path(lab)) as store:
        store.event(tag, "final", number=11, baseline=[1.61, 1.622], best=[1.9, 1.912])
    return lab, tag


@pytest.fixture(
    params=[imported, generated, final], ids=lambda make: str(make.__name__), scope="module"
)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    lab, tag = request.param(make_tiny_lab(folder / "lab"))
    with Store(store_path(lab)) as store:
        program = Program.from_contract(store.study(tag).contract)
        build.write(lab, store, tag, program, folder)
    page, text = ((folder / name).read_text() for name in ("report.html", "report.md"))
    return Written(Rows(store_path(lab), tag), Page(page), text)


def same(text: str, value: float | None) -> bool:
    """Whether a number is a value as far as it is written; an empty cell is none."""
    if not text or value is None:
        return not text and value is None
    decimals = len(text.partition(".")[2])
    return abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-12


def test_the_whole_table_is_the_stores(written: Written) -> None:
    rows = written.page.table(*ALL)
    assert len(rows) == len(written.rows.experiments)
    for row, each in zip(rows, written.rows.experiments, strict=True):
        number, parent, verdict, score, delta, seconds, memory, words = row
        known = "" if each["parent"] is None else str(each["parent"])
        assert (int(number), parent) == (each["number"], known)
        shown = each["verdict"]
        if each["verdict"] == "keep" and each["undone"]:
            shown += ", vetoed" if each["vetoed"] else ", undone"
        assert verdict == shown
        assert same(score, each["score"])
        assert same(delta, each["delta"])
        assert same(seconds, each["seconds"])
        runs = [run for run in written.rows.runs if run["experiment"] == each["number"]]
        peak = max((run["figures"].get("peak_memory_mb", 0) for run in runs), default=0) / 1024
        assert same(memory, peak or None)
        assert words == (each["description"] or "(no description)") + each["reason"]


def test_the_headline_is_the_stores(written: Written) -> None:
    base, best = written.rows.base, written.rows.best["score"]
    numbers = re.findall(r"\d+\.\d+", written.page.title)
    decimals = len(numbers[0].partition(".")[2])
    assert 2 <= decimals <= 6
    assert [float(each) for each in numbers[:2]] == [round(base, decimals), round(best, decimals)]
    assert float(numbers[2]) == pytest.approx(written.rows.gain / base * 100, rel=5e-3)
    assert written.text.splitlines()[0].replace("\\", "").endswith(written.page.title)
    facts = written.page.pairs()
    assert same(facts["Baseline"], base)
    assert same(facts["Best"].rpartition(" ")[2], best)
    counts = (len(written.rows.kept), len(written.rows.tried))
    assert facts["Kept"] == f"{counts[0]} of {counts[1]}"
    assert facts.get("Vetoed") == (str(len(written.rows.undone)) if written.rows.undone else None)


def test_the_gains_are_the_stores(written: Written) -> None:
    rows, total = written.page.table(*KEPT), 0.0
    assert len(rows) == len(written.rows.kept)
    assert written.markdown.table(*KEPT) == [
        [each, words.split("Hypothesis")[0], *rest] for each, words, *rest in rows
    ]
    for row, each in zip(rows, written.rows.kept, strict=True):
        number, words, score, gain, share, runs = row
        assert int(number) == each["number"]
        assert words.startswith(each["description"])
        assert same(score, each["score"])
        assert same(gain, written.rows.sign * each["delta"])
        part = written.rows.sign * each["delta"] / written.rows.gain
        assert float(share.removesuffix("%")) == pytest.approx(part * 100, rel=0.06, abs=0.5)
        total += part
        count = len(written.rows.scores(each["number"]))
        assert runs == f"{count}, {'confirmed' if count > 1 else 'not confirmed'}"
        if each["hypothesis"]:
            assert words.endswith(f"Hypothesis, supported: {each['hypothesis']}")
    assert total == pytest.approx(1.0)


def test_vetoed_changes_are_told_and_do_not_count(written: Written) -> None:
    tables = [table for table in written.page.tables if table[0] == ["#", "Change", "Score", "Why"]]
    assert len(tables) == bool(written.rows.undone)
    for row, each in zip(tables[0][1:] if tables else [], written.rows.undone, strict=True):
        why = "vetoed" if each["vetoed"] else "undone with a vetoed change that it was built on"
        assert (int(row[0]), row[3]) == (each["number"], why)
        assert same(row[2], each["score"])


def test_what_crashed_is_counted_whole(written: Written) -> None:
    lost = [each for each in written.rows.tried if each["verdict"] not in ("keep", "discard")]
    for page in (written.page, written.markdown):
        rows = page.table("Count", "What happened", "Cause", "Experiments")
        assert sum(int(row[0]) for row in rows) == len(lost)
        numbers = sorted(int(each) for row in rows for each in row[3].split(", "))
        assert numbers == [each["number"] for each in lost]


def test_the_costs_are_the_stores(written: Written) -> None:
    rows, kept = written.rows, len(written.rows.kept)
    unit = 10.0 ** math.floor(math.log10(rows.gain))
    priced = [each["cost_usd"] for each in rows.usage if each["cost_usd"] is not None]
    amounts = {
        "Runs": float(len(rows.runs)),
        "GPU time, start to score": rows.total("seconds"),
        "Training": rows.total("training_seconds"),
        "Experiments, proposals included": sum(e["seconds"] or 0 for e in rows.experiments),
        "Tokens of proposals": sum(e["input_tokens"] + e["output_tokens"] for e in rows.usage),
        "Money": sum(priced),
        "From start to end": 60.0 * (len(rows.experiments) - 1) + 50 if rows.tag == "gen" else 0,
    }
    head = ("What", "In all", "Per kept change", f"Per {unit:g} gained")
    for page in (written.page, written.markdown):
        found = {row[0]: row[1:] for row in page.table(*head)}
        assert found.keys() == {name for name, value in amounts.items() if value}
        for name, (total, per_kept, per_gain) in found.items():
            assert is_amount(total, amounts[name])
            assert is_amount(per_kept, amounts[name] / kept)
            assert is_amount(per_gain, amounts[name] * unit / rows.gain)


def is_amount(text: str, value: float) -> bool:
    """Whether "6.0 minutes" or "$1.50" is a value in seconds or dollars."""
    number, _, unit = text.strip("$").replace(",", "").partition(" ")
    return same(number, value / {"hours": 3600, "minutes": 60}.get(unit, 1))


def test_places_that_did_not_pay_are_counted_from_the_store(written: Written) -> None:
    if written.rows.tag != "gen":
        return  # what each experiment touched is known of the generated study only
    head = ("Place", "Tried", "Gains", "Why it did not pay")
    ((place, tried, gains, why),) = written.page.table(*head)
    touched = [e for e in written.rows.tried if e["description"].startswith("Y")]
    failed = [e for e in touched if e["number"] != 3]
    assert (place, tried) == ("Y", str(len(failed) + 1))  # the undone one counts as tried
    values = sorted(written.rows.sign * e["delta"] for e in touched)
    low, _, high = gains.partition(" to ")
    assert same(low, values[0])
    assert same(high, values[-1])
    assert why.startswith("#3 was kept, then undone with a vetoed change")
    assert "the closest, #12, lost" in why or "the closest, #5, lost" in why


def explained(rows: Rows) -> list[float]:
    """All that a number with four decimals or more may be."""
    sd, _ = rows.sd()
    found = [rows.gain, sd, rows.interval(), rows.base]
    for each in rows.experiments:
        found += [each["score"], each["delta"], rows.gain and each["score"]]
    found += [run["score"] for run in rows.runs]
    if rows.final:
        base, best = rows.final["baseline"], rows.final["best"]
        gain = rows.sign * (fmean(best) - fmean(base))
        half = T_95[2] * math.sqrt(sum(stdev(side) ** 2 / len(side) for side in (base, best)))
        found += [gain, gain - half, gain + half]  # of equal spreads: two degrees of freedom
    return [abs(value) for value in found if value is not None]


def loose(words: Iterable[str]) -> set[str]:
    """Numbers with four decimals or more."""
    return set(re.findall(r"(?<![\w.])\d+\.\d{4,}(?![\w.])", " ".join(words)))


def test_no_number_comes_from_nowhere(written: Written) -> None:
    known = explained(written.rows)
    own = {word for each in written.rows.tried for word in loose([each["description"]])}
    for page in (written.page, written.markdown):
        found = loose(page.words)
        assert len(found) > 5
        for text in found - own:
            assert any(same(text, value) for value in known), text


def test_the_tokens_and_what_nobody_priced_are_told(written: Written) -> None:
    words = " ".join(written.page.words)
    if not written.rows.usage:
        assert "tokens read" not in words
        return
    read, said, cached = (
        sum(each[name] for each in written.rows.usage)
        for name in ("input_tokens", "output_tokens", "cached_tokens")
    )
    assert f"{read:,} tokens read, {cached:,} of them cached, {said:,} written" in words


def test_times_that_nobody_knows_are_not_made_up(written: Written) -> None:
    words = " ".join(written.page.words)
    has_times = any(each["finished_at"] for each in written.rows.experiments)
    assert ("UTC" in words) is has_times
    assert bool(re.search(r"\d (hours|minutes|seconds)\b", words)) is has_times
    assert ("No time is known" in words) is not has_times


def test_each_link_to_an_experiment_names_one(written: Written) -> None:
    numbers = {each["number"] for each in written.rows.experiments}
    mentioned = {int(each) for each in re.findall(r"#(\d+)", " ".join(written.page.words))}
    assert mentioned
    assert mentioned <= numbers
