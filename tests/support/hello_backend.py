"""A backend that does nothing wrong: ``python -m tests.support.hello_backend PORT``.

Answers every GET with ``hello``, in one segment; ``/slow/SECONDS`` after that time. Keep-alive, any
number of connections, silent. For tests that count requests, so it must never lose one itself.
"""

from __future__ import annotations

import contextlib
import socket
import sys

import gevent
from gevent.server import StreamServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


def serve(sock: socket.socket, _peer: object) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # a killed worker resets its connections
        answer_all(sock)


def answer_all(sock: socket.socket) -> None:
    unread = b""
    while True:
        head, separator, rest = unread.partition(b"\r\n\r\n")
        if separator:
            unread = rest
            target = head.split(b" ", 2)[1].decode()
            if target.startswith("/slow/"):
                gevent.sleep(float(target.removeprefix("/slow/")))
            sock.sendall(ANSWER)
        elif more := sock.recv(65536):
            unread += more
        else:
            return


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), serve, backlog=1024).serve_forever()
