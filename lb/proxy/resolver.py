"""Addresses of backends that are named by host: looked up in the background, never on a request.

The last good answer stays while a name does not resolve. Look-ups run in threads.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gevent
from gevent import monkey
from gevent.pool import Pool
from gevent.threadpool import ThreadPool

from lb.model import Backend
from lb.proxy.member import Member, literal_address

INTERVAL_S = 10.0
RETRY_S = 1.0
AT_ONCE = 32
"""Names asked for at the same time."""
FIRST_ANSWERS_S = 2.0
"""A worker, and a new configuration, waits so long for the names it has not asked for yet; most answer in milliseconds."""
_log = logging.getLogger("lb.resolver")
_getaddrinfo = monkey.get_original("socket", "getaddrinfo")

Addresses = tuple[tuple[int, Any], ...]
Name = tuple[str, int]


class Resolver:
    """Keeps ``Member.addresses`` of one worker true. ``look_up`` is injected in tests.

    Every name is asked for once a round, all at the same time, and each answer is used as soon as it is there: one
    that nobody answers delays no other.
    """

    def __init__(self, members: Callable[[], Iterable[Member]], look_up: Callable[[str, int], Addresses] | None = None):
        self._members = members
        self._look_up = look_up or _Threads()
        self._found: dict[Name, Addresses] = {}
        self._problems: dict[Name, str] = {}

    def run(self) -> None:
        """For a greenlet: forever."""
        while True:
            gevent.sleep(INTERVAL_S if self.resolve_all() else RETRY_S)

    def known(self, backend: Backend) -> Addresses:
        """Of a backend that somebody is about to make a member of: literal, or as last found; empty if never."""
        return literal_address(backend) or self._found.get((backend.host, backend.port), ())

    def resolve_all(self) -> bool:
        """One round over all named members; False if one of them has no address at all."""
        waiting = self._named()
        self._ask(waiting)
        for name in self._found.keys() - waiting.keys():
            del self._found[name]
        return all(member.addresses for members in self._named().values() for member in members)

    def prepare(self, backends: Iterable[Backend]) -> None:
        """Ask for what these need and nobody knows yet. Waits ``FIRST_ANSWERS_S`` at most."""
        new: dict[Name, list[Member]] = {(one.host, one.port): [] for one in backends if not self.known(one)}
        if new:
            gevent.spawn(self._ask, new).join(FIRST_ANSWERS_S)

    def first_round(self) -> None:
        """As ``resolve_all``, but waits no longer than ``FIRST_ANSWERS_S``; what comes later is used later."""
        if self._named():
            gevent.spawn(self.resolve_all).join(FIRST_ANSWERS_S)

    def _named(self) -> dict[Name, list[Member]]:
        named: dict[Name, list[Member]] = {}
        for member in self._members():
            backend = member.backend
            if not literal_address(backend):
                named.setdefault((backend.host, backend.port), []).append(member)
        return named

    def _ask(self, waiting: Mapping[Name, Sequence[Member]]) -> None:
        asking = Pool(AT_ONCE)
        for name, members in waiting.items():
            asking.spawn(self._ask_one, name, members)
        asking.join()

    def _ask_one(self, name: Name, members: Sequence[Member]) -> None:
        try:
            found = self._look_up(*name)
        except OSError as error:
            if self._problems.get(name) != str(error):
                self._problems[name] = str(error)
                _log.warning("name=%s error=%s kept=%d", name[0], error, len(self._found.get(name, ())))
            return
        is_news = self._problems.pop(name, None) is not None or set(found) != set(self._found.get(name, ()))
        self._found[name] = found
        if is_news:
            _log.info("name=%s addresses=%s", name[0], [address[0] for _, address in found])
        for member in members:
            if set(found) != set(member.addresses):
                member.move(found)


class _Threads:
    """Look-ups in threads of their own: the hub's are few, and a name server that is gone holds each for seconds."""

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None

    def __call__(self, host: str, port: int) -> Addresses:
        if self._pool is None:
            self._pool = ThreadPool(AT_ONCE)
        found = self._pool.apply(_found, (host, port))
        if isinstance(found, OSError):
            raise found
        return tuple((int(family), address) for family, _, _, _, address in found)


def _found(host: str, port: int) -> Any:
    """An error is an answer: gevent prints a traceback of whatever is raised in its threads."""
    try:
        return _getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError as error:
        return error
