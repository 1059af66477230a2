"""`autoresearch watch`: the live page."""

from importlib.util import find_spec

import click

from autoresearch import opening, parts
from autoresearch.cli.base import here
from autoresearch.errors import UserError
from autoresearch.store import Store

NEEDS = ("starlette", "uvicorn", "bokeh", "pygments")


@click.command()
@click.option("--tag", help="Which study the page begins with (default: the last one).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at.")
@click.option("--port", default=8265, show_default=True, type=click.IntRange(0, 65535))
@click.option("--open", "is_opened", is_flag=True, help="Open it in the browser.")
def watch(tag: str | None, host: str, port: int, is_opened: bool) -> None:
    """Look at a study live in the browser, and steer it."""
    lab = here()
    if missing := next((name for name in NEEDS if find_spec(name) is None), None):
        raise UserError(
            f"the page needs {missing}, which is not installed: pip install 'autoresearch[watch]'"
        )
    if tag is not None:
        with Store(opening.store_path(lab)) as store:
            store.study(tag)
    serve = parts.load("autoresearch.dashboard.serve:serve")
    serve(lab, opening.store_path(lab), tag, host, port, is_opened, click.echo)
