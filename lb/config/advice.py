"""Warnings: what is valid and probably not what was meant. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lb.config.addresses import as_ip, bind_text
from lb.config.build import listener_kind
from lb.config.geo_checks import geo_advice
from lb.config.problems import Finding
from lb.config.redirect_loops import redirect_loops
from lb.config.schema import Schema
from lb.config.schema_pools import PoolEntry

_REFUSALS = frozenset((401, 403, 404))


def advise(schema: Schema) -> Iterator[Finding]:
    yield from _open_admin(schema)
    yield from redirect_loops(schema)
    yield from _unspoken_schemes(schema)
    if schema.ambiguous_paths == "forward":
        yield from _evadable_refusals(schema)
    for position, network in enumerate(schema.trusted_proxies):
        if network.endswith("/0"):
            message = f"`{network}` believes the forwarded fields of every client"
            yield Finding(("trusted_proxies", position), message)
    yield from _lonely_keys(schema)
    yield from geo_advice(schema)
    used = {route.pool for route in schema.routes or []}
    for id, pool in schema.pools.items():
        if schema.routes and id not in used:
            yield Finding(("pools", id), f"pool `{id}` is not used by any route", at_key=True)
        yield from _ignored_weights(id, pool)
        if not pool.tls.verify:
            yield Finding(("pools", id, "tls", "verify"), f"certificates of pool `{id}` are not verified")


def _ignored_weights(id: str, pool: PoolEntry) -> Iterator[Finding]:
    weighted = next((position for position, backend in enumerate(pool.backends) if backend.weight != 1), None)
    if pool.policy.name == "round_robin" and weighted is not None:
        message = "`round_robin` ignores weights; `weighted_round_robin` honours them"
        yield Finding(("pools", id, "backends", weighted, "weight"), message)


def _unspoken_schemes(schema: Schema) -> Iterator[Finding]:
    """Routes for a scheme that no client comes by. No mistake: another WSGI server may speak TLS before `lb.wsgi`."""
    if schema.trusted_proxies:
        return
    takers = [listener for id, listener in schema.listeners.items() if listener_kind(id) == "traffic"]
    spoken = {"https" if listener.tls else "http" for listener in takers}
    if "traffic" not in schema.listeners:
        spoken.add("http")  # the one that is there without being named
    for position, route in enumerate(schema.routes or []):
        if route.scheme and route.scheme not in spoken:
            why = "no listener has `tls`" if route.scheme == "https" else "every listener has `tls`"
            message = (
                f"no request is `{route.scheme}`: {why}, and no proxy is trusted (`trusted_proxies`) to say what it was"
            )
            yield Finding(("routes", position, "scheme"), message)


def _lonely_keys(schema: Schema) -> Iterator[Finding]:
    for id, pool in schema.pools.items():
        if schema.state.redis and pool.sticky is not None and not any(pool.sticky.key):
            message = "machines that share Redis need the same `key` here: without one, each begins sessions of its own"
            yield Finding(("pools", id, "sticky"), message, at_key=True)


def _evadable_refusals(schema: Schema) -> Iterator[Finding]:
    """Routes that look like access control: another spelling of their path may pass them and mean the same to a backend."""
    for position, route in enumerate(schema.routes or []):
        path = route.exact or route.path
        if route.respond and route.respond.status in _REFUSALS and path:
            message = (
                f"`{path}` is no barrier by itself: backends may read `/x/..%2f{path.lstrip('/')}` as this path too; "
                "`ambiguous_paths: reject` refuses such spellings"
            )
            yield Finding(("routes", position, "respond"), message, at_key=True)


def _open_admin(schema: Schema) -> Iterator[Finding]:
    admin = schema.listeners.get("admin")
    for position, address in enumerate((admin and admin.bind) or []):
        ip = as_ip(address.host)
        is_local = address.unix_path or address.host == "localhost" or (ip and ip.is_loopback)
        if not is_local:
            message = f"the admin listener is bound off loopback ({bind_text(address)}): who reaches it can try tokens"
            yield Finding(("listeners", "admin", "bind", position), message)
