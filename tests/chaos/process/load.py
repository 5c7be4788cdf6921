"""A client that counts: every request it begins is answered in full, or failed, or refused.

Strict on purpose. It never retries, not even on a reused connection that was closed under it, because
a balancer that drains well never does that to an active client.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

BODY = b"hello"
TIMEOUT_S = 60.0
"""Not a promise: an answer that comes late on a crowded machine has not been lost."""
PAUSE_S = 0.025
KEEP_ALIVE_CLIENTS = FRESH_CLIENTS = 3
FEWEST_REQUESTS = 5_000
"""None of so many may fail over all reloads, upgrades or restarts of a test."""


@dataclass
class Tally:
    """What happened to all requests. ``failed`` says how, in the words of the exception."""

    ok: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, took_s: float) -> None:
        with self.lock:
            self.ok += 1
            self.slowest_s = max(self.slowest_s, took_s)

    def went_wrong(self, how: Exception) -> None:
        with self.lock:
            if isinstance(how, ConnectionRefusedError):
                self.refused += 1
            else:
                self.failed.append(f"{type(how).__name__}: {how}")

    def wait_for(self, count: int, deadline_s: float = 120.0) -> None:
        """Until so many requests have been answered in all."""
        deadline = time.monotonic() + deadline_s
        while self.ok < count:
            assert time.monotonic() < deadline, (
                f"only {self.ok} of {count} requests after {deadline_s:g} s: {self.failed[:3]}"
            )
            time.sleep(0.01)


class Connection:
    """One client connection, with what has been read of it and not used."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str, *, closing: bool = False) -> bool:
        """One request and its whole answer. True if the connection may carry another one."""
        extra = "Connection: close\r\n" if closing else ""
        self._sock.sendall(f"GET {path} HTTP/1.1\r\nHost: lb.test\r\n{extra}\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(BODY):
            more = self._sock.recv(65536)
            if not more:
                raise ConnectionError(f"closed after {data[:60]!r}")
            data += more
            if b"\r\n\r\n" in data and not data.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(f"answered {data[:60]!r}")
        return b"connection: close" not in data.lower()

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Load:
    """Clients in threads, half on kept connections, half on a new one for each request."""

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self._port = port
        self._stop = threading.Event()
        kinds = [self._keep_alive] * KEEP_ALIVE_CLIENTS + [self._fresh] * FRESH_CLIENTS
        self._threads = [threading.Thread(target=kind, daemon=True) for kind in kinds]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Tally:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S + 5)
            assert not thread.is_alive(), "a client hangs"
        return self.tally

    def _keep_alive(self) -> None:
        connection: Connection | None = None
        while not self._stop.wait(PAUSE_S):
            connection = self._one(connection, closing=False)
        if connection:
            connection.close()

    def _fresh(self) -> None:
        while not self._stop.wait(PAUSE_S):
            self._one(None, closing=True)

    def _one(self, connection: Connection | None, *, closing: bool) -> Connection | None:
        """One counted request; the connection if it can be used again."""
        began = time.monotonic()
        try:
            connection = connection or Connection(self._port)
            stays = connection.get("/", closing=closing)
        except OSError as how:
            self.tally.went_wrong(how)
            stays = False
        else:
            self.tally.answered(time.monotonic() - began)
        if connection and not stays:
            connection.close()
        return connection if stays else None


@contextlib.contextmanager
def load_on(port: int) -> Iterator[Tally]:
    """Load for as long as the block lasts; the tally is complete after it."""
    load = Load(port)
    load.start()
    try:
        load.tally.wait_for(20)
        yield load.tally
    finally:
        load.stop()
