"""``lb import``: other balancers' configurations as ours, on standard output."""

from __future__ import annotations

import os
import sys

import click

from lb.config import velocity as velocity_format
from lb.config.problems import LocatedConfigError
from lb.config.source import read_document

EXIT_UNREADABLE = 2


@click.group(name="import")
def importing() -> None:
    """Translate another balancer's configuration into ours."""


@importing.command()
@click.argument("file", type=click.Path(readable=False, path_type=str))
def velocity(file: str) -> None:
    """Translate a config.yml of Velocity. Lines without a counterpart are named on standard error."""
    try:
        imported = velocity_format.translate(read_document(file, os.environ))
    except LocatedConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_UNREADABLE)
    for problem in imported.untranslated:
        click.echo(f"{problem._replace(message=f'not translated: {problem.message}')}", err=True)
    if not imported.services:
        click.echo(f"{file}: no service was translated: is it a config.yml of Velocity?", err=True)
        sys.exit(EXIT_UNREADABLE)
    click.echo(imported.text, nl=False)
