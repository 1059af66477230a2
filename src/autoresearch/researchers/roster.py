"""Who can propose on this machine, as a table for people."""

import shutil
from importlib.util import find_spec

from autoresearch.researchers.presets import PRESETS


def roster() -> str:
    """Every researcher by name, whether it is there, and else how to get it."""
    rows = [
        ("knobs", "ready", "turns the CAPITAL constants of train.py; no model, no key"),
        *(preset_row(name) for name in PRESETS),
        ("acp: COMMAND", "", "any other agent that speaks the Agent Client Protocol"),
        ("cmd: COMMAND", "", "any program that edits files; {prompt} is a file with its task"),
        ("oneshot: MODEL", *oneshot_words()),
        ("mix: A + B", "", "several share a study; `mix: opencode 30% + knobs 70%` fixes shares"),
        ("py: MODULE:CLASS", "", "a researcher of your own"),
    ]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:{width}}  {there:9}  {words}".rstrip() for name, there, words in rows)


def preset_row(name: str) -> tuple[str, str, str]:
    preset = PRESETS[name]
    if shutil.which(preset.command[0]):
        return name, "installed", " ".join(preset.command)
    return name, "missing", preset.install


def oneshot_words() -> tuple[str, str]:
    if find_spec("pydantic_ai") and find_spec("openai"):  # the least that it needs
        return "ready", "one call of a model for each experiment, such as openai:gpt-5"
    return "missing", "pip install 'autoresearch[oneshot]'"
