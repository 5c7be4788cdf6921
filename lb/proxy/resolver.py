"""Addresses of backends that are named by host: looked up in the background, never on a request.

The last good answer stays while a name does not resolve. Look-ups run in the hub's thread pool.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent import monkey

from lb.proxy.member import Member, literal_address

INTERVAL_S = 10.0
RETRY_S = 1.0
_log = logging.getLogger("lb.resolver")
_getaddrinfo = monkey.get_original("socket", "getaddrinfo")

Addresses = tuple[tuple[int, Any], ...]


class Resolver:
    """Keeps ``Member.addresses`` of one worker true. ``look_up`` is injected in tests."""

    def __init__(self, members: Callable[[], Iterable[Member]], look_up: Callable[[str, int], Addresses] | None = None):
        self._members = members
        self._look_up = look_up or _look_up_in_thread

    def run(self) -> None:
        """For a greenlet: forever."""
        while True:
            gevent.sleep(INTERVAL_S if self.resolve_all() else RETRY_S)

    def resolve_all(self) -> bool:
        """One round over all named members; False if one of them has no address at all."""
        complete = True
        for member in list(self._members()):
            if literal_address(member.backend):
                continue
            try:
                found = self._look_up(member.backend.host, member.backend.port)
            except OSError as error:
                _log.warning("name=%s error=%s kept=%d", member.backend.host, error, len(member.addresses))
                complete = complete and bool(member.addresses)
                continue
            if set(found) != set(member.addresses):
                _log.info("name=%s addresses=%s", member.backend.host, [address[0] for _, address in found])
                member.move(found)
        return complete


def _look_up_in_thread(host: str, port: int) -> Addresses:
    found = gevent.get_hub().threadpool.apply(_found, (host, port))
    if isinstance(found, OSError):
        raise found
    return tuple((int(family), address) for family, _, _, _, address in found)


def _found(host: str, port: int) -> Any:
    """An error is an answer: gevent prints a traceback of whatever is raised in its threads."""
    try:
        return _getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError as error:
        return error
