"""What the commands share: where they are called, which study is meant, how values are written."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from autoresearch import opening
from autoresearch.errors import StudyError
from autoresearch.lab import Lab
from autoresearch.program import Program, parse_count, parse_dollars, parse_duration
from autoresearch.store import Store
from autoresearch.text import json_value

NARROWEST, USUAL = 50, 80  # columns: in fewer a table vanishes, as with COLUMNS=0


class Commands(click.Group):
    """All of them; that nobody reads on (`autoresearch log | head`) is no error."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            forget_output()
            sys.exit(0)
        return done


def prepare_streams() -> None:
    """Any output can be written: nowhere where it is closed (`>&-`), so that no file of ours takes
    its number; and what a locale has no letter for is a question mark."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def leave(words: str, code: int) -> NoReturn:
    """Say why, if anybody can hear it, and end."""
    with suppress(OSError):
        click.echo(clipped(words), err=True)
    try:
        sys.stdout.flush()
    except OSError:
        forget_output()
    sys.exit(code)


def forget_output() -> None:
    """What is not written yet goes nowhere: Python would try it once more at its end, and fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def clipped(words: str, most: int = 2000) -> str:
    """Without the middle of what somebody pasted: both its beginning and the mend can be read."""
    return words if len(words) <= most else f"{words[: most // 2]} ... {words[-most // 2 :]}"


def of_system(error: OSError) -> str:
    """Which file it is about, and what the system says."""
    names = [os.fsdecode(each) for each in (error.filename, error.filename2) if each is not None]
    return ": ".join([*names, error.strerror or str(error) or type(error).__name__])


def json_text(value: Any) -> str:
    """As JSON has it: a number that is none, or has no end, is null."""
    return json.dumps(json_value(value, str, str), indent=1, allow_nan=False)


class Parsed(click.ParamType[Any]):
    """A value that program.py reads the same way in the front matter."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class OrNone(click.ParamType[Any]):
    """A limit, or `none`: infinity."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind, self.name = kind, f"{kind.name}|none"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return math.inf if value == "none" else self.kind.convert(value, param, ctx)


DURATION = Parsed("DURATION", parse_duration)
COUNT = Parsed("COUNT", parse_count)
DOLLARS = Parsed("DOLLARS", parse_dollars)


def here() -> Lab:
    return Lab.open(Path())


def terminal_console() -> Console:
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False)
    if console.width < NARROWEST:
        console.width = USUAL
    return console


@contextmanager
def reading(tag: str | None) -> Iterator[tuple[Lab, Store, str, Program]]:
    """A study to read, while an engine may be at work on it."""
    lab = here()
    with Store(opening.store_path(lab)) as store:
        tags = store.tags()
        if not tags:
            raise StudyError("no study in this lab yet: begin one with `autoresearch run`")
        row = store.study(tags[-1] if tag is None else tag)
        yield lab, store, row.tag, Program.from_contract(row.contract)
