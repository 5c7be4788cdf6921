"""Backends of the tail case: each works on ``slots`` requests at once, for an exponential time, and
queues the others in order of arrival. With each answer it says how many of them are taken (ORCA), which is
what `adaptive` goes by. One process serves all of them; its CPU must stay far from full.

``python -m tests.bench.slow_backends --ports 1,2,3,4 --mean-ms 20``; ``GET /mean/200`` at one of them
changes how long its work takes from then on.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence

import gevent
from gevent.lock import Semaphore
from gevent.server import StreamServer
from gevent.socket import socket

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
    b"endpoint-load-metrics: TEXT application_utilization=%.2f\r\n\r\nok\n"
)
_MEAN = b"GET /mean/"


def backend(mean_s: float, slots: int, seed: int) -> Callable[[socket, object], None]:
    """A handler of connections. Requests to ``/ready`` and ``/mean/MS`` are answered at once."""
    free = Semaphore(slots)
    durations = random.Random(seed)

    def work(head: bytes) -> None:
        nonlocal mean_s
        if head.startswith(b"GET /ready"):
            return
        if head.startswith(_MEAN):
            mean_s = int(head[len(_MEAN) :].split()[0]) / 1000
            return
        with free:
            gevent.sleep(durations.expovariate(1 / mean_s))

    def serve(connection: socket, address: object) -> None:
        unread = b""
        try:
            while True:
                head, end, unread = unread.partition(b"\r\n\r\n")
                if not end:
                    unread = head + connection.recv(16384)
                    if unread == head:
                        return
                    continue
                work(head)
                connection.sendall(_ANSWER % (1 - free.counter / slots))
        except OSError:
            return  # whoever asked has gone; the next one connects anew

    return serve


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slow_backends")
    parser.add_argument("--ports", required=True)
    parser.add_argument("--mean-ms", type=float, required=True)
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args(arguments)
    servers = [
        StreamServer(("127.0.0.1", int(port)), backend(options.mean_ms / 1000, options.slots, seed), backlog=1024)
        for seed, port in enumerate(options.ports.split(","))
    ]
    for server in servers[1:]:
        server.start()
    servers[0].serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
