"""Checks across values: what each key cannot know by itself. Pure but for looking at the files it names.

Every check takes the validated file and yields findings in its coordinates. A finding names what it
depends on, so that it is dropped when that is mistaken already (see ``lb.config.load``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lb.config.build import backend_from, backend_id, listener_kind
from lb.config.checks import did_you_mean
from lb.config.custom_policy import custom_mistakes
from lb.config.files import unusable_files
from lb.config.geo_checks import geo_mistakes
from lb.config.loops import clashing_binds, self_backends
from lb.config.names import KNOWN_METHODS, RESERVED_POOLS
from lb.config.policy_options import policy_mistakes
from lb.config.problems import Finding, Path
from lb.config.reach import unreachable_routes
from lb.config.schema import Schema
from lb.config.schema_listeners import DEFAULT_BINDS, ListenerEntry
from lb.config.schema_pools import HealthEntry, PoolEntry
from lb.config.schema_routes import RouteEntry
from lb.config.sticky import sticky_mistakes
from lb.config.url_paths import find_ambiguity
from lb.model import CUSTOM, Backend

LineOf = Callable[[Path], int]
IsUnclear = Callable[[Path], bool]

_ACTIONS = ("pool", "respond", "redirect", "action")
_POOL_ONLY = ("policy", "algo_override")
_PROBES_OWN = ("host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer")
_WORKER_ONLY = ("tls", "proxy_protocol", "timeouts", "body_limit", "max_connections_per_client")


def inconsistencies(schema: Schema, base: str, line_of: LineOf, is_unclear: IsUnclear) -> Iterator[Finding]:
    """Everything that does not fit together. ``base``: the directory that paths are relative to;
    ``is_unclear``: of a route's path, whether it is known that its conditions are mistaken."""
    for listener_id, listener in schema.listeners.items():
        yield from _listener(listener_id, listener)
    for pool_id, pool in schema.pools.items():
        yield from _pool(pool_id, pool, line_of)
        if pool.health.scope == "cluster" and not schema.state.redis:
            text = "`scope: cluster` needs a store that the machines share: add `state: {redis: redis://HOST:6379}`"
            yield Finding(("pools", pool_id, "health", "scope"), text, depends_on=(("state", "redis"),))
    yield from policy_mistakes(schema)
    for pool_id, pool in schema.pools.items():
        members = [backend_from(backend) for backend in pool.backends] or [Backend("none")]
        yield from custom_mistakes(pool.policy, ("pools", pool_id, "policy"), base, members)
    yield from geo_mistakes(schema)
    yield from _routes(schema, line_of)
    yield from clashing_binds(schema, line_of)
    yield from self_backends(schema)
    yield from unreachable_routes(schema, line_of, is_unclear)
    yield from unusable_files(schema, base)


def _listener(id: str, entry: ListenerEntry) -> Iterator[Finding]:
    path: Path = ("listeners", id)
    if not entry.bind and (entry.bind is not None or id not in DEFAULT_BINDS):
        yield Finding(path, f"listener `{id}` has no `bind`", at_key=True, depends_on=((*path, "bind"),))
    if entry.token and listener_kind(id) != "admin":
        yield Finding((*path, "token"), "only the listener `admin` has a token", at_key=True)
    if listener_kind(id) == "admin":
        for key in entry.model_fields_set.intersection(_WORKER_ONLY):
            message = f"`{key}` is not available on the listener `admin` in this version"
            yield Finding((*path, key), message, at_key=True)


def _pool(id: str, entry: PoolEntry, line_of: LineOf) -> Iterator[Finding]:
    path: Path = ("pools", id)
    if id in RESERVED_POOLS:
        yield Finding(path, f"pool `{id}` is built in: choose another name", at_key=True)
    if not entry.backends:
        yield Finding(path, f"pool `{id}` has no backends", at_key=True, depends_on=((*path, "backends"),))
    yield from _twice([backend_id(backend) for backend in entry.backends], (*path, "backends"), "backend", line_of)
    yield from _probe(entry.health, (*path, "health"))
    if entry.sticky is not None:
        yield from sticky_mistakes(entry.sticky, (*path, "sticky"))
    for position, backend in enumerate(entry.backends):
        if backend.backup and "priority" in backend.model_fields_set:
            here: Path = (*path, "backends", position, "priority")
            yield Finding(here, "`backup` is the level after all others: leave `priority` or `backup` out", at_key=True)


def _twice(ids: list[str], path: Path, noun: str, line_of: LineOf) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for position, id in enumerate(ids):
        here = (*path, position)
        if id in first:
            yield Finding(here, f"duplicate {noun} `{id}`, first on line {line_of(first[id])}", depends_on=(first[id],))
        first.setdefault(id, here)


