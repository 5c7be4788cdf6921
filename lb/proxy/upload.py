"""The part of a request's body that streams: client to backend, one step at a time, never blocking on one side.

Whoever waits for the backend's bytes drives it. So an answer that begins early, one that streams
while the request still does, and interim answers in between need no second greenlet.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from lb.proxy.stream import BULK_BYTES, TURN_S, wait_either

if TYPE_CHECKING:
    from lb.proxy.exchange import Exchange
    from lb.proxy.member import BackendConnection

_TURN_MASK = 31
"""As ``TURN_MASK``, for steps that are records of 16 KiB over TLS: each turn given up costs as much as one of them."""


class Upload:
    """Lives in ``exchange.upload`` until the backend has all of the body; to the request's end if it never takes it."""

    __slots__ = ("_body", "_connection", "_exchange", "_has_failed", "_started", "_unsent")

    def __init__(self, exchange: Exchange, connection: BackendConnection) -> None:
        assert exchange.body is not None
        self._exchange = exchange
        self._body = exchange.body
        self._connection = connection
        self._unsent = memoryview(b"")
        self._started = monotonic()
        self._has_failed = False

    def recv(self) -> bytes:
        """The backend's next bytes. Sends on until they come; RequestError for the client's faults.

        A backend that has answered may reset its side while we send: what it said before can still be read.
        """
        connection = self._connection
        steps = 0
        turned_at = monotonic()
        while not self._has_failed and not self._is_done():
            steps += 1
            if not steps & _TURN_MASK or monotonic() - turned_at >= TURN_S:
                self._exchange.deadline.set(monotonic() + connection.member.pool.timeouts.idle_s, "backend_timeout")
                connection.let_others()
                turned_at = monotonic()
            try:
                return connection.recv_now(BULK_BYTES)
            except BlockingIOError:
                pass
            try:
                if not self._step():
                    self._wait()
            except ConnectionError:
                self._has_failed = True
        self._end()
        return connection.recv(BULK_BYTES)

    def _end(self) -> None:
        """Nothing more is sent: from now on it is the backend's time that runs."""
        exchange = self._exchange
        if not self._has_failed:
            exchange.upload = None
        if self._started:
            now = monotonic()
            if exchange.first_byte_at:
                exchange.deadline.set(now + self._connection.member.pool.timeouts.idle_s, "upstream_truncated")
            else:
                exchange.total_at += now - self._started
                exchange.wait_for_head()
        self._started = 0.0

    def _is_done(self) -> bool:
        """Whether the kernel has all of it. A connection that takes no more is never done."""
        if self._unsent or not self._body.is_done:
            return False
        tls = self._connection.tls
        try:
            return tls is None or tls.flush_now()
        except ConnectionError:
            self._has_failed = True
            return False

    def _step(self) -> bool:
        """Moves what can be moved now; False if that is nothing."""
        tls = self._connection.tls
        if tls is not None and not tls.flush_now():
            return False
        if not self._unsent:
            if self._body.is_done or not self._body.read():
                return False
            self._unsent = memoryview(self._body.take())
        try:
            sent = self._connection.send_now(self._unsent)
        except BlockingIOError:
            return False
        self._unsent = self._unsent[sent:]
        return True

    def _wait(self) -> None:
        """Until a step is possible again, or the backend has something to say."""
        deadline = self._exchange.deadline
        now = monotonic()
        tls = self._connection.tls
        if self._unsent or self._body.is_done or (tls is not None and tls.pending):
            deadline.set(now + self._connection.member.pool.timeouts.idle_s, "backend_timeout")
            wait_either(self._connection, None)
            return
        deadline.set(now + self._exchange.body_timeout_s, "body_timeout")
        wait_either(self._connection, self._body.stream)
        self._body.waited(monotonic() - now)
