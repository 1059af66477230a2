"""A home of its own for each real agent: signed in to a scripted model, and quiet.

The files are those that a person writes; what an agent needs beside them is the preset's affair.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(__file__).parents[2] / ".agents" / "bin"
PROGRAMS = {
    "gemini": "gemini",
    "opencode": "opencode",
    "codex": "codex-acp",
    "claude": "claude-agent-acp",
}
PATH = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def missing(agent: str) -> str:
    """Why this agent cannot be tested here, "" if it can."""
    if shutil.which(PROGRAMS[agent], path=PATH) is None:
        words = ".ci/agents" if agent in ("gemini", "opencode") else ".ci/agents --all"
        return f"{PROGRAMS[agent]} is not installed: {words}"
    return ""


def needs(agent: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(missing(agent)), reason=missing(agent) or "-")


def move_in(agent: str, home: Path, url: str) -> dict[str, str]:
    """Furnish the home; returns the environment of a person who lives there."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**own, "PATH": PATH, "HOME": str(home), **HOMES[agent](home, url)}


def gemini(home: Path, url: str) -> dict[str, str]:
    settings = {
        "general": {"enableAutoUpdate": False, "maxAttempts": 1},
        "model": {"name": "scripted"},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {
            "auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}
        },
        "telemetry": {"enabled": False},
    }  # fmt: skip
    write(home / ".gemini" / "settings.json", json.dumps(settings))
    return {"GEMINI_API_KEY": "key", "GOOGLE_GEMINI_BASE_URL": url}


def opencode(home: Path, url: str) -> dict[str, str]:
    limit = {"context": 200_000, "output": 8_000}
    config = {
        "autoupdate": False, "share": "disabled",
        "provider": {"local": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{url}/v1", "apiKey": "key"},
            "models": {"scripted": {"limit": limit, "cost": {"input": 1, "output": 2}}},
        }},
        "model": "local/scripted", "small_model": "local/scripted",
        "enabled_providers": ["local"],
    }  # fmt: skip
    write(home / ".config" / "opencode" / "opencode.json", json.dumps(config))
    return {}


def codex(home: Path, url: str) -> dict[str, str]:
    """Its own folder lies beside its program: below /tmp it does without its sandbox."""
    folder = BIN.parent / "homes" / home.parent.name
    shutil.rmtree(folder, ignore_errors=True)
    write(folder / "config.toml", CODEX.format(url=url))
    return {"OPENAI_API_KEY": "key", "CODEX_HOME": str(folder)}


CODEX = """\
model = "scripted"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "read-only"
check_for_update_on_startup = false
web_search = "disabled"
[features]
plugins = false
apps = false
[analytics]
enabled = false
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 0
stream_max_retries = 0
"""


def claude(home: Path, url: str) -> dict[str, str]:
    (home / ".claude").mkdir(parents=True)
    return {
        "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "key", "CLAUDE_CODE_MAX_RETRIES": "1"
    }  # fmt: skip


HOMES: dict[str, Callable[[Path, str], dict[str, str]]] = {
    "gemini": gemini, "opencode": opencode, "codex": codex, "claude": claude,
}  # fmt: skip


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
