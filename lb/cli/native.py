"""``lb native``: compile the data path for this machine, so that a request costs less of it."""

from __future__ import annotations

import os
from time import monotonic

import click

from lb.native import build
from lb.native.finder import COMPILED, build_directory, data_path


@click.command()
@click.option("--remove", "wish", flag_value="remove", help="Go back to the modules as they are written.")
@click.option("--status", "wish", flag_value="status", help="Only say what is in use; exit status 1: nothing compiled.")
@click.option("--if-possible", "wish", flag_value="if-possible", help="Exit with 0 where nothing can be compiled.")
def native(wish: str | None) -> None:
    """Compile the data path (mypyc) for this Python; takes effect at the next start.

    It needs a C compiler, Python's headers and mypy (`pip install 'mypy[mypyc]' setuptools`). Balancers that run
    go on as they are. A change of the sources makes a build stale, which then is not used.
    """
    directory = build_directory()
    if wish == "remove":
        build.remove()
        click.echo("lb native: removed")
    elif os.path.isdir(directory):
        click.echo(f"lb native: compiled, in {directory}")
    elif wish == "status":
        click.echo(f"lb native: {data_path()}")
        raise SystemExit(1)
    else:
        _compile(is_wanted=wish is None)


def _compile(*, is_wanted: bool) -> None:
    if not is_wanted and (lack := build.missing()):
        click.echo(f"lb native: not compiled, {lack}", err=True)
        return
    if what := build.missing():
        raise click.ClickException(f"not compiled: {what}")
    click.echo(f"lb native: compiling {len(COMPILED)} modules, a minute or less ...", err=True)
    started = monotonic()
    try:
        directory = build.build()
    except build.BuildError as error:
        raise click.ClickException(f"not compiled: {error}") from error
    click.echo(f"lb native: compiled in {monotonic() - started:.0f} s, in {directory}")
