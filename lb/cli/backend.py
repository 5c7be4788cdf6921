"""``lb backend``: change one backend of the running balancer. The change survives restarts and reloads."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click

from lb.cli.api_client import TOKEN, Answer, Api, find, options

EXIT_REFUSED = 1
UNAUTHORIZED = 401
_LOOK_S = 0.1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def backend() -> None:
    """Change backends of the running balancer: for all machines that share a store, or for this one."""


def _command(summary: str, *more: Any) -> Callable[[Callable[..., None]], click.Command]:
    """POOL and ID, where the balancer is, and what all of these commands know."""

    def decorate(function: Callable[..., None]) -> click.Command:
        decorated: Any = options(function)
        decorated = click.option("--json", "as_json", is_flag=True, help="Print the balancer's answer.")(decorated)
        decorated = click.option("--machine-only", is_flag=True, help="Leave other machines as they are.")(decorated)
        for one in reversed(more):
            decorated = one(decorated)
        decorated = click.argument("id", metavar="ID")(decorated)
        decorated = click.argument("pool", metavar="POOL")(decorated)
        command: click.Command = backend.command(function.__name__, help=summary)(decorated)
        return command

    return decorate


@_command(
    "Add a backend: `http://host[:port]`, `https://host[:port]` or `unix:/path`.",
    click.argument("place", metavar="URL"),
    click.option("--weight", type=int, help="Its share, 1 to 256."),
    click.option("--region"),
    click.option("--zone"),
    click.option("--max-inflight", type=int, help="Most requests it works on at a time."),
    click.option("--backup", is_flag=True, default=None, help="Only when no other backend is available."),
)
def add(pool: str, id: str, place: str, **given: Any) -> None:
    names = ("weight", "region", "zone", "max_inflight", "backup")
    wish = {"id": id, "url": place, **{name: given[name] for name in names if given[name] is not None}}
    _change("POST", f"/api/v1/pools/{quote(pool, safe='')}/backends", wish, f"{pool}/{id} is added", given)


@_command("Take a backend out of its pool. Requests that it works on end.")
def rm(pool: str, id: str, **given: Any) -> None:
    _change("DELETE", _path(pool, id), None, f"{pool}/{id} is removed", given)


@_command("Give a backend requests again.")
def ready(pool: str, id: str, **given: Any) -> None:
    _change("PATCH", _path(pool, id), {"state": "ready"}, f"{pool}/{id} is ready", given)


@_command("Give a backend no requests, and do not probe it.")
def disable(pool: str, id: str, **given: Any) -> None:
    _change("PATCH", _path(pool, id), {"state": "disabled"}, f"{pool}/{id} is disabled", given)


@_command(
    "Give a backend no new requests; those that it works on end.",
    click.option("--wait", "is_waiting", is_flag=True, help="Return when it works on none any more."),
    click.option("--timeout", "timeout_s", type=float, default=300.0, show_default=True, help="Longest wait, seconds."),
)
def drain(pool: str, id: str, *, is_waiting: bool, timeout_s: float, **given: Any) -> None:
    api = _api(given)
    done = _change("PATCH", _path(pool, id), {"state": "drain"}, f"{pool}/{id} is draining", given, api=api)
    if is_waiting and not wait_until_idle(api, pool, id, done.body["generation"], timeout_s):
        click.echo(f"{pool}/{id} still works on requests after {timeout_s:g} s", err=True)
        sys.exit(EXIT_REFUSED)
    if is_waiting and not given["as_json"]:
        click.echo(f"{pool}/{id} is idle")


@_command("Change a backend's share, 1 to 256.", click.argument("number", metavar="WEIGHT", type=int))
def weight(pool: str, id: str, number: int, **given: Any) -> None:
    _change("PATCH", _path(pool, id), {"weight": number}, f"{pool}/{id} has weight {number}", given)


def wait_until_idle(api: Api, pool: str, id: str, generation: int, timeout_s: float) -> bool:
    """Until every worker has heard of ``generation`` and the backend has nothing in flight on this machine. False:
    not in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        state = api.ask("GET", "/api/v1/state").body
        backends = [b for p in state.get("pools", ()) if p["id"] == pool for b in p["backends"] if b["id"] == id]
        is_heard = all(worker["generation"] >= generation for worker in state.get("workers", ()))
        if is_heard and state.get("generation", 0) >= generation and not any(one["inflight"] for one in backends):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)


def _path(pool: str, id: str) -> str:
    return f"/api/v1/pools/{quote(pool, safe='')}/backends/{quote(id, safe='')}"


def _api(given: dict[str, Any]) -> Api:
    return find(given["config"], given["url"], given["state_dir"])


def _change(method: str, path: str, body: Any, done: str, given: dict[str, Any], api: Api | None = None) -> Answer:
    scope = "?scope=machine" if given["machine_only"] else ""
    answer = (api or _api(given)).ask(method, path + scope, body)
    if given["as_json"]:
        click.echo(json.dumps(answer.body, indent=2))
    elif answer.is_good:
        where = "all machines" if answer.body["scope"] == "cluster" else "this machine"
        click.echo(f"{done} (generation {answer.body['generation']}, {where})")
        for warning in answer.body["warnings"]:
            click.echo(f"warning: {warning}", err=True)
    else:
        click.echo(f"refused: {answer.body.get('error', answer.status)}", err=True)
        if answer.status == UNAUTHORIZED:
            click.echo(f"hand it the token by ${TOKEN}, or say where it is: --state-dir DIR", err=True)
    if not answer.is_good:
        sys.exit(EXIT_REFUSED)
    return answer
