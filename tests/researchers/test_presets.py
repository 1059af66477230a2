"""Protects what is known of each agent: its command, its folders, and that it gets no more secrets
than it needs."""

import os
import re
import sys
from pathlib import Path

import pytest

from autoresearch import parts
from autoresearch.errors import UserError
from autoresearch.researchers.presets import (
    PRESETS,
    RANDOM,
    Preset,
    agent_environment,
    by_hand,
    check_installed,
)
from autoresearch.researchers.roster import roster

PAGE = Path(__file__).parent.parent.parent / "docs" / "agents.md"
HARMLESS = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TERM", "SHELL", "HTTPS_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"),
)
XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
OURS = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
SECRETS = (
    *("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "NPM_TOKEN", "DATABASE_URL", "PGPASSWORD"),
    *("SSH_AUTH_SOCK", "KUBECONFIG", "SLACK_WEBHOOK", "MY_PASSWORD", "PYTHONPATH", "LD_PRELOAD"),
)
FOREIGN = ("SOMEBODY_API_KEY", "SOMEBODY_BASE_URL", "SOMEBODY_AUTH_TOKEN")
KEYS = sorted({key for preset in PRESETS.values() for key in preset.keys})
ALL = [pytest.param(name, preset, id=name) for name, preset in PRESETS.items()]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with the keys of all agents and with secrets that are nobody's business."""
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    for name in (*HARMLESS, *XDG, *SECRETS, *FOREIGN, *KEYS):
        monkeypatch.setenv(name, f"/the/{name}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which no variable moves any folder, and a PATH with one empty folder."""
    for name in (*XDG, *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


# Each preset


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_a_preset_names_a_program_and_the_line_that_installs_it(name: str, preset: Preset) -> None:
    assert re.fullmatch(r"[a-z]+", name)  # `:continued` and `mix:` can be written behind it
    assert name not in ("knobs", *parts.EXAMPLES)
    assert all(re.fullmatch(r"[a-z-]+", word) for word in preset.command)
    assert re.fullmatch(
        r"npm install -g (@[\w-]+/)?[\w-]+|curl (-\w+ )?https://\S+( -\w+)? \| bash", preset.install
    )


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_the_folders_of_a_preset_are_its_own_and_hidden(name: str, preset: Preset) -> None:
    shared = {".config", ".local", ".local/share", ".local/state", ".cache", ".ssh", "."}
    assert preset.folders, name
    for folder in preset.folders:
        assert folder.path.startswith(".")
        assert folder.path not in shared
        assert ".." not in Path(folder.path).parts
        assert bool(folder.below) == (folder.variable in (*XDG, "GEMINI_CLI_HOME"))


def test_no_two_agents_share_a_folder(home: Path) -> None:
    places = [place for preset in PRESETS.values() for place in preset.writable()]
    assert len(set(places)) == len(places)
    assert not [(a, b) for a in places for b in places if a in b.parents]


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_the_variables_of_a_preset_are_written_once_and_fit_together(
    name: str, preset: Preset
) -> None:
    assert len(set(preset.keys)) == len(preset.keys)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", each) for each in (*preset.keys, *preset.settings))
    assert not set(preset.keys) & set(preset.settings), "what is set would hide what is passed on"
    for folder in preset.folders:  # the agent must see the folder where we look for it
        assert folder.variable in ("", *preset.keys, *XDG)
    assert set(preset.login_keys) <= set(preset.keys)
    assert bool(preset.login) == bool(preset.login_keys)
    assert preset.modes != ("",)


# What an agent sees of the environment


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_an_agent_gets_its_keys_its_settings_and_nothing_else(
    environ: None, name: str, preset: Preset
) -> None:
    made = agent_environment(preset)
    assert set(made) == {*HARMLESS, *XDG, *OURS, *preset.keys, *preset.settings}
    for key in preset.keys:
        assert made[key] == f"/the/{key}"
    for key, value in preset.settings.items():
        assert made[key] == value or value == RANDOM


def test_a_key_that_is_not_set_is_not_there_at_all(home: Path) -> None:
    made = agent_environment(PRESETS["claude"])
    assert not set(made) & set(PRESETS["claude"].keys)
    assert made["DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize("preset", [None, by_hand(("my-agent", "--acp"))])
def test_a_command_by_hand_gets_keys_and_endpoints_of_models_and_no_other_secret(
    environ: None, preset: Preset | None
) -> None:
    made = agent_environment(preset)
    assert set(made) >= {*HARMLESS, *XDG, *FOREIGN, "OPENAI_API_KEY", "ANTHROPIC_BASE_URL"}
    assert not set(made) & {*SECRETS, "GITHUB_TOKEN", "GH_TOKEN", "DATABRICKS_TOKEN"}


def test_what_is_given_in_addition_goes_before(environ: None) -> None:
    made = agent_environment(PRESETS["codex"], {"NO_BROWSER": "0", "CODEX_HOME": "/elsewhere"})
    assert (made["NO_BROWSER"], made["CODEX_HOME"]) == ("0", "/elsewhere")


def test_a_setting_of_ours_goes_before_what_the_person_has_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INITIAL_AGENT_MODE", "agent")
    assert agent_environment(PRESETS["codex"])["INITIAL_AGENT_MODE"] == "read-only"


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_random_settings_are_new_for_each_start(name: str, preset: Preset) -> None:
    drawn = [key for key, value in preset.settings.items() if value == RANDOM]
    made = [agent_environment(preset) for _ in range(3)]
    for key in drawn:
        values = {each[key] for each in made}
        assert len(values) == 3
        assert min(map(len, values)) >= 32
    assert all(RANDOM not in each.values() for each in made)
    assert drawn or name != "opencode"  # whose local server nobody else may use


# Its folders on this machine


def test_folders_lie_in_the_home_where_no_variable_says_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PRESETS["claude"].writable() == (home / ".claude",)
    assert PRESETS["gemini"].writable() == (home / ".gemini",)
    assert PRESETS["goose"].writable() == (
        *(home / ".config/goose", home / ".local/share/goose"),
        *(home / ".local/state/goose", home / ".cache/goose"),
    )
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "")
    assert PRESETS["claude"].writable() == (home / ".claude",)


@pytest.mark.parametrize("place", range(4))
def test_xdg_variables_move_the_folders_each_its_own(home: Path, place: int) -> None:
    before = PRESETS["opencode"].writable({})
    after = PRESETS["opencode"].writable({XDG[place]: "/moved"})
    assert after[place] == Path("/moved/opencode")
    assert [n for n in range(4) if before[n] != after[n]] == [place]


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_a_variable_of_its_own_moves_a_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, preset: Preset
) -> None:
    for place, folder in enumerate(preset.folders):
        if folder.variable:
            monkeypatch.setenv(folder.variable, "/moved")
            assert preset.writable()[place] == Path("/moved", folder.below), name
            assert agent_environment(preset)[folder.variable] == "/moved"


# Whether it is there


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_a_missing_program_says_how_to_install_it(home: Path, name: str, preset: Preset) -> None:
    with pytest.raises(UserError) as caught:
        check_installed(name, preset)
    said = str(caught.value)
    assert f"{name}: there is no program `{preset.command[0]}`" in said
    assert said.splitlines()[1] == f"Install it: {preset.install}"
    program(home / "bin" / preset.command[0])
    check_installed(name, preset)


def test_a_missing_program_of_ones_own_says_what_is_wrong_with_its_path(home: Path) -> None:
    wrong = {
        "my-agent": "on your PATH.\nWrite its whole path.",
        f"{home}/my-agent": "is there: mend the path.",
        f"{home}/notes": "can be run: make it executable, `chmod +x`.",
    }
    (home / "notes").write_text("no program")
    for word, end in wrong.items():
        with pytest.raises(UserError) as caught:
            check_installed("mine", by_hand((word,)))
        assert str(caught.value).endswith(end)
    check_installed("mine", by_hand((str(program(home / "agent")),)))


# The table for people, and the page


def test_the_roster_has_everybody_and_how_to_get_who_is_missing(home: Path) -> None:
    program(home / "bin" / "gemini")
    rows = {line.partition("  ")[0]: line for line in roster().splitlines()}
    forms = {"knobs", *PRESETS, *parts.EXAMPLES}
    assert {name.partition(":")[0] for name in rows} == forms
    assert rows["gemini"].split() == ["gemini", "installed", "gemini", "--acp"]
    assert rows["knobs"].split()[1] == "ready"
    for name in PRESETS.keys() - {"gemini"}:
        assert rows[name].split(maxsplit=2)[1:] == ["missing", PRESETS[name].install]


@pytest.mark.parametrize("package", ["pydantic_ai", "openai"])
def test_the_roster_says_whether_oneshot_has_its_packages(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    assert re.search(r"^oneshot: MODEL +ready ", roster(), re.MULTILINE)
    monkeypatch.setitem(sys.modules, package, None)
    assert re.search(r"^oneshot: MODEL +missing +pip install ", roster(), re.MULTILINE)


def rows_of_the_page() -> dict[str, tuple[str, str]]:
    """How each agent is installed and signed in, by the name that the row's run command has."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)]
        run = re.search(r"`autoresearch run --researcher (\w+) --for 8h`", line)
        if run and len(cells) == 6:
            found[run[1]] = (cells[2].strip("`"), cells[3])
    return found


def test_the_page_has_the_install_line_of_every_agent() -> None:
    page = {name: install for name, (install, _) in rows_of_the_page().items()}
    assert page == {name: preset.install for name, preset in PRESETS.items()}
    listed = next(line for line in PAGE.read_text().splitlines() if line.startswith("| `claude`"))
    assert re.findall(r"`(\w+)`", listed) == [*PRESETS]


def test_keys_and_folders_that_the_page_names_reach_the_agent() -> None:
    named = 0
    for name, (_, sign_in) in rows_of_the_page().items():
        keys = set(re.findall(r"\b([A-Z][A-Z0-9_]+)=", sign_in))
        assert keys <= set(PRESETS[name].keys)
        folders = set(re.findall(r"`~/([^`]+)`", sign_in))
        assert folders <= {folder.path for folder in PRESETS[name].folders}
        named += len(keys) + len(folders)
    assert named >= 10
