"""Names to classes: the one place that imports late, so that what is not used costs nothing.

knobs | knobs:random          the built-in one: no model, no key
opencode | claude | ...       a coding agent over ACP; `opencode:continued` keeps its session
acp: my-agent --acp           any other agent that speaks ACP
cmd: my-script {prompt}       any program that edits files
oneshot: openai:gpt-5         one call of a model for each experiment
mix: opencode + knobs         several share the study
py: my_module:MyResearcher    a class of your own
"""

import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any, cast

from autoresearch.errors import UserError
from autoresearch.experiment import Proposal
from autoresearch.exports.base import Format, Write
from autoresearch.researchers.base import Desk, Researcher
from autoresearch.researchers.settings import Settings
from autoresearch.text import clean_line, split_words

EXAMPLES = {
    "acp": "acp: my-agent --acp",
    "cmd": "cmd: my-script {prompt}",
    "oneshot": "oneshot: openai:gpt-5",
    "mix": "mix: opencode + knobs",
    "py": "py: my_module:MyResearcher",
}
KINDS = "knobs, an agent's name (see `autoresearch researchers`), acp:, cmd:, oneshot:, mix:, py:"
_SCRIPTED = re.compile(r"(python|pypy|node|bun|deno|uv|bash|dash|sh|zsh|ruby|perl|Rscript)[\d.]*")


