"""Which sockets a configuration wants, and which process gets them. Pure: nothing is opened here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from lb.model import Config, ListenerKind
from lb.state.layout import CONTROL_SOCKET

CONTROL = "control"
"""Name under which the controller finds the socket of ``state.dir/control.sock``."""


@dataclass(frozen=True, slots=True)
class Bind:
    """One socket: the listener it belongs to (its ``LISTEN_FDNAMES`` entry) and its address as written."""

    listener: str
    address: str


def data_binds(config: Config) -> tuple[Bind, ...]:
    """The sockets of the data plane, in the order of the configuration."""
    return _of_kinds(config, ("traffic", "status"))


def control_binds(config: Config) -> tuple[Bind, ...]:
    """The sockets of the controller: its own, then the admin listeners'."""
    own = Bind(CONTROL, "unix:" + control_path(config))
    return (own, *_of_kinds(config, ("admin",)))


def control_path(config: Config) -> str:
    return os.path.join(config.state.dir, CONTROL_SOCKET)


def _of_kinds(config: Config, kinds: Iterable[ListenerKind]) -> tuple[Bind, ...]:
    return tuple(
        Bind(listener.id, address)
        for listener in config.listeners
        if listener.kind in kinds
        for address in listener.bind
    )


def split_host_port(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` taken apart. ValueError for anything else."""
    host, separator, port = address.rpartition(":")
    if not separator or not (port.isascii() and port.isdigit()):
        raise ValueError(f"not host:port: {address}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def match_names(names: list[str], wanted: tuple[Bind, ...]) -> list[Bind]:
    """The bind that each inherited socket stands for: by listener id where its name is one, the others
    by bind order. systemd names a socket after its unit unless told otherwise, so both are normal.

    ValueError when there are more sockets than binds."""
    left = list(wanted)
    chosen: list[Bind | None] = []
    for name in names:
        bind = next((bind for bind in left if bind.listener == name), None)
        if bind is not None:
            left.remove(bind)
        chosen.append(bind)
    if len(names) > len(wanted):
        raise ValueError(f"{len(names)} sockets were inherited, the configuration binds {len(wanted)}")
    return [bind if bind is not None else left.pop(0) for bind in chosen]
