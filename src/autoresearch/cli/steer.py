"""Steering a study from a terminal: each command gives one order, and says what will come of it."""

from collections.abc import Mapping
from typing import Any

import click

from autoresearch import opening
from autoresearch.cli.base import COUNT, DOLLARS, DURATION, reading
from autoresearch.errors import UserError
from autoresearch.steering import orders
from autoresearch.steering.state import DIMENSIONS

TAG = click.option("--tag", help="Which study (default: the last one).")


def order(tag: str | None, kind: str, data: Mapping[str, Any]) -> None:
    with reading(tag) as (lab, store, found, _):
        click.echo(f"{found}: {orders.give(lab, store, found, kind, data)}")


@click.command()
@TAG
def pause(tag: str | None) -> None:
    """Hold the study once the running experiment is over."""
    order(tag, "pause", {})


@click.command()
@TAG
def resume(tag: str | None) -> None:
    """Let a paused study go on."""
    order(tag, "resume", {})


@click.command()
@TAG
def stop(tag: str | None) -> None:
    """End the study once the running experiment is over."""
    order(tag, "stop", {})


@click.command()
@TAG
@click.argument("number", type=int, required=False)
def skip(tag: str | None, number: int | None) -> None:
    """End the running experiment now, without a score."""
    order(tag, "skip", {} if number is None else {"experiment": number})


@click.command()
@TAG
@click.argument("number", type=int)
def veto(tag: str | None, number: int) -> None:
    """Take a kept change back, with all that was built on it."""
    order(tag, "veto", {"experiment": number})


@click.command()
@TAG
@click.argument("number", type=int)
def restore(tag: str | None, number: int) -> None:
    """Take a veto back."""
    order(tag, "restore", {"experiment": number})


@click.command()
@TAG
@click.argument("text")
def note(tag: str | None, text: str) -> None:
    """Tell the next proposal something: note "stay away from the optimizer"."""
    order(tag, "note", {"text": text})


@click.command()
@TAG
@click.option("--edit", is_flag=True, help="It is your uncommitted edit of the editable files.")
@click.argument("text")
def idea(tag: str | None, text: str, edit: bool) -> None:
    """Queue an experiment: idea "DEPTH = 6", idea "try a wider MLP", idea --edit "what it is"."""
    if not edit:
        order(tag, "idea", {"text": text})
        return
    with reading(tag) as (lab, store, found, program):
        made = opening.hand_edit(lab, store, found, program)
        try:
            texts = {name: content.decode() for name, content in made.files.items()}
        except UnicodeDecodeError as error:
            names = ", ".join(made.files)
            raise UserError(f"{names}: not UTF-8 text, so it cannot wait; `try` it now") from error
        facts = {"text": text, "files": texts, "onto": made.onto}
        click.echo(f"{found}: {orders.give(lab, store, found, 'idea', facts)}")


@click.command()
@TAG
@click.argument("number", type=int)
def withdraw(tag: str | None, number: int) -> None:
    """Take back a note or an idea that still waits, or an extension."""
    order(tag, "withdraw", {"id": number})


@click.command()
@TAG
@click.option("--experiments", type=click.IntRange(min=1), help="So many more.")
@click.option("--for", "seconds", type=DURATION, help="So much longer: 2h, 30m.")
@click.option("--tokens", type=COUNT, help="So many more: 500k, 2M.")
@click.option("--cost", "cost_usd", type=DOLLARS, help="So many more US dollars.")
def extend(tag: str | None, **amounts: float | None) -> None:
    """Add to the limits that the study runs with."""
    order(tag, "extend", {name: amounts[name] for name in DIMENSIONS if amounts[name] is not None})


COMMANDS = (pause, resume, stop, skip, veto, restore, note, idea, withdraw, extend)
