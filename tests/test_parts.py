"""Protects `--researcher WHO`: every form makes what it says, every wrong one says what to do."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch import parts
from autoresearch.errors import UserError
from autoresearch.researchers.acp import Acp
from autoresearch.researchers.command import Command
from autoresearch.researchers.fallback import WithFallback
from autoresearch.researchers.knobs import Knobs
from autoresearch.researchers.mix import Mix
from autoresearch.researchers.oneshot import Oneshot
from autoresearch.researchers.presets import PRESETS
from autoresearch.researchers.settings import Settings
from autoresearch.testing.bench import Bench
from tests.conftest import Call

OWN = """\
class Mine:
    def propose(self, desk):
        from beside import describe
        script = desk.tree / "train.py"
        script.write_text(script.read_text().replace("X = 1.0", "X = 2.0"))
        return describe()

class Wanting:
    def __init__(self, model):
        self.model = model

class Failing:
    def __init__(self):
        self.prepare()

    def prepare(self):
        {}["no such table"]

class Explaining:
    def __init__(self):
        raise UserError("set MY_KEY first")

class Silent:
    pass

from autoresearch.errors import UserError
a_number = 3
"""
BESIDE = """\
from autoresearch.experiment import Proposal

def describe():
    return Proposal("X 1 -> 2")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the command is called: empty, with an empty folder of programs on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("OPENAI_API_KEY", "for a test")
    modules = set(sys.modules)
    yield here
    for name in set(sys.modules) - modules:
        if str(here) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def watched(spec: str) -> WithFallback:
    made = parts.researcher(spec)
    assert isinstance(made, WithFallback)
    assert made.stand_in == parts.Late("knobs")
    return made


def refusal(spec: str) -> str:
    with pytest.raises(UserError) as caught:
        parts.researcher(spec)
    said = str(caught.value)
    assert 1 <= len(said.splitlines()) <= 2
    assert len(said) < 400
    assert "Traceback" not in said
    return said


# What is right


@pytest.mark.parametrize(
    ("spec", "mode"), [("knobs", "tpe"), (" knobs ", "tpe"), ("knobs:random", "random")]
)
def test_knobs_are_made_in_the_mode_that_was_named(spec: str, mode: str) -> None:
    made = parts.researcher(spec)
    assert isinstance(made, Knobs)
    assert made.mode == mode


@pytest.mark.parametrize("name", PRESETS)
def test_an_agent_is_known_by_its_name_and_keeps_its_session_when_asked_to(
    folder: Path, name: str
) -> None:
    program(folder.parent / "bin" / PRESETS[name].command[0])
    for spec, is_continued in ((name, False), (f"{name}:continued", True), (f"{name}: ", False)):
        agent = watched(spec).researcher
        assert isinstance(agent, Acp)
        assert (agent.name, agent.preset) == (name, PRESETS[name])
        assert agent.continued is is_continued


def test_settings_reach_the_researcher_inside_a_mix(folder: Path) -> None:
    program(folder.parent / "bin" / "gemini")
    settings = Settings(grants=(folder,))
    mix = parts.researcher("mix: gemini + knobs", settings)
    assert isinstance(mix, Mix)
    watch = mix.parts[0][1]
    assert isinstance(watch, WithFallback)
    assert isinstance(watch.researcher, Acp)
    assert watch.researcher.settings is settings


def test_a_command_that_speaks_acp_keeps_its_words(folder: Path) -> None:
    program(folder.parent / "bin" / "my-agent")
    watch = watched("acp: my-agent --acp 'two words'")
    assert isinstance(watch.researcher, Acp)
    assert watch.researcher.preset.command == ("my-agent", "--acp", "two words")
    assert watch.name == watch.researcher.name == "my-agent"


def test_what_is_named_from_this_folder_or_the_home_is_found_from_any_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    agent = program(folder / "agent.sh")
    for line, words in {
        "./agent.sh --acp": (str(agent), "--acp"),
        "~/agent.sh": (str(agent),),
        "sh -e agent.sh agent.sh": ("sh", "-e", str(agent), "agent.sh"),
        "sh -c true": ("sh", "-c", "true"),
        "env 'two words' --at=~ \"~/x\"": ("env", "two words", "--at=~", f"{folder}/x"),
    }.items():
        made = watched(f"acp: {line}").researcher
        assert isinstance(made, Acp)
        assert made.preset.command == words


def test_a_script_that_lies_beside_the_lab_edits_the_desk(folder: Path, tmp_path: Path) -> None:
    (folder / "edit.sh").write_text("sed -i 's/^X = .*/X = 2.5/' train.py; cat $1 >read.txt\n")
    watch = watched("cmd: sh edit.sh {prompt}")
    assert isinstance(watch.researcher, Command)
    assert watch.name == "sh"
    desk = Bench(tmp_path / "bench").desk()
    watch.propose(desk)
    assert desk.objection() == ""
    assert "X = 2.5" in (desk.tree / "train.py").read_text()
    assert "train.py" in (desk.tree / "read.txt").read_text()


