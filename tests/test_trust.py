"""Protects what a keep means: fresh seeds, confirmation, the sealed text, a tier on each score."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from autoresearch.box import sandbox
from autoresearch.box.sandbox import Tier
from autoresearch.execution import seed_of
from autoresearch.testing.tiny import PREPARE, TRAIN, make_tiny_lab

from .conftest import Call

NOISY = TRAIN.replace(
    "    prepare.submit(harness, X, X=X, Y=Y)",
    "    import os, random\n"
    "    luck = random.Random(int(os.environ['AUTORESEARCH_SEED'])).gauss(0, 0.02)\n"
    "    prepare.submit(harness, X + luck, X=X, Y=Y)",
)


@pytest.fixture
def noisy_lab(tmp_path: Path) -> Path:
    return make_tiny_lab(tmp_path / "lab", train=NOISY)


def rows(folder: Path, autoresearch: Call, *words: str) -> list[dict[str, Any]]:
    return list(json.loads(autoresearch(folder, "log", "--json", *words).stdout))


def edit(folder: Path, before: str, after: str) -> None:
    text = (folder / "train.py").read_text()
    assert before in text
    (folder / "train.py").write_text(text.replace(before, after))


def test_the_baseline_is_repeated_and_a_gain_is_confirmed(
    noisy_lab: Path, autoresearch: Call
) -> None:
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t")
    edit(noisy_lab, "X = 1.0", "X = 2.5")
    said = autoresearch(noisy_lab, "try", "-m", "a real gain").stdout
    assert "keep: " in said
    assert "confirmed on a second seed" in said
    subprocess.run(
        ["git", "reset", "--quiet", "--hard", "autoresearch/t"], cwd=noisy_lab, check=True
    )
    edit(noisy_lab, "X = 2.5", "X = 0.5")
    said = autoresearch(noisy_lab, "try", "-m", "a loss").stdout
    assert "discard: " in said
    assert "sigma" in said
    baseline, gain, loss = rows(noisy_lab, autoresearch)
    assert [len(each["runs"]) for each in (baseline, gain, loss)] == [3, 2, 1]
    assert len({run["seed"] for each in (baseline, gain, loss) for run in each["runs"]}) == 6
    on_both = (*baseline["runs"], gain["runs"][1])
    assert all(run["figures"]["confirm"] == 2 * run["score"] for run in on_both)
    assert "confirm" not in gain["runs"][0]["figures"]
    mean = sum(run["score"] for run in baseline["runs"]) / 3
    assert baseline["score"] == pytest.approx(mean)


def test_luck_is_not_kept(noisy_lab: Path, autoresearch: Call) -> None:
    """With this seed an edit without effect does better in its first run, and only there."""
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t", "--seed", "7")
    edit(noisy_lab, "Y = 0.5", "Y = 0.6")
    said = autoresearch(noisy_lab, "try", "-m", "nothing").stdout
    assert "better at first" in said
    baseline, lucky = rows(noisy_lab, autoresearch)
    assert lucky["runs"][0]["score"] < baseline["score"]  # the greedy rule would have kept it
    assert lucky["verdict"] == "discard"
    assert len(lucky["runs"]) == 2


def test_a_run_cannot_say_what_only_scoring_may(noisy_lab: Path, autoresearch: Call) -> None:
    submit = noisy_lab / "train.py"
    words = '"figures": {"num_params": 1, "tokens": 8}'
    prepare = (noisy_lab / "prepare.py").read_text()
    forged = prepare.replace(words, '"figures": {"confirm": -9, "final": -9, "audit_x": 1, "t": 2}')
    submit.write_text(submit.read_text().replace("import prepare", f"exec({forged!r})", 1))
    submit.write_text(submit.read_text().replace("prepare.s", "s"))
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t", "--keep-rule", "greedy")
    figures = rows(noisy_lab, autoresearch)[0]["runs"][0]["figures"]
    assert figures["t"] == 2
    assert not {"confirm", "final", "audit_x"} & figures.keys()


def test_a_run_cannot_say_what_stands_in_the_record(noisy_lab: Path, autoresearch: Call) -> None:
    words = '"figures": {"num_params": 1, "tokens": 8}'
    said = '"figures": {"verdict": 1, "val_bpb": 0.75, "seed": 9, "a\\nverdict  keep": 1, "t": 2}'
    forged = (noisy_lab / "prepare.py").read_text().replace(words, said)
    script = (noisy_lab / "train.py").read_text()
    script = script.replace("import prepare", f"exec({forged!r})", 1).replace("prepare.s", "s")
    (noisy_lab / "train.py").write_text(script)
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t", "--keep-rule", "greedy")
    shown = autoresearch(noisy_lab, "show", "0").stdout.splitlines()
    facts = [line.split(maxsplit=1) for line in shown if line.strip()]
    assert [value[:4] for name, value in facts if name == "verdict"] == ["keep"]
    assert ["t", "2"] in facts
    assert not {"0.75", "9"} & {value for _, value in facts}


def test_greedy_keeps_to_the_original_and_one_study_to_one_rule(
    noisy_lab: Path, autoresearch: Call
) -> None:
    words = ("run", "--experiments", "1", "--tag", "t", "--keep-rule")
    said = autoresearch(noisy_lab, *words, "greedy").stdout
    assert "any decrease is kept" in said
    assert [len(each["runs"]) for each in rows(noisy_lab, autoresearch)] == [1, 1]
    refused = autoresearch(noisy_lab, *words, "confirm", code=2).stderr
    assert "began with --keep-rule greedy" in refused
    unknown = autoresearch(noisy_lab, "run", "--tag", "u", "--keep-rule", "lucky", code=2).stderr
    assert "choose one of" in unknown
    assert "u" not in sqlite_tags(noisy_lab)


def sqlite_tags(folder: Path) -> list[str]:
    database = sqlite3.connect(folder / ".autoresearch" / "autoresearch.db")
    with database:
        found = [tag for (tag,) in database.execute("SELECT tag FROM studies")]
    database.close()
    return found


def test_a_resumed_experiment_keeps_the_runs_that_it_had(
    noisy_lab: Path, autoresearch: Call
) -> None:
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t")
    before = rows(noisy_lab, autoresearch)[0]["runs"]
    database = sqlite3.connect(noisy_lab / ".autoresearch" / "autoresearch.db")
    with database:  # as after a power cut during the third run of the baseline
        database.execute("UPDATE experiments SET verdict = NULL, score = NULL")
        database.execute("UPDATE runs SET outcome = 'running', score = NULL WHERE \"index\" = 2")
    database.close()
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t")
    after = rows(noisy_lab, autoresearch)[0]["runs"]
    assert [run["outcome"] for run in after] == ["scored", "scored", "interrupted", "scored"]
    assert [run["started_at"] for run in after[:3]] == [run["started_at"] for run in before]
    assert after[3]["seed"] == before[2]["seed"]  # no second throw of the dice
    assert after[3]["score"] == before[2]["score"]


def test_seeds_never_meet() -> None:
    seeds = [seed_of(s, n, c) for s in range(4) for n in range(1200) for c in range(8)]
    assert len(set(seeds)) == len(seeds)


def test_the_sealed_text_is_opened_once(noisy_lab: Path, autoresearch: Call) -> None:
    autoresearch(noisy_lab, "run", "--experiments", "0", "--tag", "t")
    sealed = autoresearch(noisy_lab, "report", "--final", code=2).stderr
    assert "stays sealed" in sealed
    edit(noisy_lab, "X = 1.0", "X = 2.5")
    autoresearch(noisy_lab, "try", "-m", "a real gain")
    first = autoresearch(noisy_lab, "report", "--final").stdout
    assert "opened now" in first
    assert "Training #1 on 2 fresh seeds: about " in first
    baseline, best = rows(noisy_lab, autoresearch)
    expected = [f"{2 * run['score']:.4f}" for run in baseline["runs"]]
    assert all(score in first for score in expected)
    chosen = [f"{2 * run['score']:.4f}" for run in best["runs"]]
    assert not any(score in first for score in chosen)  # those had luck: it was kept for them
    second = autoresearch(noisy_lab, "report", "--final").stdout
    assert "opened at" in second
    assert first.partition("#1  ")[2] == second.partition("#1  ")[2]
    assert "Training" not in second
    report = (noisy_lab / ".autoresearch/studies/t/report.md").read_text()
    assert (
        "On text and seeds that nothing was chosen by, 2 seeds against 3 of the baseline" in report
    )
    assert "95% interval" in report


def test_every_score_carries_its_tier(tiny_lab: Path, autoresearch: Call) -> None:
    said = autoresearch(tiny_lab, "run", "--experiments", "1", "--tag", "t").stdout
    best = sandbox.best_tier()
    assert f"tier {best.value}" in said or best is Tier.PROCESSES
    for each in rows(tiny_lab, autoresearch):
        assert each["tier"] == best
        assert all(run["figures"]["tier"] == best for run in each["runs"])


def test_without_a_box_every_number_says_so(
    tiny_lab: Path, autoresearch: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "AUTORESEARCH_TIER", "1")
    said = autoresearch(tiny_lab, "run", "--experiments", "1", "--tag", "t").stdout
    assert "UNPROTECTED" in said
    assert all("unprotected" in each["reason"] for each in rows(tiny_lab, autoresearch))
    assert "UNPROTECTED" in autoresearch(tiny_lab, "status").stdout
    report = (tiny_lab / ".autoresearch/studies/t/report.html").read_text()
    assert "UNPROTECTED" in report
    refused = autoresearch(tiny_lab, "run", "--require-tier", "2", "--tag", "u", code=2).stderr
    assert "tier 2 is required" in refused
    assert sqlite_tags(tiny_lab) == ["t"]


TELLS = """\

