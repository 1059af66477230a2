"""Protects exports to trackers of experiments: each is read back by its own reader, offline."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autoresearch.exports.rows import Export
from autoresearch.lab import Lab
from autoresearch.testing.finished import Finished
from tests.conftest import Call
from tests.exports.test_exports import gathered, night


@pytest.fixture
def study(tiny_lab: Path) -> Finished:
    return night(tiny_lab)


def need(package: str) -> None:
    if find_spec(package) is None:  # not imported here: it would leave its threads and warnings
        pytest.skip(f"the {package} export is NOT tested: no {package}, pip install '.[exports]'")


def exported(study: Finished, call: Call, name: str, path: Path) -> Export:
    """Written by the command, in a process of its own, as a person has it."""
    call(study.lab.root, "export", name, "--curves", "--output", str(path))
    return gathered(study.lab)


def asked(code: str, *words: str, **environment: str) -> Any:
    """What some Python prints as JSON; in a process of its own, for these libraries leave theirs
    with threads, settings and warnings."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


WANDB = """
import json, sys
from wandb.proto.wandb_internal_pb2 import Record
data = open(sys.argv[1], "rb").read()
found, parts, at = {"history": [], "summary": {}, "config": {}, "words": ""}, b"", 7
while at + 7 <= len(data):                       # a LevelDB log: blocks of 32 KB
    if 2**15 - at % 2**15 < 7:
        at += 2**15 - at % 2**15
        continue
    size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
    parts += data[at + 7 : at + 7 + size]
    at += 7 + size
    if kind in (2, 3):                           # there is more of this record
        continue
    record, parts = Record.FromString(parts), b""
    items = lambda each: {item.key or "/".join(item.nested_key): json.loads(item.value_json)
                          for item in each}
    match record.WhichOneof("record_type"):
        case "history":
            found["history"].append(items(record.history.item))
        case "summary":
            found["summary"] |= items(record.summary.update)
        case "run":
            found["config"] |= items(record.run.config.update)
            found["words"] += record.run.display_name + record.run.host
print(json.dumps(found))
"""


def test_wandb(study: Finished, autoresearch: Call, tmp_path: Path) -> None:
    need("wandb")
    export = exported(study, autoresearch, "wandb", tmp_path / "w")
    (log,) = (tmp_path / "w").rglob("run-*.wandb")
    found = asked(WANDB, str(log))
    rows = [each for each in found["history"] if "kept" in each]
    assert [each["_step"] for each in rows] == [0, 1, 2, 3, 4]
    assert [each.get("score") for each in rows] == [row.score for row in export.rows]
    assert [each["best"] for each in rows] == [row.best for row in export.rows]
    curve = [each["curve/0001"] for each in found["history"] if "curve/0001" in each]
    assert (curve[0], curve[2]) == (4.0, 2.25)
    assert not [each for each in found["history"] if "curve/0002" in each]  # it was discarded
    assert found["words"].strip() == "night"  # and no host
    assert (found["config"]["metric"], found["config"]["best"]) == ("val_bpb", 1.275)
    assert [each[:11] for each in found["summary"]["kept_changes"]] == [
        "#0 1.625000",
        "#1 1.275000",
    ]
    (table,) = (tmp_path / "w").rglob("*.table.json")
    cells = json.loads(table.read_text())
    place = cells["columns"].index("score")
    assert [row[place] for row in cells["data"]] == [row.score for row in export.rows]


MLFLOW = """
import json, sys
from mlflow.tracking import MlflowClient

def history(run, name):
    return [[each.step, each.value] for each in client.get_metric_history(run, name)]

client = MlflowClient(tracking_uri="sqlite:///" + sys.argv[1])
home = client.get_experiment_by_name("night").experiment_id
found = []
for run in client.search_runs([home]):
    found.append({"name": run.info.run_name, "tags": run.data.tags, "params": run.data.params,
                  "start": run.info.start_time, "status": run.info.status,
                  **{name: history(run.info.run_id, name)
                     for name in ("score", "best", "kept", "loss")}})
print(json.dumps(found))
"""


def test_mlflow(study: Finished, autoresearch: Call, tmp_path: Path) -> None:
    need("mlflow")
    export = exported(study, autoresearch, "mlflow", tmp_path / "m")
    runs = {each["name"].split()[0]: each for each in asked(MLFLOW, str(tmp_path / "m/mlflow.db"))}
    assert runs.keys() == {"night", "#0", "#1"}
    whole, one = runs["night"], runs["#1"]
    scores = [[row.number, row.score] for row in export.rows if row.score is not None]
    assert whole["score"] == scores
    assert whole["best"] == [[row.number, row.best] for row in export.rows]
    assert [value for _, value in whole["kept"]] == [1, 1, 0, 0, 0]
    assert whole["start"] == 1772928000000
    assert (whole["params"]["metric"], whole["status"]) == ("val_bpb", "FINISHED")
    assert one["score"] == [[1, 1.275]]
    assert [step for step, _ in one["loss"]] == [1, 2, 3]
    assert one["loss"][2][1] == 2.25
    assert one["params"] == {"X": "1", "name": "ab"}
    assert one["tags"]["description"] == export.rows[1].description
    assert {each.name for each in (tmp_path / "m").iterdir()} <= {"mlflow.db", "artifacts"}


TRACKIO = """
import json
from trackio.sqlite_storage import SQLiteStorage as store
runs = store.get_runs("autoresearch")
print(json.dumps({run: {"logs": store.get_logs("autoresearch", run),
                        "config": store.get_run_config("autoresearch", run)} for run in runs}))
"""


def test_trackio(study: Finished, autoresearch: Call, tmp_path: Path) -> None:
    need("trackio")
    export = exported(study, autoresearch, "trackio", tmp_path / "t")
    runs = asked(TRACKIO, TRACKIO_DIR=str(tmp_path / "t"))
    assert runs.keys() == {"night", "night/0000", "night/0001"}
    logs = runs["night"]["logs"]
    assert [each["step"] for each in logs] == [0, 1, 2, 3, 4]
    assert [each.get("score") for each in logs] == [row.score for row in export.rows]
    assert [each["best"] for each in logs] == [row.best for row in export.rows]
    assert logs[0]["timestamp"] == "2026-03-08T00:00:50+00:00"
    assert runs["night"]["config"]["best"] == 1.275
    assert runs["night"]["config"]["kept_changes"][0].startswith("#0 1.625000")
    assert [each["loss"] for each in runs["night/0001"]["logs"]][::2] == [4.0, 2.25]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_an_imported_night_is_exported_too(
    name: str, tiny_lab: Path, autoresearch: Call, tmp_path: Path
) -> None:
    need(name)
    rows = "baseline\t1.5\t1\tkeep\tbaseline\naaaaaaa\t0.0\t0\tcrash\toops\n"
    text = f"commit\tval_bpb\tmemory_gb\tstatus\tdescription\n{rows}"
    (tiny_lab / "old.tsv").write_text(text)
    autoresearch(tiny_lab, "import", "old.tsv")
    done = autoresearch(tiny_lab, "export", name)
    assert "2 experiments of study old" in done.stdout
    assert done.stderr == ""
    assert any((Lab.open(tiny_lab).study_folder("old") / "exports" / name).iterdir())