def load(path: str) -> Any:
    """What `module:name` stands for."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def exporter(form: Format, folder: Path) -> Write:
    """What writes a format. Raises UserError where its package is not installed."""
    os.environ.update(form.settings(folder))  # its library reads that once, now
    try:
        return cast("Write", load(form.writer))
    except ImportError as error:
        if (error.name or "").startswith("autoresearch"):
            raise
        missing = error.name or clean_line(str(error))
        raise UserError(
            f"export {form.name} needs a package that is not installed ({missing}): "
            f"pip install 'autoresearch[{form.extra}]'"
        ) from error


def researcher(spec: str, settings: Settings | None = None) -> Researcher:
    """The researcher that a person named. Raises UserError for what cannot be understood."""
    settings, spec = settings or Settings(), spec.strip()
    name, _, rest = (word.strip() for word in spec.partition(":"))
    if name == "knobs":
        return _knobs(*([rest] if rest else []))
    if name in EXAMPLES and not rest:
        raise UserError(f"--researcher {name}: names nothing: write one such as `{EXAMPLES[name]}`")
    if name == "mix":
        shares = load("autoresearch.researchers.mix:read_parts")(rest)
        return _class("mix:Mix")(tuple((each, researcher(each.name, settings)) for each in shares))
    makers: dict[str, Callable[[str, str, Settings], Researcher]] = {
        "acp": _acp_by_hand,
        "cmd": _command,
        "oneshot": _oneshot,
        "py": _own,
    }
    make = makers.get(name, _preset)
    called = spec
    if make in (_acp_by_hand, _command):
        called = Path(_words(name, rest)[0]).name
    elif make is _oneshot:
        called = rest
    return _class("fallback:WithFallback")(called, make(name, rest, settings), Late("knobs"))


@dataclass(slots=True)
class Late:
    """A researcher that is only loaded when it is asked: most nights need no stand-in."""

    spec: str
    _one: Researcher | None = None

    def propose(self, desk: Desk) -> Proposal:
        if self._one is None:
            self._one = researcher(self.spec)
        return self._one.propose(desk)


def _class(path: str) -> Callable[..., Researcher]:
    """Such as `knobs:Knobs`."""
    return cast("Callable[..., Researcher]", load(f"autoresearch.researchers.{path}"))


def _knobs(mode: str = "tpe") -> Researcher:
    return _class("knobs:Knobs")(mode)


def _preset(name: str, option: str, settings: Settings) -> Researcher:
    presets = load("autoresearch.researchers.presets:PRESETS")
    if name not in presets:
        raise UserError(_unknown(name, option, ("knobs", *presets, *EXAMPLES)))
    if option not in ("", "continued"):
        raise UserError(f"{name} has no option {option!r}: write {name} or {name}:continued")
    return _class("acp:Acp")(name, presets[name], settings, option == "continued")


def _unknown(name: str, option: str, names: tuple[str, ...]) -> str:
    first, whole = (name.split() or [""])[0], f"{name}:{option}" if option else name
    near = get_close_matches(first.lower(), names, 1)
    if near:
        hint = f"do you mean {near[0]}? There"
    elif name in ("anthropic", "google", "openai"):
        hint = f"do you mean `oneshot: {whole}`? There"
    elif shutil.which(first):
        hint = f"a program is `cmd: {whole}`, or `acp: {whole}` if it speaks that; there"
    else:
        hint = "there"
    return f"no researcher {clean_line(whole, 80)!r}: {hint} are {KINDS}"


def _acp_by_hand(kind: str, line: str, settings: Settings) -> Researcher:
    words = _words(kind, line)
    preset = load("autoresearch.researchers.presets:by_hand")(words)
    return _class("acp:Acp")(Path(words[0]).name, preset, settings)


def _command(kind: str, line: str, settings: Settings) -> Researcher:
    words = _words(kind, line)
    holes = [word for word in words if re.fullmatch(r"\{\w+\}", word)]
    if wrong := [each for each in holes if each not in ("{prompt}", "{text}")]:
        raise UserError(
            f"--researcher cmd: nothing is known to put in for {wrong[0]}: write {{prompt}} for a "
            "file with the task, {text} for the task itself, or neither for standard input"
        )
    return _class("command:Command")(words, settings)


def _words(kind: str, line: str) -> list[str]:
    """The command's words. They are used in other folders, so what is meant of this one is named
    by its whole path: `~/`, the program, and a script behind its interpreter.
    """
    split = split_words(line, f"--researcher {kind}")
    words = [os.path.expanduser(word) for word in split]  # noqa: PTH111
    if not words or not words[0]:
        raise UserError(f"--researcher {kind}: no program is named: write `{EXAMPLES[kind]}`")
    if "/" in words[0]:
        words[0] = os.path.abspath(words[0])  # noqa: PTH100  links must stay
    if _SCRIPTED.fullmatch(Path(words[0]).name):
        plain = (n for n, word in enumerate(words) if n and word != "run" and word[:1] != "-")
        script = next(plain, 0)
        if script and Path(words[script]).is_file():
            words[script] = os.path.abspath(words[script])  # noqa: PTH100
    return words


def _oneshot(_: str, model: str, settings: Settings) -> Researcher:
    try:
        oneshot = _class("oneshot:Oneshot")
    except ImportError as error:
        missing = error.name or getattr(error.__cause__, "name", None) or clean_line(str(error))
        if missing.startswith("autoresearch"):
            raise
        raise UserError(
            f"oneshot needs a package that is not installed ({missing}): "
            "pip install 'autoresearch[oneshot]'"
        ) from error
    return oneshot(model, settings)


def _own(_: str, path: str, settings: Settings) -> Researcher:
    """A class of the person's, found from the folder that the command was called in, too."""
    del settings
    module, _, name = (word.strip() for word in path.partition(":"))
    where, folder = f"--researcher py:{module}:{name}", str(Path.cwd())
    if not (name and re.fullmatch(r"[\w-]+(\.[\w-]+)*", module)) or module.endswith(".py"):
        raise UserError(
            f"--researcher py:{path}: write it as py:MODULE:CLASS, the module as `import` has it"
        )
    sys.path.insert(0, folder)
    try:
        found = import_module(module)
        if not hasattr(found, name):
            source = getattr(found, "__file__", None) or module
            raise UserError(f"{where}: there is no {name} in {source}: write the class's name")
        made = getattr(found, name)()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise UserError(
                f"{where}: there is no module {error.name}, neither in {folder} nor installed: "
                "go to the folder that it lies in, or install it"
            ) from error
        raise UserError(f"{where} cannot be made: {_complaint(error)}") from error
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for what the class imports only when it proposes
    if not callable(getattr(made, "propose", None)):
        raise UserError(f"{where} has no method propose: docs/researchers.md shows what it needs")
    return cast("Researcher", made)


def _complaint(error: BaseException) -> str:
    """What an error in a person's own file says, and the line of that file, to mend it there."""
    said = f"{type(error).__name__}: {clean_line(str(error), 200)}"
    ours = (__file__, "<frozen", import_module.__code__.co_filename)
    frames = [
        each for each in extract_tb(error.__traceback__) if not each.filename.startswith(ours)
    ]
    if frames:
        lines = [each.lineno for each in frames if each.filename == frames[0].filename]
        said += f" ({frames[0].filename}, line {lines[-1]})"
    elif not isinstance(error, SyntaxError):
        return f"{said}: it must be a class that is called without arguments"
    return f"{said}: mend it there"