def test_a_file_that_a_program_edits_is_not_mistaken_for_a_script(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "train.py").write_text("X = 0\n")
    program(folder.parent / "bin" / "editor", '#!/bin/sh\nsed -i "s/^X = .*/X = 2.5/" $1\n')
    desk = Bench(tmp_path / "bench").desk()
    watched("cmd: editor train.py").propose(desk)
    assert "X = 2.5" in (desk.tree / "train.py").read_text()
    assert (folder / "train.py").read_text() == "X = 0\n"


@pytest.mark.parametrize("model", ["openai:gpt-5", "openai:qwen3@http://127.0.0.1:11434/v1"])
def test_a_model_is_called_by_what_it_was_named(folder: Path, model: str) -> None:
    watch = watched(f"oneshot: {model}")
    assert isinstance(watch.researcher, Oneshot)
    assert watch.name == model


def test_a_mix_has_every_form_as_a_part(folder: Path) -> None:
    program(folder.parent / "bin" / "opencode")
    (folder / "own.py").write_text(OWN)
    mix = parts.researcher(
        "mix: opencode:continued + acp: sh -c 'a+b' + cmd: sh -c true +"
        " oneshot: openai:gpt-5 + py:own:Mine + knobs:random"
    )
    assert isinstance(mix, Mix)
    kinds = [type(getattr(made, "researcher", made)).__name__ for _, made in mix.parts]
    assert kinds == ["Acp", "Acp", "Command", "Oneshot", "Mine", "Knobs"]
    assert [part.percent for part, _ in mix.parts] == [None] * 6


@pytest.mark.parametrize(
    ("spec", "percents"),
    [
        ("knobs 30% + knobs:random 70%", [30, 70]),
        ("knobs 12.5 % + knobs:random 87.5%", [12.5, 87.5]),
        ("knobs 33% + knobs:random 33% + knobs:tpe 33%", [33, 33, 33]),
        ("knobs 0% + knobs:random 100%", [0, 100]),
    ],
)
def test_the_shares_of_a_mix_are_percents(spec: str, percents: list[float]) -> None:
    mix = parts.researcher(f"mix: {spec}")
    assert isinstance(mix, Mix)
    assert [part.percent for part, _ in mix.parts] == percents
    assert [part.name for part, _ in mix.parts] == ["knobs", "knobs:random", "knobs:tpe"][
        : len(percents)
    ]


def test_a_class_of_ones_own_finds_what_lies_beside_it_while_it_proposes_too(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "own.py").write_text(OWN)
    (folder / "beside.py").write_text(BESIDE)
    watch = watched("py: own : Mine")
    assert watch.propose(Bench(tmp_path / "bench").desk()).description == "X 1 -> 2"
    assert sys.path[0] != str(folder)  # or its files would stand before everybody's modules


# What is wrong


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "there are knobs"),
        (":", "there are knobs"),
        ("nobody", "no researcher 'nobody': there are knobs, .*autoresearch researchers.*, py:"),
        ("Knobs", "do you mean knobs\\?"),
        ("claud", "do you mean claude\\?"),
        ("claude-code", "do you mean claude\\?"),
        ("opencode acp", "do you mean opencode\\?"),
        ("openai:gpt-5", "do you mean `oneshot: openai:gpt-5`\\?"),
        ("sh edit.sh", "a program is `cmd: sh edit.sh`, or `acp: sh edit.sh`"),
        ("knobs:fast", "no mode 'fast': write `tpe` or `random`"),
        ("opencode:again", "write opencode or opencode:continued"),
    ],
)
def test_a_mistyped_name_says_who_there_is(folder: Path, spec: str, words: str) -> None:
    assert_says(refusal(spec), words)


@pytest.mark.parametrize("kind", parts.EXAMPLES)
@pytest.mark.parametrize("end", ["", ":", ":  "])
def test_a_kind_without_anything_behind_it_shows_an_example(kind: str, end: str) -> None:
    said = refusal(kind + end)
    assert f"--researcher {kind}:" in said
    assert f"`{parts.EXAMPLES[kind]}`" in said


