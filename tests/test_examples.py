"""Protects the checked-in examples: they are what the command makes of what lies beside them."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
TAKEN = ("demo", "recipe")
NIGHTS = ("overnight-125", "first-night", *TAKEN)


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_examples", EXAMPLES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def again(make: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    make.overnight(folder / "overnight-125")
    make.first_night(folder / "first-night")
    for name in TAKEN:
        make.again(name, folder)
    return folder


@pytest.mark.parametrize("night", NIGHTS)
@pytest.mark.parametrize("name", ["report.md", "results.tsv", "report.html"])
def test_they_are_made_again_as_they_are(again: Path, night: str, name: str) -> None:
    """But for the drawing, which another version of the drawing library may draw otherwise."""
    ours, theirs = ((root / night / name).read_text() for root in (EXAMPLES, again))
    assert without_drawings(ours) == without_drawings(theirs)
    assert "<svg" not in without_drawings(ours)


def without_drawings(text: str) -> str:
    return re.sub(r"<svg .*?</svg>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("night", TAKEN)
def test_the_view_of_a_night_comes_back_whole(make: ModuleType, night: str) -> None:
    facts = json.loads((EXAMPLES / night / "night.json").read_text())
    view = make.of_json(facts)
    assert json.loads(json.dumps(make.to_json(view))) == facts
    assert make.of_json(json.loads(json.dumps(make.to_json(view)))) == view


def test_they_are_small_and_tell_nothing_of_the_machine_they_were_made_on() -> None:
    files = [path for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    for path in files:
        if path.suffix != ".png":
            assert not re.search(r"(?<![\w.])/(root|home|work|tmp)/", path.read_text()), path
