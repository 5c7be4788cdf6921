"""A real Redis of a test's own: started on a free port of the loopback, killed, stopped, filled and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis, RedisError

from tests.support.ports import free_ports

PATIENCE_S = 10.0


def redis_server_program(name: str = "redis-server") -> str:
    """Its path. Without it: on CI a failure, elsewhere a skip that says what to install."""
    found = shutil.which(name)
    if found is None:
        text = f"{name} is not installed: apt-get install redis-server redis-sentinel"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


class RedisServer:
    """``options``: as in redis.conf, with two dashes. Nothing is kept on disk unless they say so."""

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = port or free_ports(1)[0]
        self.folder = tempfile.mkdtemp(prefix="lb-redis-")
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *once: str) -> None:
        """Returns when it answers. ``once``: further options, for this start."""
        argv = [redis_server_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder]
        argv += ["--save", "", "--appendonly", "no", *self.options, *once]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64)[:1] in (b"+", b"-"):  # an error too is an answer: it may want a password
                        return
            except OSError:
                pass
            assert self._process.poll() is None, f"redis-server ended: {' '.join(argv)}"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def client(self, **options: Any) -> Redis:
        return Redis(port=self.port, decode_responses=True, encoding_errors="replace", **options)

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """It is there and says nothing (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.go_on()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    server = RedisServer(*options)
    try:
        server.start()
        yield server
    finally:
        server.close()


__all__ = ["RedisError", "RedisServer", "redis_server", "redis_server_program"]
