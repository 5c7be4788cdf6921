"""A backend that says which one it is: ``python -m tests.support.lettered_backend PORT LETTER`` answers every GET with it."""

from __future__ import annotations

import contextlib
import socket
import sys

from gevent.server import StreamServer


def serve(sock: socket.socket, letter: bytes) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n" + letter
    unread = b""
    with contextlib.suppress(OSError):
        while more := sock.recv(65536):
            *heads, unread = (unread + more).split(b"\r\n\r\n")
            sock.sendall(answer * len(heads))


if __name__ == "__main__":
    letter = sys.argv[2].encode()
    StreamServer(("127.0.0.1", int(sys.argv[1])), lambda sock, _: serve(sock, letter), backlog=1024).serve_forever()