def _probe(entry: HealthEntry, path: Path) -> Iterator[Finding]:
    if entry.type in ("http", "https"):
        for name in entry.headers:
            if name.lower() in _PROBES_OWN:
                text = f"`{name}` is the probe's own" + (": use `host`" if name.lower() == "host" else "")
                yield Finding((*path, "headers", name), text, at_key=True)
        return
    for key in ("path", "host", "status", "headers", "body"):
        if key in entry.model_fields_set:
            message = f"`{key}` counts for HTTP probes only, and this one is `{entry.type}`: add `type: http`"
            yield Finding((*path, key), message, at_key=True, depends_on=((*path, "type"),))


def _routes(schema: Schema, line_of: LineOf) -> Iterator[Finding]:
    if not schema.routes:
        yield from _without_routes(schema)
        return
    for position, route in enumerate(schema.routes):
        yield from _route(schema, route, ("routes", position))
    named = [(position, route.id) for position, route in enumerate(schema.routes) if route.id]
    first: dict[str, Path] = {}
    for position, id in named:
        here: Path = ("routes", position, "id")
        if id in first:
            yield Finding(here, f"duplicate route `{id}`, first on line {line_of(first[id])}")
        first.setdefault(id, here)


def _without_routes(schema: Schema) -> Iterator[Finding]:
    if schema.routes is not None:
        message = "`routes` is empty: leave it out to send everything to the only pool"
        yield Finding(("routes",), message, at_key=True, depends_on=(("routes",),))
    elif not schema.pools:
        yield Finding((), "there is nothing to do: `pools` is missing", depends_on=(("pools",),))
    elif len(schema.pools) > 1:
        names = ", ".join(schema.pools)
        message = f"several pools ({names}) and no `routes` that say which request goes where"
        yield Finding(("pools",), message, at_key=True, depends_on=(("routes",),))


def _route(schema: Schema, route: RouteEntry, path: Path) -> Iterator[Finding]:
    given = [name for name in _ACTIONS if getattr(route, name) is not None]
    if len(given) != 1:
        found = " and ".join(f"`{name}`" for name in given) if given else "none"
        message = f"a route needs exactly one of {', '.join(_ACTIONS)}; this one has {found}"
        yield Finding(path, message, depends_on=(path,))
    if route.path and route.exact:
        yield Finding((*path, "exact"), "`path` and `exact` exclude each other", at_key=True)
    if route.pool is not None and route.pool not in schema.pools:
        yield _unknown_pool(schema, route.pool, (*path, "pool"))
    elif route.pool is not None and route.policy == CUSTOM and schema.pools[route.pool].policy.class_ is None:
        message = f"the policy `custom` needs a `class` in the `policy` of the pool `{route.pool}`"
        yield Finding((*path, "policy"), message, depends_on=(("pools", route.pool),))
    if given and given != ["pool"]:
        for key in route.model_fields_set.intersection(_POOL_ONLY):
            yield Finding((*path, key), f"`{key}` counts for routes to a pool only", at_key=True)
    if route.respond and route.respond.body and route.respond.status in (204, 205, 304):
        yield Finding((*path, "respond"), f"an answer with status {route.respond.status} has no body")
    if not schema.unknown_methods:
        yield from _unknown_methods(route, path)
    if schema.ambiguous_paths == "reject" and (ambiguity := find_ambiguity((route.exact or route.path).encode())):
        yield _refused_path(ambiguity[0].decode(), (*path, "exact" if route.exact else "path"))


def _unknown_pool(schema: Schema, name: str, path: Path) -> Finding:
    near = did_you_mean(name, schema.pools)
    known = f": there are {', '.join(schema.pools)}" if schema.pools else ""
    return Finding(path, f"unknown pool `{name}`{near or known}", depends_on=(("pools", name),))


def _refused_path(ambiguity: str, path: Path) -> Finding:
    message = f"can never match: `ambiguous_paths: reject` answers 400 to every path with `{ambiguity}`"
    return Finding(path, message, depends_on=(("ambiguous_paths",),))


def _unknown_methods(route: RouteEntry, path: Path) -> Iterator[Finding]:
    for position, method in enumerate(route.methods):
        if method not in KNOWN_METHODS:
            hint = did_you_mean(method, KNOWN_METHODS) or "; `unknown_methods: true` would pass it on"
            message = f"method `{method}` can never match, it is answered 501{hint}"
            yield Finding((*path, "methods", position), message, depends_on=(("unknown_methods",),))
