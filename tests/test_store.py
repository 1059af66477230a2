"""Protects what is known of every experiment: it is written whole, read back equal, never changed
once it has its verdict, and a file that is not ours is refused in words."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch import store as stores
from autoresearch.dashboard.reader import Reader
from autoresearch.errors import Stopped, StudyError
from autoresearch.experiment import Experiment, Run, Verdict
from autoresearch.store import INTERRUPTED, MIGRATIONS, Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "autoresearch.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        opened.create_study("t", {"metric": "é"}, seed=7, researcher="knobs", machine={"os": "x"})
        yield opened


def begin(store: Store, parent: int | None = None) -> Experiment:
    opened = store.begin("t", parent, "knobs")
    proposed = replace(
        opened, commit="a" * 40, description='LR 1 -> 2 "é🙂"', hypothesis="two\nlines\x00",
        details={"knobs": {"LR": [1, 2.5, None]}},
    )  # fmt: skip
    store.proposed("t", proposed)
    return proposed


def test_everything_comes_back_as_it_went_in(store: Store, path: Path) -> None:
    opened = begin(store)
    assert store.experiment("t", 0) == opened
    index = store.begin_run("t", 0, seed=5)
    running = store.experiment("t", 0).last_run
    assert running is not None
    assert (running.outcome, running.score, running.seed) == ("running", None, 5)
    run = Run(
        index, 5, "scored", running.started_at, 0.1 + 0.2, "", {"tokens": 1e15}, {"a": [1, "é"]}
    )
    store.finish_run("t", 0, run)
    done = store.finish("t", 0, Verdict.KEEP, "why", score=0.1 + 0.2, delta=-1e-17, seconds=2.5)
    assert done == replace(
        opened, verdict=Verdict.KEEP, reason="why", score=0.1 + 0.2, delta=-1e-17, seconds=2.5,
        finished_at=done.finished_at, runs=(run,),
    )  # fmt: skip
    assert done.finished_at
    store.event("t", "resumed", by="é")
    with Store(path) as again:
        assert again.experiments("t") == (done,)
        assert again.study("t") == store.study("t")
        assert again.study("t").contract == {"metric": "é"}
        assert [(each.kind, each.data) for each in again.events("t")] == [("resumed", {"by": "é"})]


def test_a_finished_experiment_never_changes(store: Store) -> None:
    opened = begin(store)
    index = store.begin_run("t", 0, seed=5)
    store.finish_run("t", 0, Run(index, 5, "scored", "then", 1.0))
    done = store.finish("t", 0, Verdict.KEEP, "why", score=1.0)
    store.finish("t", 0, Verdict.CRASH, "another", score=2.0)
    store.proposed("t", replace(opened, commit="b" * 40))
    store.finish_run("t", 0, Run(index, 5, "crash", "then", 9.0))
    assert store.interrupt_runs("t") == 0
    assert store.experiment("t", 0) == done


def test_an_open_experiment_is_taken_up_again_and_numbers_have_no_gap(store: Store) -> None:
    first = begin(store)
    assert store.begin("t", 99, "other") == first
    store.begin_run("t", 0, seed=1)
    assert store.interrupt_runs("t") == 1
    runs = store.experiment("t", 0).runs
    assert [(run.outcome, run.reason) for run in runs] == [
        (INTERRUPTED, "the engine was stopped during this run")
    ]
    assert store.begin_run("t", 0, seed=1) == 1
    for number in range(3):
        assert store.begin("t", 0, "knobs").number == number
        store.finish("t", number, Verdict.DISCARD, "why")


def test_studies_do_not_mix(store: Store) -> None:
    store.create_study("u", {}, seed=0, researcher="x", machine={})
    begin(store)
    assert store.begin("u", None, "x").number == 0
    assert set(store.tags()) == {"t", "u"}
    store.forget("u")
    assert store.tags() == ["t"]
    assert store.experiments("u") == ()
    assert len(store.experiments("t")) == 1
    with pytest.raises(StudyError, match="no study 'u'"):
        store.study("u")
    with pytest.raises(StudyError, match="no experiment 5"):
        store.experiment("t", 5)


def test_the_page_reads_all_and_writes_nothing(store: Store, path: Path) -> None:
    begun = begin(store)
    with Reader(path) as reader:
        assert reader.study("t") == store.study("t")
        assert reader.experiments("t") == (begun,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.event("t", "veto")
    missing = path.with_name("missing.db")
    with pytest.raises(sqlite3.OperationalError):
        Reader(missing)
    assert not missing.exists()


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """A folder that nobody may write to in the block; root becomes nobody for it."""
    is_root = os.geteuid() == 0
    folder.chmod(0o555)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.parametrize("is_open", [True, False], ids=["while an engine writes", "alone"])
def test_a_store_that_cannot_be_written_is_read_all_the_same(is_open: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # where everybody may look into
        path = Path(name) / "autoresearch.db"
        with Store(path) as store:
            store.create_study("t", {}, seed=7, researcher="knobs", machine={})
            begun = begin(store)
            if is_open:
                with unwritable(path.parent):
                    check_it_reads(path, begun)
        if not is_open:
            with unwritable(path.parent):
                check_it_reads(path, begun)


def check_it_reads(path: Path, begun: Experiment) -> None:
    with Store(path) as reading:
        assert reading.experiments("t") == (begun,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reading.event("t", "veto")


def test_a_newer_schema_is_refused_and_left_alone(store: Store, path: Path) -> None:
    begin(store)
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    raw.close()
    with pytest.raises(StudyError, match="newer autoresearch"):
        Store(path)
    assert len(store.experiments("t")) == 1


@pytest.mark.parametrize("damage", [b"no database at all " * 300, b"SQLite format 3\x00" * 500])
def test_a_damaged_file_is_said_in_words(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(StudyError, match="Move it away"):
        Store(path)
    assert path.read_bytes() == damage


def test_a_file_that_cannot_be_opened_is_said_in_words(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StudyError, match="cannot be opened"):
        Store(path)


def test_a_reader_beside_the_writer_sees_whole_experiments(store: Store, path: Path) -> None:
    done, seen, wrong = threading.Event(), [], []

    def read() -> None:
        with Store(path) as reader:
            while not done.is_set():
                rows = reader.experiments("t")
                seen.append(len(rows))
                wrong.extend(each for each in rows if is_half(each))

    def is_half(each: Experiment) -> bool:
        outcomes = [run.outcome for run in each.runs]
        return each.verdict is not None and (each.score is None or outcomes != ["scored"])

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(60):
        store.begin("t", None, "knobs")
        index = store.begin_run("t", number, 1)
        store.finish_run("t", number, Run(index, 1, "scored", "then", 1.0))
        store.finish("t", number, Verdict.KEEP, "why", score=1.0)
    done.set()
    thread.join()
    assert not wrong
    assert seen == sorted(seen)


def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    code = "import sys, pathlib, autoresearch.store as s; s.Store(pathlib.Path(sys.argv[1]))"
    opening = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(6)]
    assert [each.wait(30) for each in opening] == [0] * 6


def test_somebody_who_writes_is_waited_for_with_patience(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(stores, "BUSY_SECONDS", 0.05)
    asked = []

    def ask() -> None:
        asked.append(None)
        if len(asked) == 3:
            other.execute("ROLLBACK")
        if len(asked) > 3:
            raise Stopped

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with store.patient(ask):
            store.event("t", "resumed")
            assert len(asked) == 3
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Stopped):
                store.event("t", "stopped")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.event("t", "stopped")
    assert [each.kind for each in store.events("t")] == ["resumed"]


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.create_study("t", {}, seed=0, researcher="x", machine={})
    with pytest.raises(sqlite3.IntegrityError):
        store.begin_run("t", 77, 1)
    assert store.tags() == ["t"]
    assert begin(store).number == 0


def test_whoever_takes_a_proposal_up_again_is_its_researcher(store: Store) -> None:
    first = store.begin("t", None, "slow")
    assert store.begin("t", None, "knobs") == replace(first, researcher="knobs")
    store.proposed("t", replace(first, commit="c", researcher="knobs"))
    assert store.begin("t", None, "late").researcher == "knobs"