@pytest.mark.parametrize("name", PRESETS)
def test_an_agent_that_is_missing_says_how_to_install_it(folder: Path, name: str) -> None:
    said = refusal(name)
    assert said.startswith(f"{name}: ")
    assert said.endswith(PRESETS[name].install)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("acp: my-agent --acp", "no program `my-agent` on your PATH.*whole path"),
        ("acp: ./agent.sh", "`.*/here/agent.sh` is there: mend the path"),
        ("acp: /", "`/` is there: mend the path"),
        ("acp: ./notes.txt", "notes.txt` can be run: .*chmod"),
        ("acp: 'my-agent", "--researcher acp: .*No closing quotation.*close the quotes"),
        ("acp: my-agent\\", "--researcher acp: .*No escaped character"),
        ("acp: ''", "--researcher acp: no program is named: write `acp: "),
        ("cmd: my-script", "my-script.* names no program .*install it"),
        ("cmd: it's", "--researcher cmd: .*close the quotes"),
        ("cmd: '' {prompt}", "--researcher cmd: no program is named: write `cmd: "),
        ("cmd: sh {promt}", "{promt}: write {prompt} for a file .* {text} .* standard input"),
        ("oneshot: gpt-5", "names no model: write PROVIDER:MODEL"),
        ("oneshot: anthropic:x", "ANTHROPIC_API_KEY"),
        ("oneshot: openai:x@http://", "is no URL"),
        ("py:own", "py:own: write it as py:MODULE:CLASS"),
        ("py:own.py:Mine", "write it as py:MODULE:CLASS"),
        ("py:.own:Mine", "write it as py:MODULE:CLASS"),
        ("py:a/own:Mine", "write it as py:MODULE:CLASS"),
        ("py::Mine", "write it as py:MODULE:CLASS"),
    ],
)
def test_a_command_or_a_model_that_cannot_be_read_says_where(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spec: str, words: str
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    (folder / "notes.txt").write_text("no program")
    assert_says(refusal(spec), words)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("knobs", "two parts or more, with ` \\+ ` between"),
        ("knobs +", "two parts or more"),
        ("+ knobs", "two parts or more"),
        ("knobs + + knobs:random", "two parts or more"),
        ("knobs+knobs:random", "with ` \\+ ` between them"),
        ("mix: knobs + knobs:random", "another mix: write all its parts in one"),
        ("knobs + mix: knobs + knobs:random", "another mix"),
        ("knobs + nobody", "no researcher 'nobody'"),
        ("knobs + knobs", "twice"),
        ("knobs 30% + knobs 70%", "twice"),
        ("knobs 30% + knobs:random", "to some only: give it to all, or to none"),
        ("knobs 130% + knobs:random -30%", "to some only"),
        ("knobs 30% + knobs:random 30%", "gives away 60%: shares must add up to 100%"),
        ("knobs 300% + knobs:random 700%", "gives away 1000%"),
        ("knobs 0% + knobs:random 0%", "gives away 0%"),
        ("knobs:fast 30% + knobs 70%", "no mode 'fast'"),
        ("knobs30% + knobs:random70%", "no researcher 'knobs30%'"),
    ],
)
def test_a_mix_that_cannot_be_shared_says_why(spec: str, words: str) -> None:
    assert_says(refusal(f"mix: {spec}"), words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nobody", "there is no Nobody in .*/own.py"),
        ("Wanting", "TypeError.*'model'.* without arguments"),
        ("Failing", "KeyError: 'no such table' \\(.*/own.py, line 17\\): mend it there"),
        ("Explaining", "^set MY_KEY first$"),
        ("Silent", "py:own:Silent has no method propose: docs/researchers.md"),
        ("a_number", "TypeError: 'int' object is not callable"),
    ],
)
def test_a_class_of_ones_own_that_cannot_be_made_says_where(
    folder: Path, name: str, words: str
) -> None:
    (folder / "own.py").write_text(OWN)
    assert_says(refusal(f"py:own:{name}"), words)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "no module own, neither in .*/here nor installed"),
        ("import no_such_package_here\n", "no_such_package_here.*/own.py, line 1"),
        ("\nfrom os import nothing_such\n", "ImportError.*nothing_such.*/own.py, line 2"),
        ("def broken(:\n", "SyntaxError.*own.py, line 1"),
        ("x = 1\n\nraise RuntimeError('no GPU')\n", "RuntimeError: no GPU .*/own.py, line 3"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 .*/own.py, line 2"),
        ("raise ValueError('a\\nb\\n' + 'c' * 5000)\n", "ValueError: a b c.*/own.py, line 1"),
    ],
)
def test_a_module_of_ones_own_that_cannot_be_imported_says_where(
    folder: Path, source: str | None, words: str
) -> None:
    if source is not None:
        (folder / "own.py").write_text(source)
    assert_says(refusal("py:own:Mine"), words)


@pytest.mark.parametrize("package", ["pydantic_ai", "httpx2", "openai"])
def test_oneshot_without_its_package_says_how_to_install_it(package: str) -> None:
    """In a process of its own, in which the import fails as if it were not installed."""
    code = f"""
import sys
sys.modules[{package!r}] = None
from autoresearch import parts
from autoresearch.errors import UserError
try:
    parts.researcher("oneshot: openai:gpt-5")
except UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert_says(done.stdout.strip(), rf"\({package}.*\): pip install 'autoresearch\[oneshot\]'")


def test_what_is_not_used_is_not_imported() -> None:
    code = """
import sys
from autoresearch import parts
parts.researcher("knobs")
print(*(each for each in ("pydantic_ai", "acp", "httpx2") if each in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("spec", ["py:own:Failing", "mix: knobs + nobody"])
def test_a_wrong_researcher_begins_no_study(tiny_lab: Path, autoresearch: Call, spec: str) -> None:
    (tiny_lab / "own.py").write_text(OWN)
    done = autoresearch(tiny_lab, "run", "--researcher", spec, "--experiments", "1", code=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2
    assert "no study" in autoresearch(tiny_lab, "log", code=2).stderr


def assert_says(said: str, words: str) -> None:
    assert re.search(words, said, re.DOTALL), said
