"""Protects the person's words: prose always works, and a contract means what it says."""

import json
from pathlib import Path

import pytest

from autoresearch.errors import ProgramError
from autoresearch.program import Commands, Limits, Program, parse_duration, parse_size

FULL = """---
# the contract
editable: [train.py, ./model//layers.py]
locked: prepare.py
commands:
  prepare: python prepare.py --corpus "my corpus"
  train: [python, train.py, --steps, 5]
  score: python prepare.py score
metric: accuracy
direction: higher
budget: 1h30m
limits:
  startup: 90
  scoring: 2m
  memory: 8GB
  log: 512KB
  artifact: 1.5GB
  editable_size: 96KB
  experiments: 40
  time: 8h
---

# Strategy

Be bold.
"""

PROSE = {
    "empty": "",
    "only white space": " \n\t\n",
    "one sentence": "Make it better.",
    "a heading": "# Strategy\n\nTry learning rates first: budget: 5m is plenty.\n",
    "a rule first": "---\n\nMake it better.\n\n---\n\nAnd keep it small.\n",
    "only a rule": "---",
    "two rules and nothing": "---\n---\n",
    "a word that never closes": "---\nidea: smaller models\nand so on\n",
    "a key in a sentence": "---\n\nMind the budget: it is small.\n\n---\n",
    "a key far below": "# Strategy\n\n---\n\nBe bold.\n\nbudget: 5m is plenty.\n\n---\n",
    "a sentence between rules": "---\nToday we try: smaller models.\n---\nMore.\n",
    "a capital key": "---\nGoal: a lower loss\n---\n",
    "a list between rules": "---\n- smaller: better\n---\n",
    "an address between rules": "---\nhttps://example.org/notes\n---\n",
    "comments between rules": "---\n# just a remark: not a key\n---\n",
    "a table": "---\n| a | b |\n|---|---|\n---\n",
    "yaml-like text": "budget: [5m\nlocked: {a\n",
    "odd characters": "{{ % }} & * ! \x00 \x1b[31m \u202e 🙂 \ud83d",
    "other scripts": "请让它更好。\n\nもっと良く。 더 좋게. اجعله أفضل\n",
}


