"""What a route's match leads to on this worker: its pool, its cells, or its own answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lb.http1.request import RequestHead
from lb.model import Route
from lb.proxy.answer import Answer
from lb.proxy.cells import Cells
from lb.proxy.exchange import Exchange
from lb.proxy.local import local_answer, redirect, respond
from lb.proxy.pool import LivePool
from lb.proxy.rate_limit import RouteLimit
from lb.proxy.router import query_values

Local = Callable[[Exchange], Answer]


@dataclass(frozen=True, eq=False)
class LiveRoute:
    """Either ``pool`` or ``local`` is set. ``policy``: what is picked by unless ``?algo=`` says otherwise. ``limit``: what is
    asked before anything else."""

    route: Route
    cells: Cells
    pool: LivePool | None
    local: Local | None
    policy: str
    upgrades: frozenset[bytes]
    limit: RouteLimit | None = None

    def algo_named(self, head: RequestHead) -> str | None:
        """The policy that ``?algo=`` names, if the request has one."""
        named = query_values(head, "algo")
        return named[0] if named else None


def healthy(_: Exchange) -> Answer:
    return local_answer(200, "text/plain; charset=utf-8", b"OK")


def local_action(route: Route) -> Local:
    """The answer of a route that asks no backend."""
    if route.respond is not None:
        fixed = route.respond
        return lambda exchange: respond(fixed)
    if route.redirect is not None:
        rule = route.redirect
        return lambda exchange: redirect(rule, exchange.head, exchange.caller.scheme)
    return healthy


def wanted_upgrade(head: RequestHead, route: LiveRoute) -> bytes:
    """The protocol to ask the backend for: one the route allows, properly asked for; else nothing."""
    wanted = head.fields.upgrade
    if wanted not in route.upgrades or not head.version_minor or head.has_body or head.method != b"GET":
        return b""
    if wanted == b"websocket" and (
        head.fields.value(b"sec-websocket-version") != b"13" or not head.fields.value(b"sec-websocket-key")
    ):
        return b""
    return wanted
