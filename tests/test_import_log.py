"""Protects old nights: a log of the original becomes a study that says what it says, no more."""

import json
import os
import re
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from autoresearch import import_log
from autoresearch.adopt import adopt
from autoresearch.analysis.view import StudyView
from autoresearch.cli.status import Status, status_json
from autoresearch.errors import StudyError
from autoresearch.experiment import UNKNOWN_SEED, Experiment, Usage, Verdict
from autoresearch.exports.rows import facts_of, flattened
from autoresearch.import_log import Wanted, read, tag_of, take_in
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.program import Program
from autoresearch.report.answers import take
from autoresearch.report.findings import headline
from autoresearch.report.html import report_html
from autoresearch.report.learned import worths
from autoresearch.report.results import results_tsv
from autoresearch.steering.state import Steering
from autoresearch.store import Store, StudyRow
from autoresearch.testing.finished import Finished
from autoresearch.testing.tiny import TRAIN
from tests.conftest import Call
from tests.test_git import user

NIGHT = Path(__file__).parents[1] / "docs" / "examples" / "overnight-125" / "results.tsv"
HEADING = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
SMALL = HEADING + (
    "baseline\t1.500000\t44.0\tkeep\tbaseline\n"
    "aaaaaaa\t1.400000\t44.5\tkeep\twider\n"
    "bbbbbbb\t1.450000\t44.5\tdiscard\tdeeper \x1b[31mred\u202e\n"
    "ccccccc\t0.000000\t0.0\tcrash\ttoo big\n"
    "ddddddd\t1.420000\t40.0\tkeep\tsimpler\n"
    "eeeeeee\t1.390000\t40.0\tkeep\tbest\n"
)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(NIGHT, tmp_path / "overnight-125.tsv"))


def imported(lab: Path, text: str, **wanted: str) -> tuple[Experiment, ...]:
    """The experiments of a log that was imported as study `t`."""
    path = lab / "old night.tsv"
    path.write_text(text)
    with Store(store_path(Lab.open(lab))) as store:
        take_in(Lab.open(lab), store, path, Wanted("t", **wanted))
        return store.experiments("t")


def test_rows_become_experiments_and_nothing_is_made_up(tiny_lab: Path) -> None:
    found = imported(tiny_lab, SMALL)
    assert [each.number for each in found] == [0, 1, 2, 3, 4, 5]
    assert [each.parent for each in found] == [None, 0, 1, 1, 1, 4]
    assert [each.score for each in found] == [1.5, 1.4, 1.45, None, 1.42, 1.39]
    deltas = [each.delta and round(each.delta, 9) for each in found]
    assert deltas == [None, -0.1, 0.05, None, 0.02, -0.01]  # over the best, which #4 is not
    assert [each.verdict for each in found][2:4] == [Verdict.DISCARD, Verdict.CRASH]
    assert found[2].description == "deeper red"
    for each in found:
        assert (each.started_at, each.finished_at, each.seconds) == ("", None, None)
        assert (each.researcher, each.is_imported) == ("imported", True)
        (run,) = each.runs
        assert (run.seed, run.started_at, run.config) == (UNKNOWN_SEED, "", {})
        assert run.figures.keys() <= {"peak_memory_mb"}
    assert found[0].runs[0].figures == {"peak_memory_mb": 44.0 * 1024}
    assert found[3].runs[0].figures == {}


def test_a_higher_score_may_be_the_better_one(tiny_lab: Path) -> None:
    text = HEADING.replace("val_bpb", "accuracy") + (
        "baseline\t0.5\t1\tkeep\tbase\nx\t0.7\t1\tkeep\tup\ny\t0.6\t1\tdiscard\tdown\n"
    )
    found = imported(tiny_lab, text, direction="higher")
    assert [each.delta and round(each.delta, 9) for each in found] == [None, 0.2, -0.1]
    with Store(store_path(Lab.open(tiny_lab))) as store:
        contract = store.study("t").contract
    assert (contract["metric"], contract["direction"]) == ("accuracy", "higher")