@pytest.mark.parametrize("text", PROSE.values(), ids=PROSE.keys())
def test_prose_in_any_wording_means_the_defaults(text: str) -> None:
    assert Program.parse(text) == Program(body=text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
def test_line_ends_and_a_byte_order_mark_change_nothing(mark: str, end: str) -> None:
    assert Program.parse(mark + FULL.replace("\n", end)) == Program.parse(FULL)


def test_every_key_sets_its_field() -> None:
    assert Program.parse(FULL) == Program(
        body="# Strategy\n\nBe bold.\n",
        editable=("train.py", "model/layers.py"),
        locked=("prepare.py",),
        commands=Commands(
            prepare=("python", "prepare.py", "--corpus", "my corpus"),
            train=("python", "train.py", "--steps", "5"),
            score=("python", "prepare.py", "score"),
        ),
        metric="accuracy",
        direction="higher",
        budget_seconds=5400.0,
        limits=Limits(
            startup_seconds=90.0,
            scoring_seconds=120.0,
            memory_bytes=8 * 2**30,
            log_bytes=512 * 2**10,
            artifact_bytes=3 * 2**29,
            editable_bytes=96 * 2**10,
            experiments=40,
            study_seconds=28800.0,
        ),
    )


def test_one_key_leaves_the_others_at_their_defaults() -> None:
    program = Program.parse("---\nlimits: {memory: 2GB}\n---\nGo.")
    assert program == Program(body="Go.", limits=Limits(memory_bytes=2 * 2**30))


def test_values_are_what_was_typed_and_not_what_yaml_makes_of_them() -> None:
    assert Program.parse("---\nmetric: no\n---\n").metric == "no"
    assert Program.parse("---\neditable: [1.10, 'null']\n---\n").editable == ("1.10", "null")
    assert Program.parse("---\nlocked: []\n---\n").locked == ()


def test_a_rule_in_the_body_stays_there() -> None:
    assert Program.parse("---\nbudget: 5m\n---\nOne.\n\n---\n\nTwo.").body == "One.\n\n---\n\nTwo."


WRONG = [
    ("budget: 5m\nbudgt: 3", 3, "unknown key 'budgt'; did you mean 'budget'?"),
    ("memory: 8GB", 2, "did you mean 'limits.memory'?"),
    ("colour: red", 2, "known are editable, locked"),
    ("limits:\n  log: 1MB\n  memry: 8GB", 4, "limits: unknown key 'memry'; did you mean 'memory'?"),
    ("budget: 5m\nmetric: a\nbudget: 6m", 4, "budget: already set on line 2"),
    ("budget: soon", 2, "budget: 'soon' is not a duration; write 90s"),
    ("budget: -5s", 2, "'-5s' is not a duration"),
    ("budget: 0", 2, "'0' is not a duration"),
    ("budget: [5m]", 2, "budget: expected a single value"),
    ("budget:", 2, "budget: has no value"),
    ("metric: ~", 2, "metric: has no value"),
    ("metric: {a: b}", 2, "metric: expected a single value"),
    ("metric: the loss", 2, "'the loss' is not a metric's name"),
    ("direction: down", 2, "write `lower` or `higher`"),
    ("limits:\n\n  memory: 0GB", 4, "limits.memory: '0GB' is not a size"),
    ("limits: {experiments: -1}", 2, "limits.experiments: '-1' is not a whole number"),
    ("limits: {experiments: 1.5}", 2, "'1.5' is not a whole number"),
    ("limits: 8GB", 2, "limits: expected `key: value`"),
    ("editable: []", 2, "no file is editable"),
    ("editable:\n  - a.py\n  - /etc/passwd", 4, "'/etc/passwd' leads out of the lab"),
    ("editable: ../train.py", 2, "leads out of the lab"),
    ("editable: src/../../x.py", 2, "leads out of the lab"),
    ("editable: ~/x.py", 2, "leads out of the lab"),
    ("editable: .", 2, "is not a file name"),
    ('editable: "a\\nb"', 2, "is not a file name"),
    ("editable: [a.py, [b.py]]", 2, "expected a single value"),
    ("editable: .git/hooks/pre-commit", 2, "never the researcher's"),
    ("editable: .autoresearch/x", 2, "never the researcher's"),
    ("editable: [train.py, Program.md]", 2, "never the researcher's"),
    ("metric: a\neditable: prepare.py", 3, "prepare.py is also locked, which it is unless"),
    ("locked: [prepare.py, Train.py]", 2, "train.py is also locked; keep it in one list"),
    ("commands: {train: []}", 2, "commands.train: names no command"),
    ("commands: {train: ''}", 2, "commands.train: names no command"),
    ("commands: {train: 'python \"x'}", 2, "close the quotes"),
    ('commands: {train: "python\\0x"}', 2, "commands.train: no command can hold a zero byte"),
    ("commands: {trian: x}", 2, "did you mean 'train'?"),
    ("budget:5m", 2, "with a space after the colon"),
    ("metric: a\n\tbudget: 5m", 3, "not valid YAML"),
    ("metric: a\nbudget: 'x", 3, "not valid YAML"),
    ("metric: a\n? [b]\n: c", 3, "unknown key"),
    ("metric: a\nlocked: &x [a]", 3, "must stand in quotes"),
    ("metric: a\nlocked: *x", 3, "must stand in quotes"),
    ("metric: !!python/name:os.system", 2, "must stand in quotes"),
    ("metric: a\nbudget: 5m\x07", 3, "is not allowed"),
    ("metric: a\n...\nbudget: 5m", 4, "not valid YAML"),
]


@pytest.mark.parametrize(("front", "line", "message"), WRONG, ids=[each[0] for each in WRONG])
def test_a_mistake_is_named_with_its_line_and_its_mend(front: str, line: int, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        Program.parse(f"---\n{front}\n---\nGo.", where="lab/program.md")
    said = str(caught.value)
    assert said.startswith(f"lab/program.md line {line}: ")
    assert message in said
    assert "\n" not in said


def test_a_mistake_has_the_same_line_after_crlf_and_a_byte_order_mark() -> None:
    with pytest.raises(ProgramError, match=r"program\.md line 4: budget: 'x'"):
        Program.parse("\ufeff---\r\n# note\r\nmetric: a\r\nbudget: x\r\n---\r\n")


CONTRACT = "budget: 5m\nlimits:\n  cost: 5\n"
MEANT = {
    "never closed": (
        f"---\n{CONTRACT}\n# Strategy\nTry things.\n",
        1,
        "that begins here never ends: write a line `---`",
    ),
    "closed by ...": (f"---\n{CONTRACT}...\nGo.", 5, "the contract ends with a line `---`"),
    "closed by an indented rule": (f"---\n{CONTRACT} ---\nGo.", 5, "the contract ends with"),
    "closed by a longer rule": (f"---\n{CONTRACT}-----\nGo.", 5, "the contract ends with"),
    "longer rules": (f"\n----\n{CONTRACT}----\nGo.", 2, "begins with a line `---`, above all"),
    "indented rules": (f" ---\n{CONTRACT} ---\nGo.", 1, "a contract begins with"),
    "dashes": (f"—\n{CONTRACT}—\nGo.", 1, "a contract begins with"),
    "a fence": (f"```yaml\n---\n{CONTRACT}---\n```\nGo.", 1, "a contract begins with"),
    "below a title": (f"# Night\n\n---\n{CONTRACT}---\nGo.", 1, "a contract begins with"),
    "not begun": (f"{CONTRACT}---\nGo.", 1, "a contract begins with"),
    "a mistyped key": (
        "---\nbudgt: 5m\nlimits:\n  cost: 5\n",
        1,
        "that begins here never ends: write a line `---`",
    ),
    "a list": ("---\n- budget: 5m\n---\nGo.", 2, "expected `key: value`"),
    "a capital": ("---\nBudget: 5m\n---\nGo.", 2, "unknown key 'Budget'; did you mean 'budget'?"),
    "600 deep": (f"---\nbudget: {'[' * 600}{']' * 600}\n---\n", 2, "lies too deep in others"),
}


@pytest.mark.parametrize(("text", "line", "message"), MEANT.values(), ids=MEANT.keys())
def test_what_was_meant_as_a_contract_is_no_prose(text: str, line: int, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        Program.parse(text)
    said = str(caught.value)
    assert said.startswith(f"program.md line {line}: ")
    assert message in said


def test_empty_lines_may_stand_above() -> None:
    assert Program.parse("\n \n---\nbudget: 5m\n---\nGo.") == Program("Go.", budget_seconds=300.0)
    assert Program.parse("--- \nbudget: 5m\n---  \nGo.") == Program("Go.", budget_seconds=300.0)
    with pytest.raises(ProgramError, match=r"program\.md line 5: budget: 'x'"):
        Program.parse("\ufeff\r\n\r\n---\r\nmetric: a\r\nbudget: x\r\n---\r\n")


def test_load_reads_a_file_and_calls_it_by_name(tmp_path: Path) -> None:
    path = tmp_path / "program.md"
    path.write_text(FULL, encoding="utf-8")
    assert Program.load(path) == Program.parse(FULL)
    path.write_text("---\nbudget: x\n---\n", encoding="utf-8")
    with pytest.raises(ProgramError, match=r"^program\.md line 2: "):
        Program.load(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_load_takes_what_other_editors_write(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "program.md"
    path.write_text("---\nbudget: 20s\n---\nBesser machen: größer!\n", encoding=encoding)
    assert Program.load(path) == Program(body="Besser machen: größer!\n", budget_seconds=20.0)


def test_load_takes_prose_in_an_unknown_encoding(tmp_path: Path) -> None:
    path = tmp_path / "program.md"
    path.write_bytes("größer".encode("latin-1"))
    assert Program.load(path).body == "gr\ufffd\ufffder"


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="autoresearch init"):
        Program.load(tmp_path / "program.md")


def test_the_contract_survives_a_trip_through_json() -> None:
    program = Program.parse(FULL)
    contract = program.contract()
    assert "body" not in contract
    assert json.loads(json.dumps(contract)) == contract
    assert Program.from_contract(contract, program.body) == program
    assert Program.from_contract(Program().contract()) == Program()


@pytest.mark.parametrize("change", [{"new": 1}, {"limits": {"new": 1}}, {"commands": None}])
def test_a_contract_of_another_version_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProgramError, match="another version"):
        Program.from_contract(Program().contract() | change)


def test_better_follows_the_direction_and_is_strict() -> None:
    lower, higher, nan = Program(), Program(direction="higher"), float("nan")
    assert lower.is_better(1.0, than=2.0)
    assert not lower.is_better(2.0, than=1.0)
    assert higher.is_better(2.0, than=1.0)
    assert not higher.is_better(1.0, than=2.0)
    for program in (lower, higher):
        assert not program.is_better(1.0, than=1.0)
        assert not program.is_better(nan, than=1.0)
        assert not program.is_better(1.0, than=nan)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300s", 300),
        ("5m", 300),
        ("5 min", 300),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("90", 90),
        (" 0.5 ", 0.5),
        ("1.5H", 5400),
        ("2d", 172800),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "0", "0s", "-5s", "5x", "5m5m", "30s5m", "1h30", "90 5m", "1:30", "1e3"),
        *("inf", "nan", "5m!", "1_000", "\u0665m", "9" * 400, "367d"),
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * 2**30),
        ("512MB", 512 * 2**20),
        ("256KB", 256 * 2**10),
        ("256 kb", 256 * 2**10),
        ("4GiB", 4 * 2**30),
        ("1.5G", 3 * 2**29),
        ("2TB", 2**41),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GB",
        "0",
        "0KB",
        "8",
        "100B",
        "4096",
        "-1MB",
        "8 gigs",
        "8XB",
        "1e9",
        "8GBB",
        "9" * 400,
        "inf",
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size with its unit; write"):
        parse_size(text)
