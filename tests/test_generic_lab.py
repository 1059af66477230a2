"""Protects labs that train no GPT: the one in docs/lab.md runs as it stands there, and what its
report says of the best can be typed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Call
from tests.test_git import user

PAGE = Path(__file__).parent.parent / "docs" / "lab.md"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    section = PAGE.read_text().partition("## A lab without a GPT")[2].partition("\n## ")[0]
    files = re.findall(r"^`(\S+)`: .*?^```\w+\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["program.md", "fit.py", "score.py"]
    folder = tmp_path / "my lab"
    folder.mkdir()
    for name, text in files:
        (folder / name).write_text(text)
    user(folder, "init", "--quiet")
    user(folder, "add", ".")
    user(folder, "commit", "-qm", "a lab")
    return folder


def test_the_lab_of_the_docs_runs_and_its_best_can_be_made_again(
    lab: Path, autoresearch: Call
) -> None:
    done = autoresearch(lab, "run", "--experiments", "1", "--tag", "t").stdout
    assert "its 1 experiment is done" in done
    text = (lab / "fit.py").read_text().replace("= 3000", "= 30000").replace("= 0.1", "= 0.3")
    (lab / "fit.py").write_text(text.replace("RATE * error", "RATE * (1 - step / STEPS) * error"))
    assert "keep" in autoresearch(lab, "try", "-m", "smaller and smaller steps").stdout
    user(lab, "checkout", "-q", "fit.py")
    rows = json.loads(autoresearch(lab, "log", "--json").stdout)
    assert {row["verdict"] for row in rows} <= {"keep", "discard"}, done
    best = min((row for row in rows if row["verdict"] == "keep"), key=lambda row: row["score"])
    page = (lab / ".autoresearch" / "studies" / "t" / "report.md").read_text()
    section = page.partition("### How to reproduce it")[2]
    lines = section.partition("```")[2].partition("\n")[2].partition("\n```")[0]
    typed = lines.partition("\nautoresearch run")[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = subprocess.run(
        ["sh", "-ec", typed], cwd=lab, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(made.stdout)["worst_error"] == best["runs"][0]["score"]
    final = autoresearch(lab, "report", "--final", code=2)
    assert "knows no `final` split" in final.stderr
    assert "Training" not in final.stdout, "it is asked for first"


def test_a_script_that_leaves_nothing_behind_has_no_artifact(lab: Path, autoresearch: Call) -> None:
    (lab / "fit.py").write_text("print('well')\n")
    said = autoresearch(lab, "run", "--experiments", "0", code=2).stderr
    assert "the baseline does not run (crash)" in said
    assert "ended before it was ready to train or left an artifact" in said
