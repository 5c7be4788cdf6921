"""What changed between two configurations, and what of it a new snapshot cannot bring about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lb.model import Config, Listener


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids, sorted. Backends are ``POOL/ID``; those of an added or removed pool are listed too."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Diff:
    restart: tuple[str, ...]
    """Reasons for which workers must be started anew, as sentences; empty: the snapshot is enough."""
    listeners: Changes
    pools: Changes
    backends: Changes
    routes: Changes
    is_reordered: bool
    """Whether routes that both have come in another order: the first match may be another one."""

    def __str__(self) -> str:
        """One line for the log."""
        parts = [
            f"{noun}: {_counted(changes)}"
            for noun, changes in (
                ("listeners", self.listeners),
                ("pools", self.pools),
                ("backends", self.backends),
                ("routes", self.routes),
            )
            if changes
        ]
        parts += ["routes in another order"] if self.is_reordered else []
        return "; ".join(parts) or "no change in listeners, pools, backends and routes"


def diff(old: Config, new: Config) -> Diff:
    """From ``old`` to ``new``."""
    return Diff(
        restart=tuple(_restart_reasons(old, new)),
        listeners=_changes(_by_id(old.listeners), _by_id(new.listeners)),
        pools=_changes(_by_id(old.pools), _by_id(new.pools)),
        backends=_changes(_backends(old), _backends(new)),
        routes=_changes(_by_id(old.routes), _by_id(new.routes)),
        is_reordered=_shared_order(old, new) != _shared_order(new, old),
    )


def _restart_reasons(old: Config, new: Config) -> Iterable[str]:
    if old.workers != new.workers:
        yield f"workers: {old.workers} -> {new.workers}"
    if old.state.dir != new.state.dir:
        yield f"state.dir: {old.state.dir} -> {new.state.dir}"
    before, after = _by_id(old.listeners), _by_id(new.listeners)
    for id in sorted(before.keys() | after.keys()):
        yield from _listener_reasons(id, before.get(id), after.get(id))


def _listener_reasons(id: str, old: Listener | None, new: Listener | None) -> Iterable[str]:
    if old is None or new is None:
        yield f"listener {id} {'added' if old is None else 'removed'}"
        return
    if old.bind != new.bind:
        yield f"listener {id}: bind {', '.join(old.bind)} -> {', '.join(new.bind)}"
    if old.certificates != new.certificates:
        yield f"listener {id}: tls changed"
    if old.proxy_protocol != new.proxy_protocol:
        yield f"listener {id}: proxy_protocol {'on' if new.proxy_protocol else 'off'}"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(id for id in old.keys() & new.keys() if old[id] != new[id])),
    )


def _by_id(items: Iterable[Any]) -> dict[str, Any]:
    return {item.id: item for item in items}


def _backends(config: Config) -> dict[str, Any]:
    return {f"{pool.id}/{backend.id}": backend for pool in config.pools for backend in pool.backends}


def _shared_order(one: Config, other: Config) -> list[str]:
    """Ids of the routes that both have, in the order of ``one``."""
    both = {route.id for route in other.routes}
    return [route.id for route in one.routes if route.id in both]


def _counted(changes: Changes) -> str:
    words = (("added", changes.added), ("removed", changes.removed), ("changed", changes.changed))
    return ", ".join(f"{len(ids)} {word} ({_few(ids)})" for word, ids in words if ids)


def _few(ids: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(ids[:most]) + (", ..." if len(ids) > most else "")
