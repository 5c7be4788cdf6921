"""Addresses of backends that are named by host, for the controller's probes and load polls.

A name that was found once is always answered at once, and looked up again behind the caller's back:
while a name server is away, a living backend is not declared dead. Workers do the same for requests.
"""

from __future__ import annotations

import logging
import socket as names
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket

from lb.config.addresses import backends_only

FRESH_S = 1.0
"""Younger answers are not asked for again."""
_log = logging.getLogger("lb.health")

Addresses = tuple[tuple[int, Any], ...]
"""Family and socket address, in the order to try them."""
LookUp = Callable[[str, int], Addresses]


def look_up_now(host: str, port: int) -> Addresses:
    """Ask the system; blocks the calling greenlet for as long as the resolver takes."""
    found = socket.getaddrinfo(host, port, 0, names.SOCK_STREAM)
    return tuple((int(family), address) for family, _, _, _, address in found)


def literal(host: str, port: int) -> Addresses:
    """The address of a host that needs no look-up, or nothing."""
    for family in (names.AF_INET, names.AF_INET6):
        try:
            names.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return ((int(family), (host, port)),)
    return ()


class AddressBook:
    """One per controller. Names stay in it for good: there are no more than configurations have named."""

    def __init__(self, look_up: LookUp = look_up_now) -> None:
        self._look_up = look_up
        self._names: dict[tuple[str, int], _Name] = {}

    def addresses(self, host: str, port: int) -> Addresses:
        """The last good ones. Blocks only for a name that never resolved; OSError or ValueError if it
        does not now either."""
        return literal(host, port) or self._name(host, port).addresses()

    def _name(self, host: str, port: int) -> _Name:
        key = host, port
        if key not in self._names:
            self._names[key] = _Name(host, port, self._look_up)
        return self._names[key]


class _Name:
    """At most one look-up of it is under way: a resolver that hangs ties up one thread, not one per probe."""

    def __init__(self, host: str, port: int, look_up: LookUp) -> None:
        self._host, self._port = host, port
        self._ask = look_up
        self._found: Addresses = ()
        self._error: OSError | ValueError | None = None
        self._asked_at = float("-inf")
        self._looking: Any = None

    def addresses(self) -> Addresses:
        looking = self._refresh()
        if not self._found and looking is not None:
            looking.join()  # goes on if the caller's time limit strikes: the next probe may find its answer
        if not self._found:
            raise self._error or OSError("look-up ended without an answer")
        return self._found

    def _refresh(self) -> Any:
        """The look-up under way, begun now if what we know is old; else None."""
        is_fresh = bool(self._found) and time.monotonic() - self._asked_at < FRESH_S
        if not self._looking and not is_fresh:
            self._looking = gevent.spawn(self._look)
        return self._looking

    def _look(self) -> None:
        try:
            self._learn(backends_only(self._ask(self._host, self._port)))
        except (OSError, ValueError) as error:  # ValueError: no name at all
            self._keep(error)
        finally:
            self._asked_at, self._looking = time.monotonic(), None

    def _learn(self, found: Addresses) -> None:
        if self._found and self._error is not None:
            _log.info("name=%s resolved=yes", self._host)
        self._found, self._error = found, None

    def _keep(self, error: OSError | ValueError) -> None:
        """One line per change; a name that never resolved is in the reason of its verdict."""
        if self._found and self._error is None:
            _log.warning("name=%s resolved=no kept=%d error=%s", self._host, len(self._found), error)
        self._error = error
