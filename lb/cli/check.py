"""``lb check``: every mistake in a configuration file at once. Changes nothing, starts nothing."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from lb.config.load import Report, examine
from lb.config.problems import Problem
from lb.model import Config

EXIT_MISTAKES = 2


@click.command()
@click.argument("file", type=click.Path(readable=False, path_type=str))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def check(file: str, as_json: bool) -> None:
    """Say every mistake in FILE as FILE:LINE:COLUMN, and exit with 2 if there is one.

    Whether an address is already in use is not looked at: `lb run` does that.
    """
    report = _examined(file)
    if as_json:
        click.echo(json.dumps(_as_data(report)))
    else:
        _print(report)
    sys.exit(0 if report.config else EXIT_MISTAKES)


def _examined(file: str) -> Report:
    """Without looking for garbage meanwhile: that took a third of the time with a large file, and found none."""
    gc.disable()
    try:
        return examine(file, os.environ)
    finally:
        gc.enable()


def _print(report: Report) -> None:
    for problem in report.problems:
        click.echo(str(problem), err=True)
    for warning in report.warnings:
        click.echo(f"{warning._replace(message=f'warning: {warning.message}')}", err=True)
    if report.config:
        click.echo(summary(report.config))
    else:
        click.echo(f"{len(report.problems)} {'mistake' if len(report.problems) == 1 else 'mistakes'}", err=True)


def summary(config: Config) -> str:
    """A valid configuration in one line."""
    backends = sum(len(pool.backends) for pool in config.pools)
    counted = (
        _count(config.listeners, "listener"),
        _count(config.pools, "pool"),
        f"{backends} backend{'' if backends == 1 else 's'}",
        _count(config.routes, "route"),
        f"{config.workers} worker{'' if config.workers == 1 else 's'}",
    )
    return f"{config.source}: ok ({', '.join(counted)})"


def _count(items: tuple[Any, ...], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _as_data(report: Report) -> dict[str, Any]:
    return {
        "ok": report.config is not None,
        "problems": _listed(report.problems),
        "warnings": _listed(report.warnings),
    }


def _listed(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [problem._asdict() for problem in problems]
