"""``lb status``: what the balancer is doing now, once, as tables or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lb.cli.api_client import find, options

MIN_WIDTH = 120
"""Where output is not a terminal: a table is not cut to 80 columns because somebody reads it in a file."""
_COLOURS = {"up": "green", "down": "red", "drain": "yellow", "disabled": "yellow", "refusing": "red", "ejected": "red"}
Json = dict[str, Any]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the state as one JSON object.")
@options
def status(config: str | None, url: str | None, state_dir: str | None, *, as_json: bool) -> None:
    """Show pools and backends of the running balancer, and the machines it shares a store with.

    Exit status 1 if nobody answers, or nothing is in force.
    """
    answer = find(config, url, state_dir).ask("GET", "/api/v1/state")
    if as_json:
        click.echo(json.dumps(answer.body, indent=2))
    elif answer.is_good:
        show(answer.body)
    else:
        said = answer.body.get("error") or answer.body.get("problem") or answer.status
        click.echo(f"the balancer answers {answer.status}: {said}", err=True)
    sys.exit(0 if answer.is_good else 1)


def show(state: Json) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=MIN_WIDTH)
    ready = sum(worker["state"] == "ready" for worker in state["workers"])
    console.print(
        Text(f"generation {state['generation']}  {ready} of {len(state['workers'])} workers ready  "
             f"{state['connections_open']} connections  {state['source']}")
    )  # fmt: skip
    said = (*state.get("operator", {}).get("problems", ()), *state.get("store", {}).get("problems", ()))
    for problem in dict.fromkeys((*([] if state["problem"] in "; ".join(said) else [state["problem"]]), *said)):
        if problem:
            console.print(Text(f"problem: {problem}", style="red"))
    if "store" in state:
        console.print(_store(state["store"]))
        console.print(machines_table(state))
        if "probes_by" in state:
            console.print(Text(f"health probes for all machines by {state['probes_by']}"))
        for text in own_changes(state):
            console.print(Text(text, style="yellow"))
    console.print(backends_table(state["pools"]))


def _store(store: Json) -> Text:
    said = "in use" if store["is_up"] else store["problem"]
    return Text(f"store {store['address']} {said}", style="" if store["is_up"] else "red")


def own_changes(state: Json) -> list[str]:
    """What operators changed here while other machines are as they were."""
    said = []
    for name, entry in state.get("operator", {}).get("machine", {}).items():
        words = [word for word in ("added", "removed") if entry.get(word)]
        words += [
            str(entry[key]) if key == "state" else f"{key} {entry[key]}" for key in ("state", "weight") if key in entry
        ]
        said.append(f"on this machine only: {name} {', '.join(words) or 'as the file has it'}")
    return said


def machines_table(state: Json) -> Table:
    table = Table("machine", "version", "generation", "workers", box=None, pad_edge=False)
    table.add_row(
        f"{state['machine']} (this one)", state["version"], str(state["generation"]), str(len(state["workers"]))
    )
    for one in state["machines"]:
        table.add_row(*(Text(str(one[key])) for key in ("name", "version", "generation", "workers")))
    return table


def backends_table(pools: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("pool", "backend", "address", "health", "state"):
        table.add_column(name, overflow="fold")
    for name in ("weight", "inflight", "requests", "errors"):
        table.add_column(name, justify="right")
    for pool in pools:
        for place, backend in enumerate(pool["backends"]):
            table.add_row(Text(f"{pool['id']} ({pool['policy']})" if not place else ""), *_cells(backend))
    return table


def _cells(backend: Json) -> list[Text]:
    health = "ejected" if backend["is_ejected"] else "refusing" if backend["is_refusing"] else backend["verdict"]
    share = backend.get("share", 1.0)
    said = f"{health} {share:.0%}" if share < 1.0 and health == "up" else health
    state = backend["state"] + (" backup" if backend["backup"] else "")
    limit = f"/{backend['max_inflight']}" if backend["max_inflight"] else ""
    failed = sum(backend["errors"].values()) + backend["codes"]["5xx"]
    numbers = (backend["weight"], f"{backend['inflight']}{limit}", backend["requests"], failed)
    return [
        Text(backend["id"]),
        Text(backend["address"]),
        Text(said, style=_COLOURS.get(health, "") if said == health else "yellow"),
        Text(state, style=_COLOURS.get(backend["state"], "")),
        *(Text(str(number)) for number in numbers),
    ]
