"""A tunnel after 101: bytes both ways until both sides have ended, or nothing moves for too long.

One greenlet per direction, so that a side that does not read holds up only its own. The connection
never goes back to the backend's idle ones.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from greenlet import getcurrent, greenlet

from lb.proxy.deadlines import Deadline, Expired, Sweeper
from lb.proxy.stream import Stream

PIECE_BYTES = 64 * 1024


class Tunnel:
    """``sent`` and ``received``: bytes from and to the client."""

    def __init__(self, client: Stream, backend: Stream, silence_s: float, sweeper: Sweeper, hub: Any) -> None:
        self.client = client
        self.backend = backend
        self.received = 0
        self.sent = 0
        self._silence_s = silence_s
        self._sweeper = sweeper
        self._hub = hub
        self._moved_at = monotonic()
        self._open = 2
        self._waiter: greenlet | None = None

    def run(self, deadline: Deadline, to_backend: bytes, to_client: bytes) -> None:
        """Returns when the tunnel is over; both connections are still to be closed."""
        other = greenlet(self._run_upwards, self._hub)
        self._hub.loop.run_callback(other.switch, to_backend)
        self._copy(self.backend, self.client, deadline, to_client)
        while self._open:
            self._waiter = getcurrent()
            deadline.set(monotonic() + self._silence_s, "client_gone")
            try:
                self._hub.switch()
            except Expired:
                if self._is_silent():
                    self._cut()
            finally:
                self._waiter = None

    def _run_upwards(self, to_backend: bytes) -> None:
        deadline = Deadline(getcurrent())
        self._sweeper.deadlines.add(deadline)
        try:
            self._copy(self.client, self.backend, deadline, to_backend)
        finally:
            self._sweeper.deadlines.discard(deadline)
            if self._waiter is not None:
                self._hub.loop.run_callback(self._waiter.switch)

    def _copy(self, source: Stream, sink: Stream, deadline: Deadline, first: bytes) -> None:
        try:
            if first:
                sink.send(first)
                self._count(sink, len(first))
            while data := self._recv(source, deadline):
                sink.send(data)
                self._count(sink, len(data))
            sink.end_writing()
        except (OSError, Expired):
            self._cut()
        finally:
            self._open -= 1

    def _recv(self, source: Stream, deadline: Deadline) -> bytes:
        while True:
            deadline.set(self._moved_at + self._silence_s, "client_gone")
            try:
                return source.recv(PIECE_BYTES)
            except Expired:
                if self._is_silent():
                    raise

    def _is_silent(self) -> bool:
        return monotonic() - self._moved_at >= self._silence_s

    def _count(self, sink: Stream, size: int) -> None:
        self._moved_at = monotonic()
        if sink is self.client:
            self.sent += size
        else:
            self.received += size

    def _cut(self) -> None:
        """Ends both directions: whoever waits on either socket sees its end."""
        for stream in (self.client, self.backend):
            try:
                stream.sock.shutdown(2)
            except OSError:
                continue
