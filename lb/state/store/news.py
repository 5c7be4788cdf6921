"""What other machines say on the news channel, as it happens: who is interested in which kind is told at once.

News may be lost (the link goes down, a subscriber is slow): whoever listens also looks from time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.monkey import is_module_patched
from redis import RedisError

from lb.state.store.errors import StoreError
from lb.state.store.link import FIRST_RETRY_S, Link

_LISTEN_S = 1.0
_LOOK_S = 0.005
_log = logging.getLogger("lb.store")


class News:
    """``handlers``: by the first word of a message; each gets the other words. A handler must not wait."""

    def __init__(self, link: Link, handlers: dict[str, Callable[[list[str]], None]]) -> None:
        self._link = link
        self._handlers = handlers
        self._greenlet: Any = None
        self._has_junk = False

    def start(self) -> None:
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    def _run(self) -> None:
        while True:
            try:
                with self._link.listener as listener:
                    listener.subscribe(self._link.keys.news)
                    while self._link.is_up:
                        self._listen(listener)
            except (
                StoreError,
                RedisError,
                OSError,
                ValueError,
            ) as error:  # ValueError: redis-py, of a socket that is gone
                _log.debug("news: %s", error)  # the link finds out for itself what is wrong, and says it
            except Exception:  # noqa: BLE001  the outer edge of a loop that has to go on
                _log.exception("news failed, next try in %g s", FIRST_RETRY_S)
            gevent.sleep(FIRST_RETRY_S)

    def _listen(self, listener: Any) -> None:
        """In a process that gevent has not patched, waiting in redis-py would stop every greenlet: then by looking."""
        if is_module_patched("socket"):
            self._hear(listener.get_message(timeout=_LISTEN_S))
            return
        message = listener.get_message(timeout=0)
        self._hear(message)
        gevent.sleep(0 if message else _LOOK_S)

    def _hear(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        kind, *words = str(message["data"]).split(" ")
        handler = self._handlers.get(kind)
        if handler is not None:
            try:
                handler(words)
            except (ValueError, IndexError):
                self._pass_over(str(message["data"]))

    def _pass_over(self, data: str) -> None:
        """Once: whoever sends one such sends more."""
        if not self._has_junk:
            _log.warning("news=%r is not understood; neither may be more of it", data[:100])
        self._has_junk = True
