"""64 MiB up and down: exact, and in memory that does not grow with the body."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from random import Random

import pytest

from tests.contract.conftest import UNPROBED
from tests.support.balancer import Balancer, running_balancer

MIB = 1024 * 1024
BODY_BYTES = 64 * MIB
MAX_GROWTH_BYTES = 40 * MIB
BLOCK = Random(64).randbytes(MIB)
DIGEST = hashlib.sha256(BLOCK * 64).hexdigest()


class Bulk:
    """An origin that takes or gives 64 MiB, and tells in its answer's head what it took."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(30)
                self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        head, rest = _read_head(sock)
        digest = _hash(sock, rest, BODY_BYTES) if head.startswith(b"PUT") else ""
        length = 0 if digest else BODY_BYTES
        sock.sendall(f"HTTP/1.1 200 OK\r\nX-Digest: {digest}\r\nContent-Length: {length}\r\n\r\n".encode())
        for _ in range(length // MIB):
            sock.sendall(BLOCK)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _hash(sock: socket.socket, data: bytes, size: int) -> str:
    found = hashlib.sha256(data)
    left = size - len(data)
    while left and (data := sock.recv(min(left, MIB))):
        found.update(data)
        left -= len(data)
    return found.hexdigest()


@contextlib.contextmanager
def balanced(subject: str) -> Iterator[Balancer]:
    with contextlib.closing(Bulk()) as origin:
        config = {"pools": {"bulk": {"backends": [f"http://127.0.0.1:{origin.port}"], "health": UNPROBED}}}
        with running_balancer(config, subject) as balancer:  # type: ignore[arg-type]
            yield balancer


@pytest.mark.parametrize("subject", ["worker", "wsgi"])
def test_large_bodies_do_not_stay_in_memory(subject: str) -> None:
    with balanced(subject) as balancer:
        download(balancer.port, check=False)
        with balancer.growing_less_than(MAX_GROWTH_BYTES):
            download(balancer.port)
            upload(balancer.port)


def download(port: int, *, check: bool = True) -> None:
    """Whole, or (``check`` False) only its beginning, to warm the worker up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n")
        head, rest = _read_head(sock)
        assert head.startswith(b"HTTP/1.1 200 ")
        if check:
            assert _hash(sock, rest, BODY_BYTES) == DIGEST


def upload(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        head = f"PUT / HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        sock.sendall(head.encode())
        for _ in range(BODY_BYTES // MIB):
            sock.sendall(BLOCK)
        assert DIGEST.encode() in _read_head(sock)[0]
