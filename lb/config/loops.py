"""Addresses that collide: two binds that cannot both be had, and backends that are ourselves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from lb.config.addresses import WILDCARDS, Address, as_ip, bind_address, bind_text, numeric, reaches
from lb.config.build import listener_binds, listener_entries
from lb.config.membership import own_listener
from lb.config.problems import Finding, Path
from lb.config.schema import Schema


class _Bound(NamedTuple):
    listener: str
    path: Path
    address: Address
    is_default: bool


def clashing_binds(schema: Schema, line_of: Callable[[Path], int]) -> Iterator[Finding]:
    """Binds of which the kernel would refuse the second one."""
    seen: list[_Bound] = []
    for bound in sorted(_bounds(schema), key=lambda bound: not bound.is_default):
        other = next((other for other in seen if _overlap(other.address, bound.address)), None)
        if other:
            where = "by default" if other.is_default else f"on line {line_of(other.path)}"
            what = f"listener `{other.listener}` binds {bind_text(other.address)} {where}"
            yield Finding(bound.path, f"`{bind_text(bound.address)}` is taken: {what}", depends_on=(other.path,))
        seen.append(bound)


def self_backends(schema: Schema) -> Iterator[Finding]:
    """Backends that are one of our own listeners: a request to one would go in circles."""
    bounds = _bounds(schema)
    for pool_id, pool in schema.pools.items():
        for position, backend in enumerate(pool.backends):
            own = next((bound for bound in bounds if reaches(backend.url, bound.address)), None)
            if own:
                path: Path = ("pools", pool_id, "backends", position, "url")
                yield Finding(path, own_listener(backend.url, own.listener), depends_on=(own.path,))


def _bounds(schema: Schema) -> list[_Bound]:
    found = []
    for id, entry in listener_entries(schema).items():
        is_default = entry.bind is None
        for position, text in enumerate(listener_binds(id, entry)):
            path: Path = ("listeners", id, "bind") if is_default else ("listeners", id, "bind", position)
            found.append(_Bound(id, path, bind_address(text), is_default))
    return found


def _overlap(one: Address, other: Address) -> bool:
    if one.unix_path or other.unix_path:
        return one.unix_path == other.unix_path
    if one.port != other.port or not one.port:
        return False
    hosts = (numeric(one.host), numeric(other.host))
    return hosts[0] == hosts[1] or any(
        host in WILDCARDS and _version(rest) == WILDCARDS[host] for host, rest in (hosts, hosts[::-1])
    )


def _version(host: str) -> int:
    address = as_ip(host)
    return address.version if address else 0
