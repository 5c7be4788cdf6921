"""A client of the WSGI path that does not read its answer: cut off, so that its backend is free again.

WSGI servers have no timer for writing, and an exception thrown into theirs would have them write an error page to
the same full socket. Its end is what they understand. Only gunicorn shows us its socket.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent

from lb.model import ListenerTimeouts
from lb.proxy.tcp_info import tcp_info

WRITE_S = ListenerTimeouts().write_s
"""Without one byte acknowledged; who reads slowly is not deaf."""
LOOKS = 6


class DeafClient:
    """Watched from the start of a streamed answer until ``leave``. ``is_writing``: the server has bytes for it."""

    def __init__(self, sock: Any, write_s: float) -> None:
        """``sock`` None: the server shows none, and nobody is watched."""
        self.is_writing = False
        self._sock = sock
        self._write_s = write_s
        self._watcher = gevent.spawn(self._watch) if sock is not None else None

    def leave(self) -> None:
        if self._watcher is not None:
            self._watcher.kill(block=False)

    def _watch(self) -> None:
        acked, since = -1, monotonic()
        while True:
            gevent.sleep(self._write_s / LOOKS)
            info = tcp_info(self._sock)
            if not self.is_writing or info is None or info.acked != acked:
                acked, since = info.acked if info else -1, monotonic()
            elif monotonic() - since >= self._write_s:
                shut_down(self._sock, socket.SHUT_RDWR)
                return


def shut_down(sock: Any, how: int) -> None:
    """So that whoever waits for it hears it from the kernel. By another descriptor: TLS forgets its state when its own
    socket is shut down, and gevent has waiters fail with a kind of error that servers print tracebacks for."""
    with suppress(OSError), socket.fromfd(sock.fileno(), sock.family, sock.type) as same:
        same.shutdown(how)
