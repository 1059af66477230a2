"""Agents that are known by name: how each is started, and what of this machine it needs.

Commands and names were read in each agent's own documentation, named beside it; the quiet settings
were tried with the released programs. `by_hand` makes a preset of any other command.
"""

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import MappingProxyType

from autoresearch.errors import UserError
from autoresearch.process import environment

RANDOM = "<random>"  # a setting that stands for 32 random bytes, new for each start
PASSED_ON = (  # to every agent: where it runs commands, how it reaches the network, its folders
    *("SHELL", "TERM", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"),
)
KEYS = ("_API_KEY", "_BASE_URL", "_AUTH_TOKEN")  # how names end that a command by hand is given
_OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL")
_ANTHROPIC = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL")
_GOOGLE = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION")
_OTHERS = ("OPENROUTER_API_KEY", "GROQ_API_KEY", "DEEPSEEK_API_KEY", "XAI_API_KEY", "OLLAMA_HOST")


class Counting(Enum):
    """What the token counts in an agent's answer to a prompt are about."""

    TURN = auto()  # all of its calls of the model since the prompt
    CALL = auto()  # the last call alone
    SESSION = auto()  # all calls since the session began


@dataclass(frozen=True, slots=True)
class Folder:
    """A configuration folder: `path`, or `below` what a variable names, where that is set."""

    path: str  # below the home
    variable: str = ""
    below: str = ""

    def locate(self, environ: Mapping[str, str]) -> Path:
        named = environ.get(self.variable, "")
        return Path(named, self.below) if named else Path.home() / self.path


@dataclass(frozen=True, slots=True)
class Preset:
    """How an agent is started."""

    command: tuple[str, ...]
    install: str = ""  # the official line that installs it
    folders: tuple[Folder, ...] = ()  # it reads and writes these; its login is there
    keys: tuple[str, ...] = ()  # variables that it is given where they are set
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    modes: tuple[str, ...] = ()  # the first of these that a session offers is set: it asks
    login: str = ""  # the way to sign in, of those that it offers, that needs no person
    login_keys: tuple[str, ...] = ()  # one of these must be set for that
    counting: Counting = Counting.TURN

    def writable(self, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
        """Its configuration folders on this machine."""
        return tuple(folder.locate(environ) for folder in self.folders)


def xdg(name: str) -> tuple[Folder, ...]:
    """The folders of a program that keeps to the XDG base directories."""
    return (
        Folder(f".config/{name}", "XDG_CONFIG_HOME", name),
        Folder(f".local/share/{name}", "XDG_DATA_HOME", name),
        Folder(f".local/state/{name}", "XDG_STATE_HOME", name),
        Folder(f".cache/{name}", "XDG_CACHE_HOME", name),
    )


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # github.com/agentclientprotocol/claude-agent-acp; docs.claude.com "Claude Code settings"
        "claude": Preset(
            command=("claude-agent-acp",),
            install="npm install -g @agentclientprotocol/claude-agent-acp",
            folders=(Folder(".claude", "CLAUDE_CONFIG_DIR"),),
            keys=(
                *_ANTHROPIC,
                *("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_EXECUTABLE"),
                *("ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_MAX_RETRIES", "MAX_THINKING_TOKENS"),
            ),
            settings={
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_ERROR_REPORTING": "1",
            },
            modes=("default",),
        ),
        # github.com/agentclientprotocol/codex-acp, README
        "codex": Preset(
            command=("codex-acp",),
            install="npm install -g @agentclientprotocol/codex-acp",
            folders=(Folder(".codex", "CODEX_HOME"),),
            keys=(
                *_OPENAI,
                *("CODEX_API_KEY", "CODEX_HOME", "CODEX_CONFIG", "CODEX_PATH", "MODEL_PROVIDER"),
            ),
            settings={"NO_BROWSER": "1", "INITIAL_AGENT_MODE": "read-only"},
            modes=("read-only",),
            login="api-key",
            login_keys=("CODEX_API_KEY", "OPENAI_API_KEY"),
            counting=Counting.CALL,
        ),
        # github.com/google-gemini/gemini-cli, docs/cli
        "gemini": Preset(
            command=("gemini", "--acp"),
            install="npm install -g @google/gemini-cli",
            folders=(Folder(".gemini", "GEMINI_CLI_HOME", ".gemini"),),
            keys=(
                *_GOOGLE,
                *("GEMINI_MODEL", "GEMINI_CLI_HOME", "GOOGLE_GEMINI_BASE_URL"),
                *("GOOGLE_VERTEX_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI"),
            ),
            settings={"GEMINI_CLI_NO_RELAUNCH": "true"},
            modes=("default",),
            login="gemini-api-key",
            login_keys=("GEMINI_API_KEY",),
        ),
        # opencode.ai/docs/acp; the variables are in the released program
        "opencode": Preset(
            command=("opencode", "acp"),
            install="curl -fsSL https://opencode.ai/install | bash",
            folders=xdg("opencode"),
            keys=(
                *(*_OPENAI, *_ANTHROPIC, *_GOOGLE, *_OTHERS),
                *("OPENCODE_CONFIG", "OPENCODE_CONFIG_DIR", "OPENCODE_CONFIG_CONTENT"),
                *("OPENCODE_API_KEY", "OPENCODE_PERMISSION"),
            ),
            settings={
                "OPENCODE_SERVER_PASSWORD": RANDOM,  # its local server asks nobody else for one
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
                "OPENCODE_DISABLE_SHARE": "1",
            },
            counting=Counting.CALL,
        ),
        # goose-docs.ai "Using goose in ACP Clients", "Environment Variables"
        "goose": Preset(
            command=("goose", "acp"),
            install="curl -fsSL https://github.com/aaif-goose/goose/releases/download/stable/"
            "download_cli.sh | bash",
            folders=xdg("goose"),
            keys=(
                *(*_OPENAI, *_ANTHROPIC, *_GOOGLE, *_OTHERS),
                *("GOOSE_PROVIDER", "GOOSE_MODEL", "GOOSE_DISABLE_KEYRING", "OPENAI_HOST"),
                *("ANTHROPIC_HOST", "DATABRICKS_HOST", "DATABRICKS_TOKEN"),
            ),
            settings={"GOOSE_MODE": "approve", "GOOSE_TELEMETRY_OFF": "1"},
            modes=("approve",),
        ),
        # qwenlm.github.io/qwen-code-docs "Environment variables"
        "qwen": Preset(
            command=("qwen", "--acp"),
            install="npm install -g @qwen-code/qwen-code",
            folders=(Folder(".qwen", "QWEN_HOME"),),
            keys=(
                *(*_OPENAI, *_ANTHROPIC, "GEMINI_API_KEY"),
                *("DASHSCOPE_API_KEY", "BAILIAN_CODING_PLAN_API_KEY", "QWEN_HOME", "QWEN_MODEL"),
            ),
            settings={"QWEN_TELEMETRY_ENABLED": "false", "QWEN_USAGE_STATISTICS_ENABLED": "false"},
            modes=("default",),
        ),
        # moonshotai.github.io/kimi-code "kimi acp", "Environment variables"
        "kimi": Preset(
            command=("kimi", "acp"),
            install="curl -fsSL https://code.kimi.com/kimi-code/install.sh | bash",
            folders=(Folder(".kimi-code", "KIMI_CODE_HOME"),),
            keys=(
                *("KIMI_CODE_HOME", "KIMI_MODEL_NAME", "KIMI_MODEL_API_KEY"),
                *("KIMI_MODEL_BASE_URL", "KIMI_MODEL_PROVIDER_TYPE"),
            ),
            settings={"KIMI_DISABLE_TELEMETRY": "1"},
        ),
        # cursor.com/docs/cli/acp, cursor.com/docs/cli/installation
        "cursor": Preset(
            command=("agent", "acp"),
            install="curl https://cursor.com/install -fsS | bash",
            folders=(Folder(".cursor"), Folder(".config/cursor", "XDG_CONFIG_HOME", "cursor")),
            keys=("CURSOR_API_KEY", "CURSOR_AUTH_TOKEN"),
            login="cursor_login",
            login_keys=("CURSOR_API_KEY", "CURSOR_AUTH_TOKEN"),
        ),
        # docs.github.com "Copilot CLI ACP server", "Environment variables"
        "copilot": Preset(
            command=("copilot", "--acp", "--stdio"),
            install="npm install -g @github/copilot",
            folders=(
                Folder(".copilot", "COPILOT_HOME"),
                Folder(".cache/copilot", "COPILOT_CACHE_HOME"),
            ),
            keys=(
                *("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_MODEL"),
                *("COPILOT_HOME", "COPILOT_CACHE_HOME", "COPILOT_PROVIDER_API_KEY"),
                *("COPILOT_PROVIDER_BASE_URL", "COPILOT_PROVIDER_TYPE"),
            ),
            settings={"COPILOT_AUTO_UPDATE": "false"},
        ),
        # github.com/mistralai/mistral-vibe, README and docs/acp-setup.md
        "vibe": Preset(
            command=("vibe-acp",),
            install="curl -LsSf https://mistral.ai/vibe/install.sh | bash",
            folders=(Folder(".vibe", "VIBE_HOME"),),
            keys=("MISTRAL_API_KEY", "VIBE_HOME", "VIBE_ACTIVE_MODEL"),
            settings={
                "VIBE_ENABLE_TELEMETRY": "false",
                "VIBE_ENABLE_UPDATE_CHECKS": "false",
                "VIBE_ENABLE_AUTO_UPDATE": "false",
            },
            modes=("ask", "default"),
            counting=Counting.SESSION,
        ),
    }
)