def test_a_commit_is_one_only_where_git_has_it(tiny_lab: Path) -> None:
    head = user(tiny_lab, "rev-parse", "HEAD")
    tree = user(tiny_lab, "rev-parse", "HEAD^{tree}")
    text = SMALL.replace("aaaaaaa", head[:7]).replace("bbbbbbb", tree[:7])
    text = text.replace("ccccccc", "HEAD").replace("ddddddd", "--help")
    found = imported(tiny_lab, text)
    assert [each.commit for each in found] == [None, head, None, None, None, None]
    names = [str(each.details["commit"]) for each in found]
    assert names == ["baseline", head[:7], tree[:7], "HEAD", "--help", "eeeeeee"]


def test_our_own_log_comes_back_with_its_files(tiny_lab: Path) -> None:
    study = Finished(Lab.open(tiny_lab), "night", (1.5,))
    study.add(TRAIN.replace("X = 1.0", "X = 2.0"), 1.4, Verdict.KEEP, "a larger X")
    study.add(None, None, Verdict.FAILED)
    study.add(TRAIN.replace("X = 1.0", "X = 9.0"), 1.9, Verdict.DISCARD, "far too large")
    found = imported(tiny_lab, results_tsv(study.history))
    assert [each.commit for each in found] == [each.commit for each in study.history]
    assert [each.score for each in found] == [each.score for each in study.history]
    assert [each.description for each in found] == [each.description for each in study.history]
    assert results_tsv(found) == results_tsv(study.history)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        user(tiny_lab, "config", name, value)
    assert len(adopt(study.lab, StudyView("t", study.program, found)).steps) == 1


def test_a_second_import_is_refused_and_changes_nothing(tiny_lab: Path) -> None:
    before = imported(tiny_lab, SMALL)
    with pytest.raises(StudyError, match="study t in this lab already: name another with --tag"):
        imported(tiny_lab, HEADING + "baseline\t9\t1\tkeep\tother\n")
    with Store(store_path(Lab.open(tiny_lab))) as store:
        assert store.experiments("t") == before


def test_an_import_is_whole_or_not_at_all(tiny_lab: Path) -> None:
    found = import_log.experiments(read(SMALL, "x").rows, Program(), {})
    study = StudyRow("t", "", Program().contract(), UNKNOWN_SEED, "imported", {}, "greedy")
    with Store(store_path(Lab.open(tiny_lab))) as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.insert(study, (*found, found[0]))  # two of one number
        assert store.tags() == []
        assert store.experiments("t") == ()
        assert store.events("t") == []


BAD = {
    "": "bad.tsv is empty: it must begin with the heading commit val_bpb",
    "\n\n": "bad.tsv is empty",
    HEADING: "a heading and no rows",
    "a,b,c,d,e\n": "line 1: the heading has 1 column; it must have 5, tab-separated",
    SMALL.replace("memory_gb", "memory"): "line 1, column 3: the heading is 'memory' and must be",
    SMALL.replace(
        "val_bpb", "val bpb"
    ): "'val bpb' is not a metric's name.*or name it with --metric",
    SMALL.replace("1.450000", "fast"): "line 4, column val_bpb: 'fast' is no finite number",
    SMALL.replace("1.450000", "nan"): "line 4, column val_bpb: 'nan' is no finite number",
    SMALL.replace("1.450000", "-1e308"): "'-1e308' is no finite number below 1e\\+300",
    SMALL.replace("40.0\tkeep\tsim", "lots\tkeep\tsim"): "line 6, column memory_gb: 'lots' is",
    SMALL.replace("discard", "kept?"): "line 4, column status: 'kept\\?' is none of keep, discard",
    SMALL.replace("wider", "wi\tder"): "line 3 has 6 tab-separated columns; it must have 5",
    SMALL.replace("\tsimpler", ""): "line 6 has 4 tab-separated columns",
    SMALL.replace("keep\tbase", "crash\tbase"): "line 2, column status: the first row is the",
}


