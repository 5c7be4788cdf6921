"""Open-loop load: requests start when they are due, however slow the answers are, as crowds do.

A closed loop (wrk) waits for slow answers and so asks less just then, which hides the tail.
Latency counts from the instant a request was due; of one that failed, until it failed. Arrivals are
Poisson, seeded, the same for all.

``python -m tests.bench.open_loop --port N --rate 1000 --seconds 10`` prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence

import gevent
from gevent import socket

_REQUEST = "GET /work HTTP/1.1\r\nHost: {host}\r\nUser-Agent: open-loop\r\n\r\n"


class Clients:
    """As many keep-alive connections as are needed, reused last in first out."""

    def __init__(self, port: int, timeout_s: float, host: str) -> None:
        self._request = _REQUEST.format(host=host).encode()
        self._port = port
        self._timeout_s = timeout_s
        self._idle: list[socket.socket] = []
        self.latencies_ms: list[float] = []
        self.late_ms: list[float] = []
        self.errors = 0

    def ask(self, due: float) -> None:
        """One request, begun now, that was due at ``due`` (monotonic)."""
        self.late_ms.append((time.monotonic() - due) * 1000)
        connection = None
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            connection.sendall(self._request)
            is_good = _read_answer(connection)
        except OSError:
            is_good = False
        self.latencies_ms.append((time.monotonic() - due) * 1000)
        if not is_good:
            self.errors += 1
            if connection is not None:
                connection.close()
            return
        assert connection is not None
        self._idle.append(connection)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=self._timeout_s)


def _read_answer(connection: socket.socket) -> bool:
    """Whether a whole 200 came."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connection.recv(16384)
        if not data:
            return False
        answer += data
    return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\nok\n")


def drive(clients: Clients, rate: float, seconds: float, seed: int) -> None:
    """Returns when every request has been answered or has failed."""
    arrivals = random.Random(seed)
    due = time.monotonic() + 0.1
    end = due + seconds
    started = []
    while due < end:
        wait = due - time.monotonic()
        if wait > 0:
            gevent.sleep(wait)
        started.append(gevent.spawn(clients.ask, due))
        due += arrivals.expovariate(rate)
    gevent.joinall(started)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0.0 of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.open_loop")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--host", default="bench.test")
    options = parser.parse_args(arguments)
    clients = Clients(options.port, options.timeout, options.host)
    drive(clients, options.rate, options.seconds, options.seed)
    found = {
        "requests": len(clients.latencies_ms),
        "errors": clients.errors,
        **{
            name: percentile(clients.latencies_ms, share)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
        },
        "late_p999": percentile(clients.late_ms, 0.999),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
