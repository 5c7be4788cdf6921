"""The controller's link to the store: up or down, and who is told.

While it is down no loop asks; one greenlet tries, first after a tenth of a second, then ever more rarely up to
once a second, at random in that time, so that many machines do not all come back in the same moment. Nothing here
is ever awaited by a request.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from redis import RedisError, ResponseError
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    DataError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)

from lb.config.store_url import StoreAddress
from lb.state.store.client import connect
from lb.state.store.keys import SCHEMA, Keys

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.0
"""Half of it on average, and what was lost is told again at once: well under the 5 s in which a store that is back is in use again."""
T = TypeVar("T")
_log = logging.getLogger("lb.store")

_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "refuses our user or password"),
    (AuthorizationError, "refuses our user or password"),
    (NoPermissionError, "does not let our user do this"),
    (OutOfMemoryError, "is full (maxmemory)"),
    (ReadOnlyError, "is a read-only replica"),
    (BusyLoadingError, "is still loading its data"),
    (ClusterDownError, "is a cluster that is down"),
    (MaxConnectionsError, "cannot be asked: too many calls are under way"),
    (TimeoutError, "does not answer in time"),
    (ConnectionError, "cannot be reached"),
)
"""First match wins. Each of them takes the link down: what fails for one call fails for all."""


class StoreError(Exception):
    """A call came to nothing. The text says why, for people, and holds no password."""


class StoreDown(StoreError):
    """The link is down, or went down with this call."""


class Link:
    """One per controller and address. ``on_up``, in their order, are called whenever it comes up, in a greenlet."""

    def __init__(self, address: StoreAddress, keys: Keys, name: str) -> None:
        self.address = address
        self.keys = keys
        self.name = name
        self.is_up = False
        self.problem = "has not been reached yet"
        """What is wrong, behind "the store ADDRESS"; empty while it is up."""
        self.on_up: list[Callable[[], None]] = []
        self._client: Any = None
        self._delay_s = FIRST_RETRY_S
        self._greenlet: Any = None

    def __repr__(self) -> str:
        return f"<Link {self.address} {'up' if self.is_up else self.problem}>"

    def start(self) -> None:
        """Begin to try. A second call changes nothing."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()
        self.is_up = False
        self._close()

    def call(self, step: Callable[[Any], T]) -> T:
        """What ``step`` returns of the client it is given. StoreDown at once while the link is down; StoreError for
        an answer that concerns this call only (a key of another type, say)."""
        if not self.is_up:
            raise StoreDown(f"the store {self.address} {self.problem}")
        return self._asked(step)

    def _asked(self, step: Callable[[Any], T]) -> T:
        client = self._client
        try:
            return step(client)
        except (RedisError, OSError) as error:
            if client is not self._client:  # closed under us: what was wrong with it has been said
                raise StoreDown(f"the store {self.address} went away") from error
            text = self._text(error)
            if self.is_about_one_call(error):
                raise StoreError(text) from error
            self._down(text)
            raise StoreDown(f"the store {self.address} {text}") from error

    @staticmethod
    def is_about_one_call(error: Exception) -> bool:
        """Not of the store as a whole."""
        is_known = isinstance(error, tuple(kind for kind, _ in _MEANINGS))
        return isinstance(error, (ResponseError, DataError, NoScriptError)) and not is_known

    def _text(self, error: Exception) -> str:
        found = next((text for kind, text in _MEANINGS if isinstance(error, kind)), "")
        said = _shown(error, self.address.password, self.address.sentinel_password)
        return f"{found} ({said})" if found else said

    def _down(self, text: str) -> None:
        if self.is_up or self.problem != text:
            _log.warning("store=%s state=down reason=%s", self.address, text)
        self.is_up, self.problem = False, text

    def _run(self) -> None:
        while True:
            if not self.is_up:
                self._try()
            gevent.sleep(self._delay_s * (0.5 + random.random() / 2) if not self.is_up else FIRST_RETRY_S)

    def _try(self) -> None:
        try:
            # The client before is let go of, not closed: others may be in a call on it, which its time-out ends.
            self._client = connect(self.address, self.name)
            self._check_schema(self._client.set(self.keys.schema, SCHEMA, nx=True, get=True))
        except (RedisError, OSError, ValueError) as error:
            self._down(self._text(error))
            self._delay_s = min(2 * self._delay_s, LAST_RETRY_S)
            return
        self._delay_s = FIRST_RETRY_S
        self.is_up, self.problem = True, ""
        _log.info("store=%s state=up", self.address)
        for told in self.on_up:
            told()

    def _check_schema(self, found: str | None) -> None:
        if found is not None and (not found.isdigit() or int(found) > SCHEMA):
            raise ValueError(f"has keys of version {found}, this program knows {SCHEMA}: update this machine")

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def listener(self) -> Any:
        """A subscription of its own connection. StoreDown while the link is down."""
        return self.call(lambda client: client.pubsub(ignore_subscribe_messages=True))


def _shown(error: Exception, *secrets: str) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
