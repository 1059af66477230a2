"""Protects a person's orders: what follows from them is computed from the events alone, each is
checked before it is written down, written once, and answered in plain words."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch import git, opening
from autoresearch.analysis.view import StudyView
from autoresearch.budget import StudyLimits
from autoresearch.errors import StudyError
from autoresearch.experiment import Experiment, Verdict, incumbent
from autoresearch.lab import Lab
from autoresearch.ledger import StudyLedger
from autoresearch.memory.sheet import sheet
from autoresearch.memory.summary import summary
from autoresearch.program import Limits, Program
from autoresearch.report.results import results_tsv
from autoresearch.steering.orders import LONGEST_WORDS, MOST_WAITING, give
from autoresearch.steering.state import (
    LIMITED,
    Steering,
    Words,
    at_work,
    in_force,
    is_busy,
    read,
    resumed,
    steering_of,
)
from autoresearch.store import ENGINES, MIGRATIONS, OVER, STARTED, Event, Store
from autoresearch.testing.tiny import TRAIN, make_tiny_lab

# --- Events to state --------------------------------------------------------------------------


def events(*rows: tuple[str, dict[str, Any]]) -> list[Event]:
    """As a store has them; orders of a person's have a key."""
    return [
        Event(number, "then", kind, data, None if kind in ENGINES else f"key-{number:04d}")
        for number, (kind, data) in enumerate(rows, 1)
    ]


def started(pid: int = 7, **limits: float) -> tuple[str, dict[str, Any]]:
    return STARTED, {"pid": pid, "researcher": "x", **asdict(StudyLimits()), **limits}


NOTE, IDEA = ("note", {"text": "n"}), ("idea", {"text": "i"})


def test_nothing_ordered_is_nothing_wanted() -> None:
    assert read([]) == Steering()


def test_pause_resume_and_stop() -> None:
    assert read(events(("pause", {}))).paused
    assert not read(events(("pause", {}), ("resume", {}))).paused
    assert read(events(started(), ("stop", {}))).stopping
    assert not read(events(started(), ("stop", {}), (OVER, {"why": "done"}))).stopping
    assert not read(events(started(), ("stop", {}), started(8))).stopping, "it was the other's"
    assert read(events(("pause", {}), started(), (OVER, {"why": "x"}), started())).paused


def test_words_wait_until_somebody_has_heard_them() -> None:
    state = read(events(NOTE, IDEA, NOTE, ("skip", {"experiment": 3})))
    assert [each.id for each in state.notes] == [1, 3]
    assert state.ideas == (Words(2, "then", "i"),)
    assert state.skips == {3}
    carried = read(events(NOTE, NOTE, ("carried", {"note": 1, "experiment": 5})))
    assert [each.id for each in carried.notes] == [2]
    taken = read(events(IDEA, IDEA, ("taken", {"idea": 1, "experiment": 5})))
    assert [(each.id, each.taken) for each in taken.ideas] == [(1, 5), (2, None)]
    rows = (IDEA, IDEA, ("taken", {"idea": 1, "experiment": 5}))
    over = read(events(*rows, ("taken", {"idea": 2, "experiment": 6})))
    assert [(each.id, each.taken) for each in over.ideas] == [(2, 6)]
    gone = read(events(NOTE, IDEA, ("withdraw", {"id": 1}), ("withdraw", {"id": 2})))
    assert (gone.notes, gone.ideas) == ((), ())


def test_reading_in_parts_is_reading_all() -> None:
    rows = events(
        started(experiments=3), NOTE, IDEA, ("extend", {"experiments": 2}), ("pause", {}),
        ("taken", {"idea": 3, "experiment": 1}), ("resume", {}), started(experiments=3),
    )  # fmt: skip
    for cut in range(len(rows)):
        assert read(rows[cut:], read(rows[:cut])) == read(rows)


