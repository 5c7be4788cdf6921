"""The controller's link to the store: up or down, and who is told.

While it is down no loop asks; one greenlet tries, first after a tenth of a second, then ever more rarely up to
once a second, at random in that time, so that many machines do not all come back in the same moment. Nothing here
is ever awaited by a request.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from gevent.event import Event
from redis import RedisError, ResponseError
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    DataError,
    MasterDownError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    TimeoutError,
)

from lb.config.store_url import StoreAddress
from lb.state import standing
from lb.state.store.client import connect
from lb.state.store.errors import StoreDown, StoreError
from lb.state.store.keys import SCHEMA, Keys

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.0
"""Half of it on average, and what was lost is told again at once: well under the 5 s in which a store that is back is in use again."""
CHECK_S = 1.0
"""Keys may be lost, or of a newer program, while the link is up."""
T = TypeVar("T")
_log = logging.getLogger("lb.store")

_MEANINGS: tuple[tuple[type[Exception], int], ...] = (
    (AuthenticationError, standing.LOGIN),
    (AuthorizationError, standing.LOGIN),
    (NoPermissionError, standing.RIGHTS),
    (OutOfMemoryError, standing.FULL),
    (ReadOnlyError, standing.READ_ONLY),
    (BusyLoadingError, standing.LOADING),
    (ClusterDownError, standing.CLUSTER),
    (MaxConnectionsError, standing.BUSY),
    (TimeoutError, standing.SILENT),
    (ConnectionError, standing.GONE),
    (RedisClusterException, standing.GONE),
    (OSError, standing.GONE),
)
"""First match wins. Each of them takes the link down: what fails for one call fails for all."""
_WORDS = (("CERTIFICATE_VERIFY_FAILED", standing.TRUST), ("max number of clients", standing.CLIENTS))
"""What has no class of its own."""
_OF_ALL = ("MISCONF ", "NOREPLICAS ", "BUSY ")
"""Answers that concern the store as a whole as well."""
_FAILURES = (RedisError, RedisClusterException, OSError)


class _OtherKeys(Exception):
    """The keys are not of a version that we know."""


class Link:
    """One per controller and address. ``on_up``, in their order, are called whenever it comes up, in a greenlet."""

    def __init__(self, address: StoreAddress, keys: Keys, name: str) -> None:
        self.address = address
        self.keys = keys
        self.name = name
        self.is_up = False
        self.problem = "has not been reached yet"
        """What is wrong, behind "the store ADDRESS"; empty while it is up."""
        self.reason = standing.UNREACHED
        """The same in short, a number of ``lb.state.standing``; of the last time while it is up."""
        self.on_up: list[Callable[[], None]] = []
        self._client: Any = None
        self._delay_s = FIRST_RETRY_S
        self._checked_at = float("-inf")
        self._greenlet: Any = None
        self._has_tried = Event()

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

    def wait_for_first_try(self, seconds: float) -> None:
        """At most so long, until it is up for the first time or known not to be. Later it returns at once."""
        self._has_tried.wait(seconds)

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
        except _FAILURES as error:
            if client is not self._client:  # closed under us: what was wrong with it has been said
                raise StoreDown(f"the store {self.address} went away") from error
            if self.is_about_one_call(error):
                raise StoreError(self._text(error)) from error
            self._down(error)
            raise StoreDown(f"the store {self.address} {self.problem}") from error

    @staticmethod
    def is_about_one_call(error: Exception) -> bool:
        """Not of the store as a whole."""
        is_known = isinstance(error, (MasterDownError, *(kind for kind, _ in _MEANINGS)))
        is_of_all = is_known or str(error).startswith(_OF_ALL)
        return isinstance(error, (ResponseError, DataError, NoScriptError)) and not is_of_all

    def _text(self, error: Exception) -> str:
        reason, said = _reason(error), _shown(error, self.address.password, self.address.sentinel_password)
        return f"{standing.REASONS[reason]} ({said})" if reason != standing.OTHER else said

    def _down(self, error: Exception) -> None:
        text = self._text(error)
        if self.is_up or self.problem != text:
            _log.warning("store=%s state=down reason=%s", self.address, text)
        self.is_up, self.problem, self.reason = False, text, _reason(error)

    def _run(self) -> None:
        while True:
            try:
                if not self.is_up:
                    self._try()
                elif time.monotonic() - self._checked_at > CHECK_S:
                    self._check_again()
            except Exception as error:  # noqa: BLE001  the outer edge of a loop that has to go on
                _log.exception("store=%s the attempt failed", self.address)
                self._failed(error)
            gevent.sleep(self._delay_s * (0.5 + random.random() / 2) if not self.is_up else FIRST_RETRY_S)

    def _try(self) -> None:
        try:
            self._try_once()
        finally:
            self._has_tried.set()

    def _try_once(self) -> None:
        try:
            # The client before is let go of, not closed: others may be in a call on it, which its time-out ends.
            self._client = connect(self.address, self.name)
            self._check_schema(self._client)
        except (*_FAILURES, _OtherKeys) as error:
            self._failed(error)
            return
        self._delay_s = FIRST_RETRY_S
        self.is_up, self.problem = True, ""
        _log.info("store=%s state=up", self.address)
        for told in self.on_up:
            told()

    def _failed(self, error: Exception) -> None:
        self._down(error)
        self._delay_s = min(2 * self._delay_s, LAST_RETRY_S)

    def _check_again(self) -> None:
        try:
            self._asked(self._check_schema)
        except StoreError as error:
            _log.debug("check: %s", error)  # if it took the link down it has been said
        except _OtherKeys as error:
            self._failed(error)

    def _check_schema(self, client: Any) -> None:
        """_OtherKeys if they are another program's."""
        self._checked_at = time.monotonic()
        key = self.keys.schema
        try:
            found = client.set(key, SCHEMA, nx=True, get=True)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            raise _OtherKeys(f"{key} is not text: delete it if no other machine needs it") from error
        if found is None or found == str(SCHEMA):
            return
        if len(found) > 9 or not (found.isascii() and found.isdigit()):
            raise _OtherKeys(f"{key} is {found[:20]!r}, which is no version: delete it if no other machine needs it")
        if int(found) > SCHEMA:
            raise _OtherKeys(f"version {found}, this program knows {SCHEMA}: update this machine")

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def listener(self) -> Any:
        """A subscription of its own connection. StoreDown while the link is down."""
        return self.call(lambda client: client.pubsub(ignore_subscribe_messages=True))


def _reason(error: Exception) -> int:
    if isinstance(error, _OtherKeys):
        return standing.VERSION
    text = str(error)
    spoken = next((reason for word, reason in _WORDS if word in text), None)
    if spoken is not None:
        return spoken
    return next((reason for kind, reason in _MEANINGS if isinstance(error, kind)), standing.OTHER)


def _shown(error: Exception, *secrets: str) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
