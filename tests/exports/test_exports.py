"""Protects what other tools get: every number is the store's, and words can do nothing there."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import astuple, fields
from pathlib import Path

import pytest

from autoresearch import parts
from autoresearch.errors import StudyError, UserError
from autoresearch.experiment import Experiment, Usage, Verdict
from autoresearch.exports.base import FORMATS, Format, target
from autoresearch.exports.rows import Export, Row, gather
from autoresearch.lab import Lab
from autoresearch.opening import store_path
from autoresearch.program import Program
from autoresearch.store import Store, StudyRow
from autoresearch.testing.finished import Finished
from autoresearch.testing.long_study import long_study
from autoresearch.testing.tiny import TRAIN, make_tiny_lab
from tests.conftest import Call
from tests.test_import_log import SMALL

HOSTILE = "=cmd|' /C calc'!A0 \x1b[31mred\u202e,\"quoted\"\n\t</script>\x00 @someone"
CURVE = ((0.5, 1, 4.0, 8.0), (1.0, 2, float("nan"), 16.0), (1.5, 3, 2.25, 24.0))
EXPORTS = Path(__file__).parents[2] / "docs" / "exports.md"


def night(root: Path) -> Finished:
    """A baseline, two kept changes, one of them vetoed, a discarded one and a crash; saved."""
    study = Finished(Lab.open(root), "night", (1.5, 1.75))
    study.add(TRAIN.replace("X = 1.0", "X = 2.0"), (1.25, 1.3), Verdict.KEEP, HOSTILE, HOSTILE)
    study.add(TRAIN.replace("X = 1.0", "X = 9.0"), 1.9, Verdict.DISCARD)
    study.add(None, None, Verdict.CRASH)
    study.add(TRAIN.replace("X = 1.0", "X = 3.0"), 0.1 + 0.2, Verdict.KEEP, "vetoed later")
    study.curve(0, *CURVE)
    study.curve(1, *CURVE)
    study.curve(2, *CURVE)
    study.save()
    with Store(store_path(study.lab)) as store:
        store.veto("night", 4, True)
        store.spend("night", 1, "test", Usage(1000, 200, 50, 0.125))
    return study


def gathered(lab: Lab, tag: str = "night", curves: bool = True) -> Export:
    with Store(store_path(lab)) as store:
        program = Program.from_contract(store.study(tag).contract)
        return gather(lab, store, tag, program, curves)


def stored(lab: Lab, tag: str = "night") -> tuple[Experiment, ...]:
    with Store(store_path(lab)) as store:
        return store.experiments(tag)


def written(export: Export, name: str, path: Path) -> Path:
    write = parts.exporter(FORMATS[name], path)
    lab = Lab.open(make_tiny_lab(path.parent / f"lab-{name}"))
    with target(lab, Program(), path, FORMATS[name], ours=False) as place:
        write(export, place)
    return path


# the rows


def test_a_row_says_what_the_store_says(tiny_lab: Path) -> None:
    lab = night(tiny_lab).lab
    export, experiments = gathered(lab), stored(lab)
    assert [row.number for row in export.rows] == [0, 1, 2, 3, 4]
    for row, each in zip(export.rows, experiments, strict=True):
        assert (row.score, row.delta, row.seconds) == (each.score, each.delta, each.seconds)
        assert (row.parent, row.verdict, row.commit) == (each.parent, each.verdict, each.commit)
        assert (row.started_at, row.finished_at) == (each.started_at, each.finished_at)
        assert row.gain == (None if each.delta is None else -each.delta)
        assert json.loads(row.scores) == [run.score for run in each.runs if run.score is not None]
        assert row.seed == each.runs[-1].seed
        assert row.peak_memory_mb == each.runs[-1].figures.get("peak_memory_mb")
    one = export.rows[1]
    assert (one.input_tokens, one.output_tokens, one.cached_tokens) == (1000, 200, 50)
    assert (one.cost_usd, one.runs, one.tier) == (0.125, 2, 3)


def test_a_vetoed_change_is_no_longer_the_best(tiny_lab: Path) -> None:
    export = gathered(night(tiny_lab).lab)
    assert [row.best for row in export.rows] == [1.625, 1.275, 1.275, 1.275, 1.275]
    assert [row.number for row in export.kept] == [0, 1]
    last, facts = export.rows[4], export.facts
    assert (last.verdict, last.kept, last.vetoed, last.undone) == ("keep", False, True, True)
    assert (facts.best, facts.best_number, facts.kept) == (1.275, 1, 1)


def test_a_study_without_a_finished_experiment_is_not_exported(tiny_lab: Path) -> None:
    lab = Lab.open(tiny_lab)
    with Store(store_path(lab)) as store:
        row = StudyRow("new", "", Program().contract(), 1, "knobs", {}, "confirm")
        store.insert(row, [Experiment(0, None, "2026-03-08T00:00:00+00:00")])
    with pytest.raises(StudyError, match="nothing to export"):
        gathered(lab, "new")


def test_words_are_made_plain(tiny_lab: Path) -> None:
    row = gathered(night(tiny_lab).lab).rows[1]
    for text in (row.description, row.hypothesis):
        assert text == "=cmd|' /C calc'!A0 red,\"quoted\" </script> @someone"
    assert json.loads(row.config) == {"X": 1, "name": "ab"}


def test_an_imported_log_gives_no_time_seed_or_tokens(tiny_lab: Path, autoresearch: Call) -> None:
    (tiny_lab / "log.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "log.tsv", "--tag", "old")
    export = gathered(Lab.open(tiny_lab), "old")
    for row in export.rows:
        unknown = (row.started_at, row.finished_at, row.seconds, row.seed, row.input_tokens)
        assert unknown == (None,) * 5
    assert [row.commit for row in export.rows][:2] == ["baseline", "aaaaaaa"]
    assert (export.facts.imported, export.facts.created_at, export.facts.seed) == (True, None, None)
    assert export.facts.budget_seconds is None


def test_a_curve_that_is_being_written_is_read_as_far_as_it_goes(tiny_lab: Path) -> None:
    study = night(tiny_lab)
    path = study.lab.study_folder("night") / "curves" / "0001.jsonl"
    path.write_text("[0.5, 1, 4.0, 8.0]\n[1.0, 2, 3.0, \n[1]\nnull\n\x00\n[1e999, 2")
    assert [astuple(each) for each in gathered(study.lab).curves[1]] == [(0.5, 1, 4.0, 8.0)]


# the formats


def test_csv_is_read_back_to_the_last_digit(tiny_lab: Path, tmp_path: Path) -> None:
    export = gathered(night(tiny_lab).lab)
    path = written(export, "csv", tmp_path / "night.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [each.name for each in fields(Row)]
    for read, row in zip(rows, export.rows, strict=True):
        for name in ("score", "delta", "best", "seconds", "training_seconds"):
            value = getattr(row, name)
            assert (float(read[name]) if read[name] else None) == value
        assert read["kept"] == str(row.kept).lower()
    assert rows[1]["description"].startswith("'=cmd")  # no formula of a spreadsheet
    with (tmp_path / "night.curves.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert list(points[0]) == ["experiment", "seconds", "step", "loss", "tokens"]
    assert [(each["experiment"], each["loss"]) for each in points[:3]] == [
        ("0", "4.0"), ("0", "nan"), ("0", "2.25"),
    ]  # fmt: skip


def test_json_holds_the_facts_the_rows_and_the_curves(tiny_lab: Path, tmp_path: Path) -> None:
    export = gathered(night(tiny_lab).lab)
    path = written(export, "json", tmp_path / "night.json")
    whole = json.loads(path.read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert whole["study"]["best"] == 1.275
    assert [each["score"] for each in whole["experiments"]] == [row.score for row in export.rows]
    assert whole["experiments"][1]["scores"] == [1.25, 1.3]
    assert whole["experiments"][1]["curve"][1] == [1.0, 2, None, 16.0]
    assert whole["experiments"][3]["curve"] == []


def test_parquet_has_types_and_the_facts(tiny_lab: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="parquet is NOT tested: no pyarrow")
    export = gathered(night(tiny_lab).lab)
    path = written(export, "parquet", tmp_path / "night.parquet")
    table = pq.read_table(path)
    assert table.to_pylist() == [
        dict(zip((each.name for each in fields(Row)), astuple(row), strict=True))
        for row in export.rows
    ]
    assert str(table.schema.field("score").type) == "double"
    assert str(table.schema.field("kept").type) == "bool"
    assert str(table.schema.field("parent").type) == "int64"
    facts = json.loads(table.schema.metadata[b"autoresearch"])
    assert (facts["tag"], facts["machine"]) == ("night", dict(export.facts.machine))
    curves = pq.read_table(tmp_path / "night.curves.parquet")
    assert curves.column("loss").to_pylist()[::2][:2] == [4.0, 2.25]
    assert curves.column("experiment").to_pylist()[:4] == [0, 0, 0, 1]


def test_tensorboard_reads_the_scalars_the_kept_changes_and_the_curves(
    tiny_lab: Path, tmp_path: Path
) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="TensorBoard's format is NOT tested: no tensorboard",
    )
    export = gathered(night(tiny_lab).lab)
    path = written(export, "tensorboard", tmp_path / "board")
    study = reader.EventAccumulator(str(path / "study"))
    study.Reload()
    scores = {each.step: each.value for each in study.Scalars("score")}
    assert scores == pytest.approx({row.number: row.score for row in export.rows if row.score})
    best = [each.value for each in study.Scalars("best")]
    assert best == pytest.approx([row.best for row in export.rows])
    assert [each.value for each in study.Scalars("kept")] == [1, 1, 0, 0, 0]
    texts = [each.tensor_proto.string_val[0].decode() for each in study.Tensors("kept changes")]
    assert [text.partition(":")[0] for text in texts] == [
        "```text\n#0 1.625000", "```text\n#1 1.275000 (gain 0.35)",
    ]  # fmt: skip
    assert sorted(each.name for each in path.iterdir()) == ["0000", "0001", "study"]
    curve = reader.EventAccumulator(str(path / "0001"))
    curve.Reload()
    assert [each.step for each in curve.Scalars("loss")] == [1, 2, 3]
    assert curve.Scalars("loss")[2].value == 2.25
    assert curve.Scalars("loss")[0].wall_time == pytest.approx(1772928060.5)
    names = [each.name for each in path.rglob("events*")]
    assert set(names) == {"events.out.tfevents.0.autoresearch"}  # of no host


def test_a_long_study_is_flattened_whole(tiny_lab: Path, tmp_path: Path) -> None:
    history = long_study(400).history
    lab = Lab.open(tiny_lab)
    with Store(store_path(lab)) as store:
        row = StudyRow(
            "long", "2026-03-08T00:00:00+00:00", Program().contract(), 1, "knobs", {}, "confirm"
        )
        store.insert(row, history)
    export = gathered(lab, "long")
    assert len(export.rows) == 401
    path = written(export, "csv", tmp_path / "long.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scores = [float(each["score"]) if each["score"] else None for each in rows]
    assert scores == [each.score for each in history]
    bests = [row.best for row in export.rows if row.best is not None]
    assert bests == sorted(bests, reverse=True)


# where they go


def test_an_export_replaces_its_own_and_nothing_else(
    tiny_lab: Path, autoresearch: Call, tmp_path: Path
) -> None:
    night(tiny_lab)
    for _ in range(2):
        done = autoresearch(tiny_lab, "export", "csv", "--curves").stdout
    assert "5 experiments of study night: " in done
    home = tiny_lab / ".autoresearch" / "studies" / "night" / "exports"
    assert sorted(each.name for each in home.iterdir()) == ["night.csv", "night.curves.csv"]
    autoresearch(tiny_lab, "export", "json", "--output", str(tmp_path / "a" / "b.json"))
    assert json.loads((tmp_path / "a" / "b.json").read_text())["format"] == 1
    printed = autoresearch(tiny_lab, "export", "csv", "--output", "-").stdout
    assert printed.splitlines()[0].startswith("study,number,parent,verdict")
    assert len(printed.splitlines()) == 6
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    for words, said in (
        (["json", "--output", str(tmp_path / "mine")], "is a folder: name a file"),
        (
            ["tensorboard", "--output", str(tmp_path / "mine")],
            "is there already: name a new folder",
        ),
        (["parquet", "--output", "-"], "cannot be printed"),
        (["excel"], "is not one of"),
        (["csv", "--tag", "other"], "no study 'other'"),
    ):
        assert said in autoresearch(tiny_lab, "export", *words, code=2).stderr
    assert (tmp_path / "mine" / "file").read_text() == "x"


def test_only_plain_files_that_are_not_the_labs_are_replaced(
    tiny_lab: Path, autoresearch: Call
) -> None:
    night(tiny_lab)
    os.mkfifo(tiny_lab / "pipe.csv")
    (tiny_lab / "link.csv").symlink_to(tiny_lab / "real.csv")
    (tiny_lab / "train.csv").symlink_to("train.py")
    (tiny_lab / "hard.csv").hardlink_to(tiny_lab / "prepare.py")
    before = {
        each: each.read_bytes() for each in tiny_lab.glob("*.*") if each.suffix in (".py", ".md")
    }
    for name, said in (
        ("pipe.csv", "pipe.csv is a pipe or a device: name a file"),
        ("train.csv", "train.csv belongs to the lab"),
        ("hard.csv", "hard.csv belongs to the lab"),
        ("program.md", "program.md belongs to the lab"),
        (".git/config", ".git/config belongs to the lab"),
        (".autoresearch/autoresearch.db", "belongs to the lab"),
    ):
        assert said in autoresearch(tiny_lab, "export", "csv", "--output", name, code=2).stderr
    assert (tiny_lab / "pipe.csv").is_fifo()
    autoresearch(tiny_lab, "export", "csv", "--curves", "--output", "link.csv")
    assert (tiny_lab / "link.csv").is_symlink()
    assert (tiny_lab / "real.csv").read_text().startswith("study,number")
    assert (tiny_lab / "link.curves.csv").read_text().startswith("experiment,seconds")
    out = tiny_lab / "out"
    out.mkdir()
    (out / "report.md").symlink_to(tiny_lab / "program.md")
    os.mkfifo(out / "results.tsv")
    for folder, said in (
        ("program.md", "program.md is no folder"),
        ("program.md/sub", "Not a directory"),
        ("out", "out/report.md belongs to the lab"),
    ):
        assert said in autoresearch(tiny_lab, "report", "--output", folder, code=2).stderr
    (out / "report.md").unlink()
    (out / "report.md").symlink_to("elsewhere.md")
    done = autoresearch(tiny_lab, "report", "--output", "out", code=2)
    assert "out/results.tsv is a pipe or a device" in done.stderr
    (out / "results.tsv").unlink()
    autoresearch(tiny_lab, "report", "--output", "out")
    assert (out / "elsewhere.md").is_file()
    assert before == {each: each.read_bytes() for each in before}


def fail_in(lab: Lab, form: Format, path: Path) -> None:
    with target(lab, Program(), path, form, ours=False) as place:
        (place if form.suffix else place / "part").write_text("half")
        raise OSError("full")


def test_nothing_half_is_left_after_an_error(tiny_lab: Path, tmp_path: Path) -> None:
    lab = Lab.open(tiny_lab)
    for name in ("csv", "tensorboard"):
        with pytest.raises(OSError, match="full"):
            fail_in(lab, FORMATS[name], tmp_path / "x")
    assert list(tmp_path.iterdir()) == [tiny_lab]
    (tmp_path / "mine").write_text("x")
    with pytest.raises(StudyError, match="there already"):
        fail_in(lab, FORMATS["mlflow"], tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "x"


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules[sys.argv[2]] = None\n"  # as where it is not installed
        "from pathlib import Path\n"
        "from autoresearch import parts\n"
        "from autoresearch.errors import UserError\n"
        "from autoresearch.exports.base import FORMATS\n"
        "try: parts.exporter(FORMATS[sys.argv[1]], Path())\n"
        "except UserError as error: print(error)\n"
    )
    package = {"parquet": "pyarrow", "tensorboard": "tensorboard.compat"}
    for name, form in FORMATS.items():
        if form.extra:
            missing = package.get(name, name)
            done = subprocess.run(
                [sys.executable, "-c", code, name, missing],
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout.startswith(f"export {name} needs a package that is not installed")
            assert f"pip install 'autoresearch[{name}]'" in done.stdout
    with pytest.raises(ImportError):  # of ours: a bug, not a missing package
        parts.exporter(Format("nothing"), Path())
    assert issubclass(StudyError, UserError)


def test_the_columns_are_documented() -> None:
    text = EXPORTS.read_text()
    for each in fields(Row):
        assert f"| `{each.name}` |" in text
    for name in FORMATS:
        assert f"| `{name}` |" in text
