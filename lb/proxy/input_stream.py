"""``wsgi.input`` as something that can be waited for together with a backend.

A WSGI server's input can only be read, and that may block. So a greenlet of its own reads each piece, when
it is asked for, while whoever forwards waits for the piece or for the backend's answer. Nobody breaks a
read off: a server whose reader was broken off may take the rest of the body for the next request.
"""

from __future__ import annotations

from typing import Any

import gevent
from greenlet import getcurrent, greenlet


class InputStream:
    """Read and waited for like a ``Stream``; belongs to one request, and to the hub it is made on."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._hub = gevent.get_hub()
        self._piece: bytes | None = None
        self._error: Exception | None = None
        self._waiter: greenlet | None = None
        self.is_reading = False

    def recv_now(self, size: int) -> bytes:
        """The next piece, ``b""`` at the end. BlockingIOError: it is being read now."""
        if self._error is not None:
            raise self._error
        piece, self._piece = self._piece, None
        if piece is None:
            if not self.is_reading:
                self.is_reading = True
                self._hub.loop.run_callback(greenlet(self._read, self._hub).switch, size)
            raise BlockingIOError
        return piece

    def arm(self) -> None:
        """Nothing to do: who has asked is told."""

    def settle(self) -> None:
        """Waits until nobody reads any more; what is left is for the server to read."""
        while self.is_reading:
            self._waiter = getcurrent()
            try:
                self._hub.switch()
            finally:
                self._waiter = None

    def _read(self, size: int) -> None:
        try:
            self._piece = self._source.read(size)
        except Exception as error:  # noqa: BLE001 - the server's own kinds; they are told to whoever asks next
            self._error = error
        finally:
            self.is_reading = False
            self._hub.loop.run_callback(self._wake)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.switch()
