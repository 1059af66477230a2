"""Protects the structure: what may import what, where, and that the lab's files stand alone."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "autoresearch"
MODULES = [path for path in SOURCE.rglob("*.py") if "labs" not in path.parts]
LAB = sorted((SOURCE / "labs" / "gpt").glob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of everything that is imported anywhere."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_import_hides_in_a_function(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [
                each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)
            ]
            assert not hidden, f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_engine_knows_nothing_of_gpts(path: Path) -> None:
    assert not imported(ast.parse(path.read_text())) & {"torch", "tokenizers", "tiktoken"}


@pytest.mark.parametrize("path", LAB, ids=lambda path: path.name)
def test_the_lab_stands_alone_and_unpickles_nothing(path: Path) -> None:
    names = imported(ast.parse(path.read_text()))
    assert not names & {"autoresearch", "pickle", "shelve", "marshal", "dill"}
    known = {
        *("numpy", "torch", "safetensors", "tokenizers", "tiktoken", "pyarrow", "huggingface_hub"),
        "prepare",
    }
    assert names <= known | set(sys.stdlib_module_names)
    header = path.read_text().partition('"""')[0]
    for name in names & known - {"prepare"}:
        assert name.replace("_", "-") in header, f"{name} is missing in the script metadata"


def test_the_lab_and_the_page_style_are_in_the_package() -> None:
    assert {path.name for path in LAB} == {"prepare.py", "train.py"}
    assert (SOURCE / "labs" / "gpt" / "program.md").is_file()
    assert importlib.util.find_spec("autoresearch.labs") is not None
    assert (SOURCE / "report" / "report.css").is_file()
