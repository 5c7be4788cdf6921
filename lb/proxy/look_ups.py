"""Look-ups under way: so many at a time that none waits for one that nobody answers, and no more.

A look-up cannot be called off: the system's resolver holds its thread for 5 s and more when a name server is gone.
One that takes long gives its turn to the next, and its name, while that is so, gets threads only beside the others.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Set
from time import monotonic
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.threadpool import ThreadPool

from lb.config.addresses import backends_only

AT_ONCE = 32
"""Look-ups that are not slow yet; and as many of names known to be slow."""
THREADS = 4 * AT_ONCE
"""The other half is for names of which nobody knew that they are slow: only more than those delay others, once."""
SLOW_S = 0.25
"""A name server that lives answers within: most take under 50 ms."""
IDLE_THREAD_S = 30
_getaddrinfo = monkey.get_original("socket", "getaddrinfo")

Addresses = tuple[tuple[int, Any], ...]
Name = tuple[str, int]
LookUp = Callable[[str, int], Addresses]


class LookUps:
    """At most one of each name. ``learn`` and ``keep`` are told how each ended."""

    def __init__(
        self,
        learn: Callable[[Name, Addresses], None],
        keep: Callable[[Name, Exception], None],
        look_up: LookUp | None = None,
    ) -> None:
        self._learn = learn
        self._keep = keep
        self._look_up = look_up or _Threads()
        self._running: set[Name] = set()
        self._prompt: dict[Name, float] = {}
        """Those of ``_running`` that are not slow, and when each began: the oldest is first."""
        self._waiting: dict[Name, None] = {}
        self._waiting_slow: dict[Name, None] = {}
        self._slow: set[Name] = set()
        """Names of which the last look-up took long."""
        self._alarm: Any = None
        self._ended = Event()

    def ask(self, names: Iterable[Name]) -> None:
        """Each of them in its turn, unless it is asked for already."""
        for name in names:
            if not self._is_asked(name):
                (self._waiting_slow if name in self._slow else self._waiting)[name] = None
        self._begin_next()

    def wait(self, names: Iterable[Name], timeout_s: float) -> None:
        """Until all of them have ended."""
        until = monotonic() + timeout_s
        for name in tuple(names):
            while self._is_asked(name) and (left_s := until - monotonic()) > 0:
                self._ended.clear()
                self._ended.wait(left_s)

    def forget(self, kept: Set[Name]) -> None:
        """All names but these."""
        self._slow &= kept

    def _is_asked(self, name: Name) -> bool:
        return name in self._running or name in self._waiting or name in self._waiting_slow

    def _begin_next(self) -> None:
        left_s = self._drop_slow()
        while self._waiting and len(self._prompt) < AT_ONCE and len(self._running) < THREADS:
            name = _take_first(self._waiting)
            self._prompt[name] = monotonic()
            self._begin(name)
        while self._waiting_slow and len(self._running) - len(self._prompt) < AT_ONCE:
            self._begin(_take_first(self._waiting_slow))
        if self._waiting and self._alarm is None:
            self._alarm = gevent.spawn_later(left_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._begin_next()

    def _drop_slow(self) -> float:
        """Ends the turn of those that have had it for long; for how long the oldest of the others still has it."""
        now = monotonic()
        while self._prompt:
            name, began_at = next(iter(self._prompt.items()))
            if now - began_at < SLOW_S:
                return began_at + SLOW_S - now
            del self._prompt[name]
            self._slow.add(name)
        return SLOW_S

    def _begin(self, name: Name) -> None:
        self._running.add(name)
        gevent.spawn(self._run, name, monotonic())

    def _run(self, name: Name, began_at: float) -> None:
        try:
            found = backends_only(self._look_up(*name))
        except (OSError, ValueError) as error:  # ValueError: no name at all
            self._keep(name, error)
        else:
            self._learn(name, found)
        finally:
            self._end(name, began_at)

    def _end(self, name: Name, began_at: float) -> None:
        self._running.remove(name)
        self._prompt.pop(name, None)
        if monotonic() - began_at < SLOW_S:
            self._slow.discard(name)
        else:
            self._slow.add(name)
        self._ended.set()
        self._begin_next()


def _take_first(waiting: dict[Name, None]) -> Name:
    name = next(iter(waiting))
    del waiting[name]
    return name


class _Threads:
    """Of their own, made when needed: the hub's are few, and others need them."""

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None

    def __call__(self, host: str, port: int) -> Addresses:
        if self._pool is None:
            self._pool = ThreadPool(THREADS, idle_task_timeout=IDLE_THREAD_S)
        found = self._pool.apply(_found, (host, port))
        if isinstance(found, Exception):
            raise found
        return tuple((int(family), address) for family, _, _, _, address in found)


def _found(host: str, port: int) -> Any:
    """An error is an answer: gevent prints a traceback of whatever is raised in its threads."""
    try:
        return _getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        return error