if __name__ == "__main__" and not sys.argv[1:]:
    home = pathlib.Path(os.environ["AUTORESEARCH_LAB"]).parent
    facts = {"manifest": str(home / "cache" / "manifest.json"), "withheld": [str(home / "corpus")]}
    pathlib.Path(os.environ["AUTORESEARCH_RESULT"]).write_text(json.dumps(facts))
"""


def test_no_author_of_an_edit_reads_held_out_text_or_prepared_data(
    tmp_path: Path, autoresearch: Call
) -> None:
    if sandbox.best_tier() < Tier.BUBBLEWRAP:
        pytest.skip("no box of bubblewrap here")
    lab = make_tiny_lab(tmp_path / "lab")
    (lab / "prepare.py").write_text(PREPARE + TELLS)
    for name in ("cache/manifest.json", "cache/dev.bin", "corpus/held.txt", "notes/idea.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    script = tmp_path / "agent.sh"
    script.write_text(
        f'cat {tmp_path}/*/*.* >found; n=$(wc -c <found); sed -i "s/^X = .*/X = 2.$n/" train.py\n'
    )
    granted = [f"--agent-read={tmp_path / name}" for name in ("cache", "corpus", "notes")]
    words = ("--researcher", f"cmd: sh {script}", *granted)
    autoresearch(lab, "run", "--experiments", "1", "--tag", "t", *words)
    assert rows(lab, autoresearch)[1]["config"]["X"] == 2.4  # the four letters of the idea


def test_a_lab_that_hands_no_data_over_needs_no_handshake(
    tmp_path: Path, autoresearch: Call
) -> None:
    plain = (
        "import json, os, pathlib, sys, time\nX = 1.0\nSLEEP = 0.1\ntime.sleep(SLEEP)\n"
        'folder = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"])\nfolder.mkdir()\n'
        '(folder / "model.json").write_text(json.dumps(X))\n'
    )
    lab = make_tiny_lab(tmp_path / "lab", train=plain)
    autoresearch(lab, "run", "--experiments", "0", "--tag", "t")
    edit(lab, "X = 1.0", "X = 2.0")
    assert "keep: " in autoresearch(lab, "try", "-m", "better").stdout
    edit(lab, "SLEEP = 0.1", "SLEEP = 3")
    late = autoresearch(lab, "try", "-m", "too slow").stdout
    assert "invalid: handed its model in" in late
    edit(lab, "folder.mkdir()", "sys.exit(0)")
    assert "crash: ended before it was ready" in autoresearch(lab, "try", "-m", "gone").stdout
    baseline = rows(lab, autoresearch)[0]
    assert 0.1 <= baseline["training_seconds"] < 2.5
