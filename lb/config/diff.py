"""What of a new configuration a snapshot alone cannot bring about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lb.model import Config, Listener


def restart_reasons(old: Config, new: Config) -> Iterator[str]:
    """Why workers must be started anew for ``new``, as sentences; none: the snapshot is enough."""
    if old.workers != new.workers:
        yield f"workers: {old.workers} -> {new.workers}"
    if old.state.dir != new.state.dir:
        yield f"state.dir: {old.state.dir} -> {new.state.dir}"
    before, after = _by_id(old.listeners), _by_id(new.listeners)
    for id in sorted(before.keys() | after.keys()):
        yield from _listener_reasons(id, before.get(id), after.get(id))


def _listener_reasons(id: str, old: Listener | None, new: Listener | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"listener {id} {'added' if old is None else 'removed'}"
        return
    if old.bind != new.bind:
        yield f"listener {id}: bind {', '.join(old.bind)} -> {', '.join(new.bind)}"
    if old.certificates != new.certificates:
        yield f"listener {id}: tls changed"
    if old.proxy_protocol != new.proxy_protocol:
        yield f"listener {id}: proxy_protocol {'on' if new.proxy_protocol else 'off'}"


def _by_id(listeners: Iterable[Listener]) -> dict[str, Listener]:
    return {listener.id: listener for listener in listeners}