@pytest.mark.parametrize("text", BAD, ids=list(BAD.values()))
def test_a_bad_file_is_named_with_its_line_and_column(text: str) -> None:
    with pytest.raises(StudyError, match=BAD[text]) as error:
        read(text, "bad.tsv")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("score", ["nan", "-", "", "0.000000", "inf", "OOM"])
def test_what_stands_for_the_score_of_a_crash_is_none(tiny_lab: Path, score: str) -> None:
    crash = f"bbbbbbb\t{score}\t{score}\tcrash\ttoo wide\n"
    found = imported(tiny_lab, f"{HEADING}aaaaaaa\t1.000000\t1.0\tkeep\tbaseline\n{crash}")
    assert (found[1].verdict, found[1].score, found[1].delta) == (Verdict.CRASH, None, None)
    assert not found[1].runs[0].figures


def test_the_metric_that_the_person_names_stands_for_a_heading_that_is_none(tiny_lab: Path) -> None:
    text = SMALL.replace("val_bpb", "val loss (nats)")
    assert len(imported(tiny_lab, text, metric="val_loss")) == 6
    with pytest.raises(StudyError, match="--metric 'val loss' is not a metric's name"):
        imported(tiny_lab, text, metric="val loss")


def test_no_more_is_read_than_a_log_has(tiny_lab: Path, autoresearch: Call) -> None:
    os.mkfifo(tiny_lab / "night.tsv")
    for content, code, said in (
        (SMALL.encode(), 0, "Study night: 5 experiments"),
        (
            bytes(import_log.MOST_BYTES + 2**20),
            2,
            "night.tsv has more than 64 MB: no log of a study",
        ),
    ):
        writer = Thread(target=fill, args=(tiny_lab / "night.tsv", content))
        writer.start()
        done = autoresearch(tiny_lab, "import", "night.tsv", code=code)
        assert said in done.stdout + done.stderr
        writer.join()


def fill(pipe: Path, content: bytes) -> None:
    with suppress(BrokenPipeError):
        pipe.write_bytes(content)


def shown(view: StudyView) -> tuple[object, ...]:
    """What status, an export and the report say of the best."""
    seen = Status("t", view.program, view.experiments, Steering(), Usage(), 0.0, False, {})
    said = status_json(seen)
    facts = facts_of(view, StudyRow("t", "", {}, UNKNOWN_SEED, "imported", {}, ""))
    assert (said["best_number"], said["best"]) == (facts.best_number, facts.best)
    assert said["gain"] == view.gain
    *_, last = flattened(view, {})
    assert last.best == facts.best
    return facts.best_number, headline(view), take(view)


def test_a_kept_row_that_is_no_better_is_not_the_best(tiny_lab: Path) -> None:
    found = imported(
        tiny_lab,
        HEADING
        + "aaaaaaa\t1.000000\t1.0\tkeep\tbaseline\n"
        + "bbbbbbb\t1.001000\t1.0\tkeep\tsimpler\n",
    )
    worse = StudyView("t", Program(), found)
    assert shown(worse) == (
        0,
        "Nothing beat the baseline's 1.000000 val_bpb in one experiment",
        "Nothing: the baseline is still the best.",
    )
    assert "<dt>Best</dt><dd>1." not in report_html(worse)
    assert "the best on" not in report_html(worse)
    equal = replace(worse, experiments=(found[0], replace(found[1], score=1.0, delta=0.0)))
    assert shown(equal)[0] == 1


def test_the_shares_of_an_imported_log_add_up(tiny_lab: Path) -> None:
    """#2 lost a little, and #3 was built on it."""
    found = imported(
        tiny_lab,
        HEADING
        + "aaaaaaa\t1.000000\t1.0\tkeep\tbaseline\n"
        + "bbbbbbb\t0.900000\t1.0\tkeep\twider\n"
        + "ccccccc\t0.920000\t1.0\tkeep\tsimpler\n"
        + "ddddddd\t0.850000\t1.0\tkeep\tdeeper\n",
    )
    view = StudyView("t", Program(), found)
    assert shown(view)[0] == 3
    shares = [each.share for each in worths(view)]
    assert shares == pytest.approx([0.1 / 0.15, -0.02 / 0.15, 0.07 / 0.15])


