"""Warnings: what is valid and probably not what was meant. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lb.config.addresses import as_ip, bind_text
from lb.config.problems import Finding
from lb.config.schema import Schema


def advise(schema: Schema) -> Iterator[Finding]:
    yield from _open_admin(schema)
    for position, network in enumerate(schema.trusted_proxies):
        if network.endswith("/0"):
            message = f"`{network}` believes the forwarded fields of every client"
            yield Finding(("trusted_proxies", position), message)
    used = {route.pool for route in schema.routes or []}
    for id, pool in schema.pools.items():
        if schema.routes and id not in used:
            yield Finding(("pools", id), f"pool `{id}` is not used by any route", at_key=True)
        if not pool.tls.verify:
            yield Finding(("pools", id, "tls", "verify"), f"certificates of pool `{id}` are not verified")


def _open_admin(schema: Schema) -> Iterator[Finding]:
    admin = schema.listeners.get("admin")
    for position, address in enumerate((admin and admin.bind) or []):
        ip = as_ip(address.host)
        is_local = address.unix_path or address.host == "localhost" or (ip and ip.is_loopback)
        if not is_local:
            message = f"the admin listener is bound off loopback ({bind_text(address)}): who reaches it can try tokens"
            yield Finding(("listeners", "admin", "bind", position), message)
