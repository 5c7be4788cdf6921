"""Redirects that lead to themselves: whoever follows one ends where it began. Pure.

What cannot be decided (another host, conditions on fields, a path that grows) counts as harmless: better
silent than wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lb.config.problems import Finding
from lb.config.reach import takers_of, takes_path, wider
from lb.config.schema import Schema
from lb.config.schema_routes import RedirectEntry, RouteEntry
from lb.config.url_paths import normal_path

_TARGET = re.compile(
    r"(?:(?P<scheme>\{scheme\}|https?)://(?P<host>\{host\}|\{hostport\}|[^/?#{]+))?"
    r"(?P<path>\{path\}|/(?!/)[^?#{]*|)(?:\{query\}|[?#].*)?",
    re.IGNORECASE,
)
_OTHER = {"http": "https", "https": "http"}


def redirect_loops(schema: Schema) -> Iterator[Finding]:
    earlier: dict[str, list[tuple[int, RouteEntry]]] = {}
    for position, route in enumerate(schema.routes or []):
        if route.redirect and not (route.headers or route.query or (route.methods and "GET" not in route.methods)):
            looping = [again.scheme for again in _led_to(route, route.redirect) if not takers_of(again, earlier)]
            if looping:
                yield Finding(("routes", position, "redirect"), _message(route, looping), at_key=True)
        for host in route.host or [""]:
            earlier.setdefault(host, []).append((position, route))


def _message(route: RouteEntry, looping: Sequence[str]) -> str:
    if len(looping) == 1 and not route.scheme:
        scheme = looping[0]
        return f"this redirect leads to itself for a client that speaks {scheme} already: `scheme: {_OTHER[scheme]}` leaves those out"
    return "this redirect leads to itself: the route takes what it redirects to"


def _led_to(route: RouteEntry, rule: RedirectEntry) -> Iterator[RouteEntry]:
    """By scheme, those requests of ``route`` that are led to it again, as a route."""
    target = _TARGET.fullmatch(rule.to)
    if not target or not (target["scheme"] or target["path"]):
        return
    wanted = (target["scheme"] or "{scheme}").lower()
    hosts = _hosts(route, (target["host"] or "{hostport}").lower())
    path = {"exact": route.exact, "path": route.path}
    if target["path"].lower() != "{path}":
        path = {"exact": normal_path((target["path"] or "/").encode()).decode(), "path": ""}
    for scheme in [route.scheme] if route.scheme else _OTHER:
        again = route.model_copy(update={"scheme": scheme, "host": hosts, "methods": ["GET"], **path})
        if wanted in ("{scheme}", scheme) and hosts is not None and takes_path(route, again):
            yield again


def _hosts(route: RouteEntry, host: str) -> list[str] | None:
    """Those hosts of the route that ``host`` in a target may be; an empty list: any; None: none of them."""
    if host == "{hostport}" or (host == "{host}" and not route.host):
        return list(route.host)
    if host == "{host}":
        return [name for name in route.host if not re.search(r":[0-9]+$", name)] or None
    return [host] if any(name in route.host for name in wider(host)) else None
