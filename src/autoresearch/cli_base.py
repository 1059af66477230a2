"""What the commands share: where they are called, which study is meant, how values are written."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from autoresearch import opening
from autoresearch.errors import StudyError
from autoresearch.lab import Lab
from autoresearch.program import Program, parse_count, parse_dollars, parse_duration
from autoresearch.store import Store


class Parsed(click.ParamType[Any]):
    """A value that program.py reads the same way in the front matter."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Parsed("DURATION", parse_duration)
COUNT = Parsed("COUNT", parse_count)
DOLLARS = Parsed("DOLLARS", parse_dollars)


def here() -> Lab:
    return Lab.open(Path())


def terminal_console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False)


@contextmanager
def reading(tag: str | None) -> Iterator[tuple[Lab, Store, str, Program]]:
    """A study to read, while an engine may be at work on it."""
    lab = here()
    with Store(opening.store_path(lab)) as store:
        tags = store.tags()
        if not tags:
            raise StudyError("no study in this lab yet: begin one with `autoresearch run`")
        row = store.study(tag or tags[-1])
        yield lab, store, row.tag, Program.from_contract(row.contract)
