"""Which listener a socket belongs to: by ``LISTEN_FDNAMES``, else by the order of binds; never by address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lb.model import Config, Listener


def data_listeners(config: Config) -> list[Listener]:
    """Those that workers serve; the admin listener is the controller's."""
    return [listener for listener in config.listeners if listener.kind != "admin"]


def listener_of_each(config: Config, sockets: Sequence[Any], environ: Mapping[str, str]) -> list[Listener]:
    """One listener per socket. ValueError if they cannot be told apart."""
    listeners = data_listeners(config)
    by_id = {listener.id: listener for listener in listeners}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if len(names) == len(sockets) and all(name in by_id for name in names):
        return [by_id[name] for name in names]
    in_order = [listener for listener in listeners for _ in listener.bind]
    if len(in_order) < len(sockets):
        raise ValueError(f"{len(sockets)} sockets for {len(in_order)} binds of {', '.join(by_id)}")
    return in_order[: len(sockets)]
