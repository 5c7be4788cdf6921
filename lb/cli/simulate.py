"""``lb simulate``: policies compared on a virtual clock, as tables, as JSON or as a chart."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lb.config.checks import did_you_mean, policy_name
from lb.config.problems import LocatedConfigError, Problem
from lb.simulate import chart, shipped
from lb.simulate.compare import Comparison, compare
from lb.simulate.load import load
from lb.simulate.scenario import Scenario
from lb.simulate.simulation import Progress as Told
from lb.simulate.table import table_of
from lb.structs import replace

EXIT_MISTAKES = 2
MIN_WIDTH = 120
"""Where output is not a terminal: a table is not cut to 80 columns because somebody reads it in a file."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line says instead of the file."""

    policies: tuple[str, ...]
    seed: int | None
    requests: int | None


def _policy_names(ctx: click.Context, option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(policy_name(name) for name in names)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("scenarios", nargs=-1, metavar="[FILE|NAME]...")
@click.option("--list", "is_list", is_flag=True, help="List the scenarios that come with lb.")
@click.option("--policy", "policies", multiple=True, callback=_policy_names, help="Instead of the file's; repeatable.")
@click.option("--seed", type=click.IntRange(0), help="Instead of the file's.")
@click.option("--requests", type=click.IntRange(1), help="So many at most, whatever number the file says.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; the same seed gives the same bytes.")
@click.option("--chart", "chart_file", metavar="FILE", help="Draw one scenario into FILE.svg or FILE.png.")
def simulate(
    scenarios: Sequence[str],
    is_list: bool,
    policies: tuple[str, ...],
    seed: int | None,
    requests: int | None,
    as_json: bool,
    chart_file: str | None,
) -> None:
    """Compare policies in a scenario: the real policy and retry code on a virtual clock.

    A scenario is a FILE, or the NAME of one that comes with lb.
    """
    if is_list or not scenarios:
        _list()
        return
    if chart_file:
        _check_chart(chart_file, scenarios)
    changes = Changes(policies, seed, requests)
    compared = [_compare(scenario) for scenario in _loaded(scenarios, changes)]
    if as_json:
        click.echo(json.dumps({"scenarios": [one.as_data() for one in compared]}, indent=2))
    else:
        _print(compared)
    if chart_file:
        chart.draw(compared[0], chart_file)


def _list() -> None:
    for name in shipped.names():
        click.echo(f"{name:<16} {shipped.about(name)}")
    click.echo(f"\nThey are files in {shipped.SCENARIOS}: copy one to begin your own.")


def _check_chart(file: str, scenarios: Sequence[str]) -> None:
    """Before minutes of simulation, not after."""
    if len(scenarios) > 1:
        raise click.UsageError("--chart draws one scenario")
    problem = chart.problem_with(file)
    if problem:
        raise click.UsageError(f"--chart: {problem}")


def _loaded(scenarios: Sequence[str], changes: Changes) -> list[Scenario]:
    """All of them, or exit with every mistake in each."""
    loaded: list[Scenario] = []
    mistakes: list[Problem] = []
    for scenario in scenarios:
        try:
            loaded.append(_changed(load(_path(scenario), os.environ, policies=changes.policies), changes))
        except LocatedConfigError as error:
            mistakes += error.located
    for problem in mistakes:
        click.echo(str(problem), err=True)
    if mistakes:
        sys.exit(EXIT_MISTAKES)
    return loaded


def _path(scenario: str) -> str:
    if os.sep in scenario or os.path.exists(scenario) or scenario.endswith((".yaml", ".yml")):
        return scenario
    path = shipped.path_of(scenario)
    if path is None:
        near = did_you_mean(scenario, shipped.names()) or f": there are {', '.join(shipped.names())}"
        raise click.UsageError(f"no file and no scenario `{scenario}`{near}")
    return path


def _changed(scenario: Scenario, changes: Changes) -> Scenario:
    return replace(
        scenario,
        seed=scenario.seed if changes.seed is None else changes.seed,
        requests=scenario.requests if changes.requests is None else changes.requests,
    )


def _compare(scenario: Scenario) -> Comparison:
    """With a bar for each policy where somebody can see it, and it is gone when it is done."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

    def progress_of(label: str) -> Told:
        task = bar.add_task(f"{scenario.name}: {label}", total=scenario.expected_requests)
        return lambda came: bar.advance(task, came)

    with bar:
        return compare(scenario, progress_of)


def _print(compared: Sequence[Comparison]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=MIN_WIDTH)
    for one in compared:
        console.print(table_of(one))