def by_hand(command: Sequence[str]) -> Preset:
    """Any command that speaks the protocol."""
    return Preset(tuple(command))


def check_installed(name: str, preset: Preset) -> None:
    """Raises UserError, with the way to mend it, when the agent's program is not there."""
    program = preset.command[0]
    if shutil.which(program) is not None:
        return
    if "/" in program:
        is_there = Path(program).is_file()
        how = (
            "can be run: make it executable, `chmod +x`" if is_there else "is there: mend the path"
        )
        raise UserError(f"{name}: no program `{program}` {how}.")
    mend = f"Install it: {preset.install}" if preset.install else "Write its whole path."
    raise UserError(f"{name}: there is no program `{program}` on your PATH.\n{mend}")


def agent_environment(
    preset: Preset | None = None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of an agent: what it needs of ours, and nothing else.

    A preset's agent gets the keys that the preset names. A command by hand (None, or a preset
    without keys) gets every variable that ends as a key or an endpoint of a model does.
    """
    keys = preset.keys if preset else ()
    wanted = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name in keys or (not keys and name.endswith(KEYS))
    }
    settings = preset.settings if preset else {}
    made = {
        name: secrets.token_urlsafe(32) if value == RANDOM else value
        for name, value in settings.items()
    }
    return environment({**wanted, **made, **(extra or {})})
