"""A backend in this process, on gevent sockets: says exactly what a test tells it to."""

from __future__ import annotations

import socket as names
from collections.abc import Callable
from typing import Any

from gevent import socket
from gevent.server import StreamServer

from lb.model import Backend
from tests.support.ports import free_ports

Script = Callable[[Any], None]


def answer(*parts: bytes) -> Script:
    """Reads a request's head, sends these parts, closes."""

    def run(sock: Any) -> None:
        read_head(sock)
        for part in parts:
            sock.sendall(part)

    return run


def status(code: int, body: bytes = b"") -> Script:
    return answer(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (code, len(body)), body)


def silence(sock: Any) -> None:
    """Reads until the peer gives up."""
    while sock.recv(4096):
        pass


def read_head(sock: Any) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            break
        head += data
    return head


_healthy = status(200)


class Origin:
    """``script`` may be changed at any time; it counts for the next connection."""

    def __init__(self, script: Script = _healthy, *, unix_path: str = "", port: int = 0, **tls: Any) -> None:
        self.script = script
        self.connections = 0
        self.heads: list[bytes] = []
        self._unix_path = unix_path
        self._server = StreamServer(_listener(unix_path, port), self._handle, **tls)
        self._server.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def backend(self, id: str = "b", **more: Any) -> Backend:
        if self._unix_path:
            return Backend(id, unix_path=self._unix_path, **more)
        return Backend(id, host="127.0.0.1", port=self.port, **more)

    def close(self) -> None:
        self._server.stop(timeout=0)
        self._server.close()

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _handle(self, sock: Any, address: object) -> None:
        self.connections += 1
        try:
            self.script(_Recording(sock, self.heads))
        except OSError:  # the peer has left
            return


class _Recording:
    """The socket, with what was received kept."""

    def __init__(self, sock: Any, heads: list[bytes]) -> None:
        self.sendall = sock.sendall
        self._sock = sock
        self._heads = heads

    def recv(self, size: int) -> bytes:
        data: bytes = self._sock.recv(size)
        if data:
            self._heads.append(data)
        return data


def _listener(unix_path: str, port: int) -> Any:
    sock = socket.socket(names.AF_UNIX if unix_path else names.AF_INET)
    sock.setsockopt(names.SOL_SOCKET, names.SO_REUSEADDR, 1)
    sock.bind(unix_path or ("127.0.0.1", port))
    sock.listen(128)
    return sock


def unused_port() -> int:
    """A port that refuses connections, and that nobody else will open."""
    return free_ports(1)[0]