def test_other_line_ends_a_byte_order_mark_and_empty_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n\r\n").encode())
    assert len(read(import_log.read_text(path), "log.tsv").rows) == 6
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="no UTF-8 text"):
        import_log.read_text(path)


def test_the_tag_comes_from_the_file() -> None:
    names = ("overnight-125.tsv", "mar 8 (H100).tsv", "results.tsv", "日本.tsv", "..tsv")
    found = [tag_of(Path(name)) for name in names]
    assert found == ["overnight-125", "mar-8-H100", "imported", "imported", "imported"]


def test_every_command_works_on_the_real_night(
    tiny_lab: Path, night: Path, autoresearch: Call
) -> None:
    done = autoresearch(tiny_lab, "import", str(night))
    assert "Study overnight-125: 125 experiments, 22 kept" in done.stdout
    log = autoresearch(tiny_lab, "log").stdout
    assert "7f2a65c" in log
    assert "says nothing of times" in log
    status = autoresearch(tiny_lab, "status").stdout
    assert "overnight-125, imported from a log" in status
    assert "time        not known" in status
    status = json.loads(autoresearch(tiny_lab, "status", "--json").stdout)
    assert (status["imported"], status["seconds"], status["best"]) == (True, None, 0.969686)
    rows = json.loads(autoresearch(tiny_lab, "log", "--json").stdout)
    assert len(rows) == 126
    assert {row["started_at"] for row in rows} | {row["seconds"] for row in rows} == {None}
    shown = autoresearch(tiny_lab, "show", "118").stdout
    assert "0.969686" in shown
    assert not re.search(r"started|seed", shown)
    for words in (["--diff"], ["--log"], ["--talk"]):
        autoresearch(tiny_lab, "show", "118", *words)
    assert "overnight-125.tsv" in autoresearch(tiny_lab, "log", "--events").stdout


def test_the_report_of_the_real_night_has_no_time_and_gives_the_log_back(
    tiny_lab: Path, night: Path, autoresearch: Call
) -> None:
    autoresearch(tiny_lab, "import", str(night), "--tag", "mar8")
    autoresearch(tiny_lab, "report", "--output", "out")
    assert (tiny_lab / "out" / "results.tsv").read_text() == night.read_text()
    for name in ("report.html", "report.md"):
        page = (tiny_lab / "out" / name).read_text()
        assert "says nothing of times" in page
        assert not re.search(r"\b20[0-9][0-9]\b.*UTC|\d (hours|minutes|seconds)", page)
        assert "git switch" not in page


def test_an_imported_study_does_not_go_on(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "log.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "log.tsv", "--tag", "t")
    for words in (["run", "--tag", "t"], ["try", "-m", "x", "--tag", "t"], ["report", "--final"]):
        assert "was imported from a log" in autoresearch(tiny_lab, *words, code=2).stderr
    done = autoresearch(tiny_lab, "run", "--experiments", "0")  # a new one, named after the day
    assert "New study" in done.stdout
    assert len(json.loads(autoresearch(tiny_lab, "log", "--json", "--tag", "t").stdout)) == 6
    assert len(json.loads(autoresearch(tiny_lab, "log", "--json").stdout)) == 1  # the last one


def test_the_command_says_what_is_wrong(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "log.tsv").write_text(SMALL)
    for words, said in (
        (["nowhere.tsv"], "does not exist"),
        (["log.tsv", "--tag", "a/b"], "cannot be a tag"),
        (["log.tsv", "--tag", ""], "cannot be a tag"),
        (["log.tsv", "--direction", "up"], "is not one of"),
        (["program.md"], "the heading has 1 column;"),
    ):
        assert said in autoresearch(tiny_lab, "import", *words, code=2).stderr
