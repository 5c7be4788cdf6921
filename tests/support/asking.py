"""Clients that ask for one path again and again, and what they were told: for limits of requests per time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass

from tests.support.balancer import Balancer
from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True)
class Limit:
    """What is promised: in any ``t`` at most ``burst + rate_per_s x t``."""

    rate_per_s: float
    burst: int


class Asking:
    """``count`` threads, each with a connection of its own, ask every ``pause_s`` until the end of the block."""

    def __init__(self, balancer: Balancer, path: str, count: int = 2, pause_s: float = 0.01) -> None:
        self.answers: Counter[int] = Counter()
        self.refused = b""
        """The last answer that was no 200, whole."""
        self._port = balancer.port
        self._request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    @property
    def passed(self) -> int:
        return self.answers[200]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a client hangs"

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):  # its worker was killed
                self._ask()
            time.sleep(self._pause_s)

    def _ask(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S) as sock:
            while not self._stop.is_set():
                sock.sendall(self._request)
                data = sock.recv(65536)
                if not data:
                    return
                self._count(data)
                if b"connection: close" in data.lower():
                    return
                time.sleep(self._pause_s)

    def _count(self, data: bytes) -> None:
        status = int(data[9:12])
        with self._lock:
            self.answers[status] += 1
            if status != 200:
                self.refused = data


class Watch:
    """Counts what all of ``asking`` are let through, from now on, against what is promised."""

    def __init__(self, limit: Limit, *asking: Asking) -> None:
        self._limit = limit
        self._asking = asking
        self._since = time.monotonic()
        self._before, self._asked_before = self._passed(), self._asked()

    def _passed(self) -> int:
        return sum(one.passed for one in self._asking)

    def _asked(self) -> int:
        return sum(one.answers.total() for one in self._asking)

    @property
    def passed(self) -> int:
        return self._passed() - self._before

    @property
    def use(self) -> float:
        """Of what there was to have, without the burst, the share that was let through; of what was asked for, where the
        clients are slower than the rate."""
        there_was = self._limit.rate_per_s * (time.monotonic() - self._since)
        return self.passed / min(there_was, self._asked() - self._asked_before)

    def check(self) -> None:
        """What was on its way when we began was let through a moment before."""
        passed = self.passed
        most = self._limit.burst + self._limit.rate_per_s * (time.monotonic() - self._since)
        assert passed <= most + 8, f"{passed} in {time.monotonic() - self._since:.2f} s"

    def let_pass(self, count: int) -> None:
        """Until so many more have been let through; never too many."""
        wanted, deadline = self.passed + count, time.monotonic() + PATIENCE_S
        while self.passed < wanted:
            assert time.monotonic() < deadline, f"{self.passed} of {wanted}"
            time.sleep(0.02)
        self.check()