def test_what_was_added_stands_while_the_limit_is_the_same() -> None:
    rows = (started(experiments=10, seconds=60.0), ("extend", {"experiments": 5, "seconds": 1.5}))
    budget = StudyLimits(experiments=10, seconds=60.0)
    wider = StudyLimits(experiments=15, seconds=61.5)
    assert read(events(*rows)).extended(budget) == wider
    again = read(events(*rows, started(8, experiments=10, seconds=60.0)))
    assert again.extended(budget) == wider
    assert in_force(again, budget) == wider
    other = read(events(*rows, started(8, experiments=20, seconds=60.0)))
    assert other.extended(StudyLimits(20, 60.0)) == StudyLimits(20, 61.5), (
        "a new limit stands for itself"
    )
    assert in_force(again, StudyLimits(20, 60.0)) == StudyLimits(20, 61.5)
    trying = read(events(*rows, (STARTED, {"pid": 9, "researcher": "hand"})))
    assert trying.extended(budget) == wider, "a `try` has no limits of its own"
    assert in_force(Steering(), budget) == budget


def test_an_extension_can_be_withdrawn() -> None:
    rows = (started(experiments=10), ("extend", {"experiments": 5, "seconds": 9.0}))
    rows = (*rows, ("extend", {"experiments": 2}))
    assert read(events(*rows)).extended(StudyLimits(10)) == StudyLimits(17)
    assert read(events(*rows, ("withdraw", {"id": 2}))).extended(StudyLimits(10)) == StudyLimits(12)
    assert read(events(*rows, ("withdraw", {"id": 7}))).added == {"experiments": 7, "seconds": 9.0}


def test_trouble_lasts_until_it_is_over() -> None:
    out, back = ("unavailable", {"text": "rate limit"}), ("back", {"text": "it is back"})
    disk = ("trouble", {"what": "disk", "text": "full"})
    rows = [
        replace(each, at=f"0{each.id}", key=None)
        for each in events(started(), out, out, disk, back)
    ]
    told = read(rows[:4]).lasting(None)
    assert [(each.at, each.text) for each in told] == [("02", "rate limit"), ("04", "full")]
    assert [each.text for each in read(rows[:4]).lasting("05")] == ["rate limit"], "a score came"
    assert [each.text for each in read(rows).lasting(None)] == ["full"]
    assert not read([*rows, *events((OVER, {"why": "done"}))]).lasting(None)


def test_a_limit_is_as_wished_or_as_it_was() -> None:
    began = (started(experiments=10, tokens=100, written={"experiments": 10}),)
    state = read(events(*began, ("extend", {"experiments": 5})))
    program = Program(limits=Limits(experiments=10))
    same = resumed(state, program, {})
    assert same == StudyLimits(10, tokens=100)
    assert in_force(state, same).experiments == 15, "what was added stands"
    assert resumed(state, program, {"cost_usd": 1.0}) == replace(same, cost_usd=1.0)
    assert resumed(state, program, {"tokens": None}) == replace(same, tokens=None)
    edited = resumed(state, Program(limits=Limits(experiments=20)), {})
    assert edited == StudyLimits(20, tokens=100), "what has changed in program.md, and nothing else"
    assert resumed(Steering(), program, {"seconds": 5.0}) == StudyLimits(10, 5.0)


def test_an_event_without_a_key_orders_nothing() -> None:
    assert read([Event(1, "then", "pause", {"text": "an agent's own kind"})]) == Steering()


