"""Sockets that systemd opened for us (``sd_listen_fds(3)``): read once, at our own start."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lb.supervisor.addresses import Bind, match_names
from lb.supervisor.sockets import BindError, Held
from lb.supervisor.spawn import FIRST_FD


def inherited_names(environ: Mapping[str, str]) -> list[str]:
    """One name per inherited socket, empty where systemd gave none; [] when they are not for us."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS", "0"))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return (names + [""] * count)[:count]


def adopt_inherited(held: Held, wanted: tuple[Bind, ...], environ: Mapping[str, str]) -> None:
    """Hold them as the sockets of the binds they stand for. BindError if there are too many."""
    try:
        binds = match_names(inherited_names(environ), wanted)
    except ValueError as problem:
        raise BindError(f"systemd socket activation: {problem}") from problem
    for number, bind in enumerate(binds):
        held.adopt(bind.address, FIRST_FD + number, unlink=False)
