"""A backend that knows how many requests it works on at once: ``python -m tests.support.busy_backend PORT``.

``/ANYTHING/SECONDS`` takes so long; ``/peak`` is the most at once since it was last asked, with what was done and the
seconds worked in all, as JSON, and begins anew. A request whose client has gone is over: before a new one counts,
every other connection is asked whether its client is still there.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from typing import Any

import gevent
from gevent.server import StreamServer


class Busy:
    def __init__(self) -> None:
        self._working: dict[socket.socket, float] = {}
        self._peak = self._done = 0
        self._worked_s = 0.0
        self._since = time.monotonic()

    def serve(self, sock: socket.socket, _peer: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            while (target := _target(sock)) and target != "/peak":
                self._work(sock, float(target.rpartition("/")[2]))
                sock.sendall(_answer(b"done"))
            if target:
                sock.sendall(_answer(self._told()))

    def _work(self, sock: socket.socket, seconds: float) -> None:
        self._begin(sock)
        try:
            gevent.sleep(seconds)
        finally:
            self._end(sock)

    def _begin(self, sock: socket.socket) -> None:
        for other in [one for one in self._working if _is_gone(one)]:
            self._end(other)
        self._working[sock] = time.monotonic()
        self._peak = max(self._peak, len(self._working))

    def _end(self, sock: socket.socket) -> None:
        began = self._working.pop(sock, None)
        if began is not None:
            self._done += 1
            self._worked_s += time.monotonic() - max(began, self._since)

    def _told(self) -> bytes:
        now = time.monotonic()
        worked_s = self._worked_s + sum(now - max(began, self._since) for began in self._working.values())
        told = {"peak": self._peak, "done": self._done, "worked_s": worked_s, "over_s": now - self._since}
        self._peak, self._done, self._worked_s, self._since = len(self._working), 0, 0.0, now
        return json.dumps(told).encode()


def _target(sock: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return ""
        data += more
    return data.split(b" ", 2)[1].decode()


def _is_gone(sock: Any) -> bool:
    try:
        return bytes(sock._sock.recv(1, socket.MSG_PEEK)) == b""  # never waits: gevent's are non-blocking
    except BlockingIOError:
        return False
    except OSError:
        return True


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), Busy().serve, backlog=1024).serve_forever()
