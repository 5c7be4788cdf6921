"""A tunnel after 101: bytes both ways until both sides have ended, or nothing moves for too long.

One greenlet per direction, so that a side that does not read holds up only its own. Both share one
deadline, put off by whatever moves in either. The connection never goes back to the backend's idle ones.
"""

from __future__ import annotations

import socket as constants
from contextlib import suppress
from typing import Any, NamedTuple

from greenlet import getcurrent, greenlet

from lb.proxy.deadlines import NEVER, Deadline, Expired, Sweeper
from lb.proxy.stream import TURN_MASK, Stream

PIECE_BYTES = 64 * 1024
UNSENT_BYTES = 128 * 1024
"""Most that the kernel holds for a backend that does not read: else a slow reader's progress shows only
every megabyte or so. A client's socket has the same from its listener."""


class Patience(NamedTuple):
    """``silence_s``: how long nothing may move at all; ``blocked_s``: while somebody does not read what came for him."""

    silence_s: float
    blocked_s: float


class Tunnel:
    """``sent`` and ``received``: bytes from and to the client."""

    def __init__(self, client: Stream, backend: Stream, patience: Patience, sweeper: Sweeper, hub: Any) -> None:
        self.client = client
        self.backend = backend
        self.received = 0
        self.sent = 0
        self._silence_s = patience.silence_s
        self._blocked_s = min(patience)
        self._sweeper = sweeper
        self._hub = hub
        self._deadline = Deadline(None)
        self._sending = 0
        self._open = 2
        self._waiter: greenlet | None = None

    def run(self, deadline: Deadline, to_backend: bytes, to_client: bytes) -> None:
        """Returns when the tunnel is over; both connections are still to be closed."""
        self._deadline = deadline
        with suppress(OSError):  # a Unix socket has no such option, and no such buffer
            self.backend.sock.setsockopt(constants.IPPROTO_TCP, constants.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self.backend.on_moved = self._moved
        self._moved()
        other = greenlet(self._copy, self._hub)
        self._hub.loop.run_callback(other.switch, self.client, self.backend, to_backend)
        self._copy(self.backend, self.client, to_client)
        while self._open:
            self._waiter = getcurrent()
            try:
                self._hub.switch()
            except Expired:
                self._cut()
            finally:
                self._waiter = None
        self.backend.on_moved = None

    def _copy(self, source: Stream, sink: Stream, first: bytes) -> None:
        try:
            if first:
                self._pass_on(sink, first)
            pieces = 0
            while data := source.recv(PIECE_BYTES):
                self._pass_on(sink, data)
                pieces += 1
                if not pieces & TURN_MASK:
                    source.let_others()
            sink.end_writing()
        except (OSError, Expired):
            self._cut()
        finally:
            self._open -= 1
            if self._waiter is not None:
                self._deadline.at = NEVER  # it is woken once
                self._hub.loop.run_callback(self._waiter.switch)

    def _pass_on(self, sink: Stream, data: bytes) -> None:
        self._sending += 1
        self._moved()
        try:
            sink.send(data)
        finally:
            self._sending -= 1
        self._moved()
        if sink is self.client:
            self.sent += len(data)
        else:
            self.received += len(data)

    def _moved(self) -> None:
        """In either direction. As long as one of them is held up by its reader, the next move has less time."""
        self._deadline.at = self._sweeper.now + (self._blocked_s if self._sending else self._silence_s)

    def _cut(self) -> None:
        """Ends both directions: whoever waits on either socket sees its end."""
        for stream in (self.client, self.backend):
            with suppress(OSError):
                stream.sock.shutdown(constants.SHUT_RDWR)
