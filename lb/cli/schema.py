"""``lb schema``: the JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import json

import click

from lb.config.schema import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of the configuration file.

    In an editor with a YAML language server, save it as lb.schema.json and start the file with
    `# yaml-language-server: $schema=lb.schema.json`.
    """
    click.echo(json.dumps(json_schema(), indent=2))
