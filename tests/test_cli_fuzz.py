"""Protects the person from tracebacks: whatever is typed, the end is words and an exit code."""

import random
import sys
from pathlib import Path

import click
import pytest

from autoresearch.cli import main
from tests.conftest import Call
from tests.test_import_log import SMALL

ODD = (
    *("", " ", "-1", "0", "1", "nan", "1e999", "9" * 30, "x" * 5000, "\u202e5s", "🙂", "\udcff"),
    *("a\nb", "../x", "program.md", "train.py/x", "X = 1e999", "log", "8h", "--", "csv", "json"),
)
LONG = {"demo", "doctor", "init", "prepare", "run", "try", "watch", "report", "adopt"}
SEED, CALLS = 7, 200


def typed(chance: random.Random) -> list[str]:
    """A command with odd values at its places, on the study that is there or an odd one."""
    name = chance.choice(sorted(main.commands.commands.keys() - LONG))
    words, arguments = [name], list[str]()
    for each in main.commands.commands[name].params:
        if isinstance(each, click.Argument):
            arguments.append(chance.choice(ODD))
        elif isinstance(each, click.Option) and each.name != "watch" and chance.random() < 0.3:
            words.append(each.opts[0] if each.is_flag else f"{each.opts[0]}={chance.choice(ODD)}")
    return [*words, *(["--"] if chance.random() < 0.8 else []), *arguments]


def test_no_line_that_can_be_typed_ends_in_a_traceback(
    tiny_lab: Path, autoresearch: Call, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tiny_lab / "log.tsv").write_text(SMALL)
    autoresearch(tiny_lab, "import", "log.tsv", "--tag", "log")
    before = {name: (tiny_lab / name).read_bytes() for name in main.FILES}
    monkeypatch.chdir(tiny_lab)
    chance = random.Random(SEED)
    for _ in range(CALLS):
        monkeypatch.setattr(sys, "argv", ["autoresearch", *(words := typed(chance))])
        code: object = 0
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code or 0
        assert code in (0, 1, 2, 130), words
        assert code == 0 or capsys.readouterr().err, words
    assert before == {name: (tiny_lab / name).read_bytes() for name in main.FILES}