def test_a_researcher_cannot_write_the_engines_events(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.create_study("t", {}, seed=0, researcher="x", machine={})
        ledger = StudyLedger(
            store, "t", 1, "x", tmp_path, StudyLimits, lambda text: None, lambda used: None
        )
        for kind in ENGINES:
            ledger.note(kind, "nothing")
        assert steering_of(store, "t") == Steering()
        assert store.final("t") is None


# --- Giving orders ----------------------------------------------------------------------------


class Place:
    """A lab with a study in it, and hands for both sides."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab.open(make_tiny_lab(folder))
        self.store = Store(opening.store_path(self.lab))
        opened = opening.open_study(self.lab, self.store, opening.Wishes("t"))
        self.program = opened.program
        self.store.finish("t", 0, Verdict.KEEP, "baseline", score=5.0)

    def give(self, kind: str, key: str | None = None, **data: Any) -> str:
        return give(self.lab, self.store, "t", kind, data, key)

    def refused(self, words: str, kind: str, **data: Any) -> None:
        before = len(self.store.events("t"))
        with pytest.raises(StudyError, match=words):
            self.give(kind, **data)
        assert len(self.store.events("t")) == before

    def propose(self, x: float, parent: int = 0) -> Experiment:
        opened = self.store.begin("t", parent, "x")
        commit = self.store.experiment("t", parent).commit
        text = TRAIN.replace("X = 1.0", f"X = {x}").encode()
        commit = self.lab.snapshot({"train.py": text}, f"X {x}", commit)
        self.store.proposed("t", replace(opened, commit=commit, description=f"X {x}"))
        return opened

    def keep(self, score: float, parent: int) -> int:
        number = self.propose(score, parent).number
        self.store.finish("t", number, Verdict.KEEP, "better", score=score)
        return number

    @contextmanager
    def at_work(self, **limits: float) -> Iterator[None]:
        """As an engine is."""
        with self.lab.lock():
            self.store.event("t", *started(os.getpid())[:1], **started(os.getpid(), **limits)[1])
            yield
            self.store.event("t", OVER, why="done")

    @property
    def branch(self) -> str | None:
        return git.resolve(self.lab.repository, self.lab.branch("t"))

    def state(self) -> Steering:
        return steering_of(self.store, "t")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "lab")
    with found.store:
        yield found


def test_each_order_says_what_comes_of_it(place: Place) -> None:
    assert (
        place.give("pause") == "pausing when the study runs again; go on with `autoresearch resume`"
    )
    assert place.give("pause") == "it is paused already"
    assert place.give("resume") == "no longer paused; no engine runs: run it again"
    assert place.give("resume") == "it is not paused"
    place.refused("not running: there is nothing to stop", "stop")
    place.refused("runs no experiment now", "skip")
    with place.at_work(experiments=3, seconds=60.0):
        assert at_work(place.lab, place.state())
        assert is_busy(place.lab, place.store, "t")
        assert "pausing now" in place.give("pause")
        assert place.give("resume") == "going on"
        place.propose(2.0)
        assert place.give("skip") == "skipping #1"
        assert place.give("skip", experiment=1) == "#1 is being skipped already"
        place.refused("#7 is not the running one, #1 is", "skip", experiment=7)
        assert "pausing after experiment #1" in place.give("pause")
        assert place.give("stop") == "stopping after experiment #1"
        assert place.give("stop") == "it is stopping already"
        said = place.give("extend", experiments=2, seconds=7200)
        number = place.store.last_event("t")
        assert said == (
            "2 experiments more (5 experiments in all) and 2 h more (2.02 h in all); "
            f"`autoresearch withdraw {number}` takes it back"
        )
        assert place.give("extend", experiments=1).startswith("1 experiment more (6 experiments")
        said = place.give("withdraw", id=number)
        assert said == f"{number} is withdrawn: 4 experiments in all and 60 s in all"
        place.refused(f"no note, idea or extension {number} waits", "withdraw", id=number)
        place.refused(
            "study t has no limit on tokens: there is nothing to add to", "extend", tokens=5
        )
    assert not is_busy(place.lab, place.store, "t")
    assert "run it again to go on" in place.give("extend", experiments=1)
    assert place.state().over == "done"


def test_no_extension_is_taken_back_that_is_used_and_none_is_absurd(place: Place) -> None:
    with place.at_work(experiments=1, seconds=60.0):
        place.give("extend", experiments=1)
        number = place.store.last_event("t")
        place.keep(2.0, place.keep(3.0, 0))
        place.refused("2 experiments are used: more than would be left", "withdraw", id=number)
        place.give("extend", seconds=3e7)
        place.refused("more than 370 days in all", "extend", seconds=3e7)
        place.refused("at most 370 days", "extend", seconds=1e8)


def test_words_that_nobody_reads_are_answered_so(place: Place) -> None:
    with place.at_work():
        assert "goes to the next proposal" in place.give("note", text="hello")
    with place.lab.lock():
        place.store.event(
            "t", STARTED, pid=os.getpid(), **asdict(StudyLimits()), researcher="knobs"
        )
        assert "knobs reads no words, until a researcher" in place.give("note", text="hello")
        assert "knobs reads no words, until a researcher" in place.give("idea", text="try wider")
        assert "idea 7 sets X: " in place.give("idea", text="X = 2").replace("idea 8", "idea 7")


def test_no_time_limit_is_said_so(place: Place) -> None:
    place.refused("study t has no time limit: there is nothing to add to", "extend", seconds=60)
    place.refused("no limit on cost", "extend", cost_usd=1.0)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("dance", {}, "nothing is called 'dance'"),
        ("pause", {"x": 1}, "unknown here: x"),
        ("note", {}, "the text is empty"),
        ("note", {"text": " \x1b[1m "}, "the text is empty"),
        ("note", {"text": 5}, "the text is empty"),
        ("note", {"text": "x" * (LONGEST_WORDS + 1)}, "longer than 4000"),
        ("idea", {"text": "x", "files": {}, "onto": 0}, "files must be new text for train.py"),
        ("idea", {"text": "x", "files": {"prepare.py": ""}, "onto": 0}, "files must be new text"),
        ("idea", {"text": "x", "files": {"train.py": 5}, "onto": 0}, "files must be new text"),
        ("idea", {"text": "x", "files": {"train.py": "\ud800"}, "onto": 0}, "must be new text"),
        ("idea", {"text": "x", "files": {"train.py": "é" * 2**18}, "onto": 0}, "bytes together"),
        ("idea", {"text": "x", "files": {"train.py": ""}, "onto": 9}, "has no experiment 9"),
        ("idea", {"text": "x", "files": {"train.py": ""}}, "onto must be a whole number"),
        ("withdraw", {"id": 99}, "no note, idea or extension 99 waits"),
        ("veto", {"experiment": 0}, "#0 was not kept"),
        ("veto", {"experiment": 9}, "has no experiment 9"),
        ("veto", {"experiment": True}, "must be a whole number"),
        ("veto", {"experiment": 1.0}, "must be a whole number"),
        ("restore", {"experiment": -1}, "must be a whole number"),
        ("extend", {}, "experiments, time, tokens or cost"),
        ("extend", {"hours": 1}, "unknown here: hours"),
        ("extend", {"experiments": 1.5}, "must be a whole number"),
        ("extend", {"seconds": "1h"}, "must be a number"),
        ("extend", {"seconds": float("nan")}, "more than 0"),
        ("extend", {"seconds": float("inf")}, "more than 0"),
        ("extend", {"experiments": 10**400}, "more than 0"),
        ("extend", {"tokens": 0}, "more than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(
    place: Place, kind: str, data: dict[str, Any], words: str
) -> None:
    place.refused(words, kind, **data)


def test_data_that_is_no_mapping_and_odd_keys_are_refused(place: Place) -> None:
    wrong: Any = ["text"]
    with pytest.raises(StudyError, match="names and values"):
        give(place.lab, place.store, "t", "note", wrong)
    for key in ("short", "x" * 65, "no spaces here"):
        with pytest.raises(StudyError, match="8 to 64"):
            place.give("note", key, text="x")
    with pytest.raises(StudyError, match="no study 'u'"):
        give(place.lab, place.store, "u", "pause", {})
    assert [each.kind for each in place.store.events("t")] == [LIMITED]


def test_words_are_made_harmless_and_do_not_pile_up(place: Place) -> None:
    place.give("note", text="try \x1b[31mred\u202e text\x07\nand more")
    assert place.state().notes[0].text == "try red text\nand more"
    for number in range(MOST_WAITING - 1):
        place.give("note", text=str(number))
    place.refused("100 notes wait already", "note", text="one more")
    first = place.state().notes[0].id
    assert place.give("withdraw", id=first) == f"{first} is withdrawn"
    place.refused(f"no note, idea or extension {first} waits", "withdraw", id=first)
    place.give("note", text="one more")


def test_ideas_say_how_they_will_be_tried(place: Place) -> None:
    said = place.give("idea", text="X = 2, Y = 0.1")
    assert said == "idea 2 sets X, Y: it comes next"
    assert "waits for a model or an agent that reads it: 1 before it" in place.give(
        "idea", text="a wider MLP"
    )
    said = place.give("idea", text="mine", files={"train.py": "X = 1\n"}, onto=0)
    assert said == "idea 4 waits: 2 before it"
    place.refused(r"the best's files set no constant Z$", "idea", text="Z = 1")
    place.refused(r"set no constant SLEP: is it SLEEP\?", "idea", text="SLEP = 1, X = 2")
    exact, words, edit = place.state().ideas
    assert (exact.is_exact, words.is_exact, edit.is_exact) == (True, False, True)
    place.store.event("t", "taken", idea=2, experiment=4)
    place.refused("idea 2 is experiment #4 already: skip that instead", "withdraw", id=2)
    said = place.give("idea", text="X = 9, SLEEP = 1")
    assert said.endswith("; careful: X's hint says range: 0.0 to 6.0 and SLEEP's hint says fixed")


def test_the_same_order_twice_is_one(place: Place) -> None:
    assert "note 2" in place.give("note", "key-12345", text="once")
    assert place.give("note", "key-12345", text="once") == "done already"
    with pytest.raises(StudyError, match="of another order"):
        place.give("pause", "key-12345")
    assert len(place.state().notes) == 1


def test_two_people_at_once_lose_nothing_and_double_nothing(place: Place) -> None:
    """Each sends every order twice, as a browser does whose connection dropped."""
    problems: list[Exception] = []

    def person(name: str) -> None:
        try:
            with Store(opening.store_path(place.lab)) as store:
                for number in range(20):
                    data = {"text": f"{name}{number}"}
                    for _ in range(2):
                        give(place.lab, store, "t", "note", data, f"person-{name}-{number}")
                    give(place.lab, store, "t", ("pause", "resume")[number % 2], {})
        except Exception as error:
            problems.append(error)

    people = [threading.Thread(target=person, args=(name,)) for name in ("a", "b")]
    for each in people:
        each.start()
    for each in people:
        each.join()
    assert not problems
    texts = [each.text for each in place.state().notes]
    assert sorted(texts) == sorted(f"{name}{number}" for name in "ab" for number in range(20))
    for name in "ab":
        assert [each for each in texts if each[0] == name] == [f"{name}{n}" for n in range(20)]


# --- Vetoes -----------------------------------------------------------------------------------


def standing_kept(place: Place) -> list[int]:
    return [each.number for each in place.store.experiments("t") if each.is_kept]


def test_a_veto_takes_what_was_built_on_it_and_restore_gives_it_back(place: Place) -> None:
    one = place.keep(4.0, 0)
    two = place.keep(3.0, one)
    said = place.give("veto", experiment=one)
    first = "the baseline (5.0000)"
    assert said == f"#1 is vetoed, with 1 kept change built on it; the best is now {first}"
    assert standing_kept(place) == [0]
    assert place.branch == place.store.experiment("t", 0).commit
    other = place.keep(3.5, 0)
    assert place.give("veto", experiment=one) == "#1 is vetoed already"
    words = {each.number: each.standing for each in place.store.experiments("t")}
    assert words == {0: "keep", one: "vetoed", two: "undone", other: "keep"}
    said = place.give("restore", experiment=one)
    assert said == (
        f"#1 is restored, with 1 kept change built on it; the best is now #{two} (3.0000)"
    )
    assert standing_kept(place) == [0, one, two, other]
    assert place.branch == place.store.experiment("t", two).commit
    assert place.give("restore", experiment=one) == "#1 is not vetoed"
    place.give("veto", experiment=two)
    place.give("veto", experiment=one)
    place.give("restore", experiment=one)
    assert standing_kept(place) == [0, one, other], "its own veto still holds"


def test_a_hand_edit_goes_on_top_of_the_incumbent_that_a_restore_gave(place: Place) -> None:
    one = place.keep(3.0, 0)
    place.give("veto", experiment=one)
    place.keep(4.0, 0)
    place.give("restore", experiment=one)
    script = place.lab.root / "train.py"
    script.write_text(script.read_text().replace("Y = 0.5", "Y = 0.9"))
    made = opening.hand_edit(place.lab, place.store, "t", place.program)
    assert made.onto == one
    assert b"X = 3.0" in made.files["train.py"]
    assert b"Y = 0.9" in made.files["train.py"]


def test_a_veto_below_the_running_experiment_says_that_it_ends(place: Place) -> None:
    one = place.keep(4.0, 0)
    with place.at_work():
        running = place.propose(2.0, one).number
        said = place.give("veto", experiment=one)
        assert f"#{running} was built on it and ends" in said
        assert place.store.is_undone("t", running)


def test_a_veto_while_the_branch_is_checked_out_moves_nothing_under_the_person(
    place: Place,
) -> None:
    one = place.keep(4.0, 0)
    place.lab.point_branch("t", str(place.store.experiment("t", one).commit))
    git.run(place.lab.root, "checkout", "--quiet", "autoresearch/t")
    said = place.give("veto", experiment=one)
    assert "you are on its branch, which moves once you leave it" in said
    assert place.branch == place.store.experiment("t", one).commit
    best = incumbent(place.store.experiments("t"), lower=True)
    assert best is not None
    assert best.number == 0


def test_two_vetoes_at_once_leave_the_branch_at_the_incumbent(place: Place) -> None:
    one = place.keep(4.0, 0)
    two = place.keep(3.0, 0)

    def veto(number: int) -> None:
        with Store(opening.store_path(place.lab)) as store:
            give(place.lab, store, "t", "veto", {"experiment": number})

    for _ in range(3):
        people = [threading.Thread(target=veto, args=(number,)) for number in (one, two)]
        for each in people:
            each.start()
        for each in people:
            each.join()
        assert place.branch == place.store.experiment("t", 0).commit
        place.give("restore", experiment=one)
        place.give("restore", experiment=two)
        assert place.branch == place.store.experiment("t", two).commit


def test_whoever_reads_a_study_sees_what_was_taken_back(place: Place) -> None:
    one = place.keep(3.0, 0)
    two = place.keep(2.0, one)
    place.give("veto", experiment=one)
    other = place.keep(4.0, 0)
    place.store.begin("t", other, "x")
    place.store.finish("t", other + 1, Verdict.DISCARD, "skipped by the person")
    rows = place.store.experiments("t")
    view = StudyView("t", place.program, rows)
    assert view.steps(5.0) == [(0.0, 5.0), (float(other), 4.0), (5.0, 4.0)]
    page = summary(rows, {}, place.program)
    assert "2 taken back by the person" in page
    assert f"#{one} vetoed" in page
    assert f"#{two} undone" in page
    assert "do not propose it again" in sheet(rows[one], rows[0], (), place.program, [])
    statuses = [line.split("\t")[3] for line in results_tsv(rows).splitlines()[1:]]
    assert statuses == ["keep", "discard", "discard", "keep", "discard"]
    place.give("restore", experiment=one)
    view = StudyView("t", place.program, place.store.experiments("t"))
    assert [score for _, score in view.steps(5.0)] == [5.0, 3.0, 2.0, 2.0], "it never gets worse"


# --- The store --------------------------------------------------------------------------------


def test_a_store_of_schema_3_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    raw = sqlite3.connect(path, isolation_level=None)
    for script in MIGRATIONS[:3]:
        raw.executescript(script)
    raw.execute("PRAGMA user_version = 3")
    raw.execute("INSERT INTO studies VALUES ('t', 'then', '{}', 0, 'x', '{}', 'confirm')")
    raw.execute(
        "INSERT INTO experiments (study, number, started_at, verdict, score)"
        " VALUES ('t', 0, 'then', 'keep', 1.0)"
    )
    raw.execute(
        "INSERT INTO events (study, at, kind, data) VALUES ('t', 'then', 'resumed', ?)",
        (json.dumps({"text": "x"}),),
    )
    raw.close()
    with Store(path) as store:
        (first,) = store.experiments("t")
        assert (first.is_kept, first.vetoed, first.undone) == (True, False, False)
        (event,) = store.events("t")
        assert (event.kind, event.key) == ("resumed", None)
        assert steering_of(store, "t") == Steering()
        assert store.order("t", "note", {"text": "x"}, "key-0001") == 2
