"""Two balancers of two workers each (four at full size) and one Redis: requests far enough apart are answered by A, B, C, whoever gets them."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from lb.state.layout import SH_CYCLE
from lb.state.segment import Segment
from tests.chaos.process.running import SLACK, Run
from tests.support.lettered import LETTERS, is_in_order, lettered_backends
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import wait_for

IS_FULL = os.environ.get("LB_CHAOS") == "full"
MACHINES, WORKERS = 2, 4 if IS_FULL else 2
APART_S = 0.050
BACK_S = 5.0
"""Promised: so soon after the store has come back they are one order again."""
REQUESTS = 400_000 if IS_FULL else 20_000
CLIENTS = 3
"""Of each balancer."""
IN_A_ROW = 12
MOST_BEFORE = 15 * MACHINES * WORKERS
"""Single requests until the rests of all leases are used up, less than a cycle in each worker and machine; workers get
them by chance."""
GET = b"GET / HTTP/1.1\r\nHost: lb.test\r\n\r\n"


class Client:
    """One connection, each request on it counted by who answered."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, count: int = 1) -> str:
        letter = ""
        for _ in range(count):
            self._sock.sendall(GET)
            data = b""
            while b"\r\n\r\n" not in data or data.endswith(b"\r\n\r\n"):
                more = self._sock.recv(4096)
                assert more, f"closed after {data!r}"
                data += more
            assert data.startswith(b"HTTP/1.1 200 "), data
            letter = data[-1:].decode()
            self.counts[letter] += 1
        return letter

    def close(self) -> None:
        self._sock.close()


class Cluster:
    def __init__(self, runs: Sequence[Run], server: RedisServer) -> None:
        self.runs = runs
        self.server = server
        self.random = Random(5)
        self.counts = Counter(dict.fromkeys(LETTERS, 0))
        """Of all requests from the first on: no lease was open before it."""

    @property
    def spread(self) -> int:
        return max(self.counts.values()) - min(self.counts.values())

    def ask(self, run: Run) -> str:
        client = Client(run.port)
        letter = client.ask()
        client.close()
        self.counts[letter] += 1
        _apart()
        return letter

    def spaced(self, count: int) -> list[str]:
        return [self.ask(self.random.choice(self.runs)) for _ in range(count)]

    def wait_until_strict(self) -> None:
        taken = self.spaced(IN_A_ROW)
        while not is_in_order("".join(taken[-IN_A_ROW:])):
            assert len(taken) < MOST_BEFORE + IN_A_ROW, taken
            taken += self.spaced(1)

    def load(self, count: int, runs: Sequence[Run] = ()) -> Counter[str]:
        """So many requests as fast as they go, on connections that are kept."""
        clients = [Client(run.port) for run in runs or self.runs for _ in range(CLIENTS)]
        threads = [threading.Thread(target=one.ask, args=(count // len(clients),)) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts: Counter[str] = Counter()
        for one in clients:
            one.close()
            counts += one.counts
        assert counts.total() == count // len(clients) * len(clients), "every request was answered"
        self.counts += counts
        return counts


def _apart() -> None:
    """The time that requests are apart, of a machine that runs: where it did not, looks came late as well."""
    while True:
        started = time.monotonic()
        time.sleep(APART_S)
        if time.monotonic() - started < 1.2 * APART_S:
            return


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        backends = stack.enter_context(lettered_backends())
        runs = [_run(tmp_path_factory.mktemp(name), name, server, backends) for name in ("one", "two")]
        for run in runs:
            stack.callback(run.end)
            run.start()
        for run in runs:
            run.wait_until_ready()
            run.wait_for_workers()
        wait_for("all backends in all orders", lambda: all(_cycle(run) == len(LETTERS) for run in runs))
        time.sleep(0.5)  # each worker looks at the verdicts ten times a second
        yield Cluster(runs, server)


def _cycle(run: Run) -> int:
    """Members that workers see, as they have told the controller."""
    snapshot = run.snapshot()
    segment = Segment.open(snapshot.segment)
    try:
        return segment.shared(snapshot.columns["pool:web"])[SH_CYCLE]
    finally:
        segment.close()


def _run(folder: Path, name: str, server: RedisServer, backends: Sequence[int]) -> Run:
    run = Run(folder, backends, workers=WORKERS)
    members = [{"id": letter, "url": f"http://127.0.0.1:{p}"} for letter, p in zip(LETTERS, backends, strict=True)]
    run.configure(
        state={"dir": str(folder / "state"), "redis": server.url, "prefix": "t", "machine": name},
        pools={"web": {"backends": members, "policy": "round_robin"}},
    )
    return run


def test_far_enough_apart_they_are_in_order_whoever_gets_them(cluster: Cluster) -> None:
    for _ in range(SLACK):  # tries: 50 ms are little where much else runs
        taken = [cluster.ask(cluster.runs[i % MACHINES]) for i in range(13)]
        if is_in_order("".join(taken)):
            break
        cluster.wait_until_strict()
    assert is_in_order("".join(taken)), taken


def test_shares_are_even_and_after_a_burst_they_are_in_order_again(cluster: Cluster) -> None:
    cluster.wait_until_strict()
    cluster.load(REQUESTS)
    print(f"{cluster.counts.total()} requests, {MACHINES * WORKERS} workers: {dict(cluster.counts)}")
    assert cluster.spread <= MACHINES * WORKERS, cluster.counts
    cluster.wait_until_strict()
    assert cluster.spread <= MACHINES * WORKERS, cluster.counts


def test_without_the_store_each_is_even_and_with_it_they_are_in_order_again(cluster: Cluster) -> None:
    cluster.wait_until_strict()
    cluster.server.kill()
    for run in cluster.runs:
        counts = cluster.load(REQUESTS // 20, [run])
        assert max(counts.values()) - min(counts.values()) <= 2 * WORKERS, counts  # open leases before and after
    assert cluster.spread <= MACHINES * WORKERS, cluster.counts
    cluster.server.start()
    started = time.monotonic()
    cluster.wait_until_strict()
    assert time.monotonic() - started < SLACK * BACK_S
