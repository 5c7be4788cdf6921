"""Row 50: one backend of three is slow, and none gets more at a time than its ``max_inflight``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.balancer import Balancer, running_balancer
from tests.support.behaviours import OK, answering
from tests.support.fault_origin import PATIENCE_S, Connection, FaultOrigin, fault_origin
from tests.support.raw_client import Answer, get
from tests.support.waiting import wait_for

SLOW_S = 2.0
LIMIT = 3
CLIENTS, REQUESTS = 8, 200
QUICK_ENOUGH_S = 0.1
"""A machine that runs other tests as well has such a 99th percentile."""
SLOW = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"


class Busy:
    """A backend that counts how many requests it works on at once: ``peak`` is the most there ever were."""

    def __init__(self) -> None:
        self.now = self.peak = self.done = 0
        self.delay_s = 0.0
        self.may_answer = threading.Event()
        self._lock = threading.Lock()

    def serve(self, connection: Connection) -> None:
        while True:
            connection.request()
            self._count(1)
            self.may_answer.wait(PATIENCE_S)
            time.sleep(self.delay_s)
            self._count(-1)
            connection.send(SLOW)

    def _count(self, one: int) -> None:
        with self._lock:
            self.now += one
            self.peak = max(self.peak, self.now)
            self.done += one < 0


@dataclass
class Full:
    """A balancer whose only backend holds every request until it is told."""

    balancer: Balancer
    busy: Busy
    origin: FaultOrigin


def config(*limited: tuple[int, int | None], workers: int = 1) -> dict[str, object]:
    """Ports and their limits, asked in turn."""
    backends = [{"url": f"http://127.0.0.1:{port}", "max_inflight": most} for port, most in limited]
    web = {"backends": backends, "policy": "round_robin", "health": {"type": "none"}}
    return {"workers": workers, "pools": {"web": web}}


@contextmanager
def held(workers: int) -> Iterator[Full]:
    busy = Busy()
    with fault_origin(busy.serve) as origin:
        try:
            with running_balancer(config((origin.port, LIMIT), workers=workers)) as balancer:
                wait_for("all workers", lambda: len(balancer.workers()) == workers)
                yield Full(balancer, busy, origin)
        finally:
            busy.may_answer.set()


def test_row_50_one_slow_backend_of_three_gets_its_most_and_no_more() -> None:
    """It holds up its own requests only: the others' 99th percentile stays where it was while it was quick."""
    busy = Busy()
    busy.may_answer.set()
    with ExitStack() as stack:
        slow = stack.enter_context(fault_origin(busy.serve))
        quick = [stack.enter_context(fault_origin(answering(OK))) for _ in range(2)]
        limits = config((slow.port, LIMIT), *[(one.port, None) for one in quick])
        port = stack.enter_context(running_balancer(limits)).port
        usual_s = p99_s(asked(port))
        assert busy.done, "it is asked like the others"
        busy.done, busy.delay_s = 0, SLOW_S
        took = asked(port)
    others = [one for one in took if one[1] != b"slow"]
    assert busy.peak == LIMIT
    assert len(took) - len(others) == busy.done
    assert len(others) > REQUESTS * 0.9, "what the slow one had no room for went to the others"
    assert p99_s(others) < max(QUICK_ENOUGH_S, 3 * usual_s)


Took = tuple[float, bytes]
"""How long a request took, and the answer's body."""


def asked(port: int) -> list[Took]:
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(lambda _: took(port), range(REQUESTS)))


def took(port: int) -> Took:
    started = time.monotonic()
    answer = get(port)
    assert answer.status == 200
    return time.monotonic() - started, answer.body


def p99_s(requests: list[Took]) -> float:
    return sorted(requests)[len(requests) * 99 // 100][0]


def test_row_50_a_full_backend_is_503_at_once_and_serves_again_when_it_has_room() -> None:
    with held(1) as full, ThreadPoolExecutor(LIMIT) as clients:
        port = full.balancer.port
        waiting = [clients.submit(get, port) for _ in range(LIMIT)]
        wait_for("a full backend", lambda: full.busy.now == LIMIT)
        started = time.monotonic()
        refused = [get(port) for _ in range(20)]
        assert time.monotonic() - started < SLOW_S
        _check_refused(refused)
        full.busy.may_answer.set()
        assert [one.result(30).status for one in waiting] == [200] * LIMIT
        assert get(port).status == 200
        assert (full.busy.peak, len(full.origin.requests)) == (LIMIT, LIMIT + 1)


def _check_refused(answers: list[Answer]) -> None:
    for answer in answers:
        assert answer.status == 503
        assert b'"no_backend"' in answer.body
        assert answer.value("retry-after")


def test_row_50_two_workers_exceed_it_by_no_more_than_one() -> None:
    """Each looks at the sum and then adds its own, so both may take the last place in the same moment."""
    workers = 2
    with held(workers) as full, ThreadPoolExecutor(24) as clients:
        port = full.balancer.port
        asked = [clients.submit(get, port) for _ in range(48)]
        wait_for("a full backend", lambda: full.busy.now >= LIMIT)
        wait_for("all others to be refused", lambda: sum(one.done() for one in asked) >= 48 - LIMIT - workers + 1)
        full.busy.may_answer.set()
        statuses = [one.result(30).status for one in asked]
    assert LIMIT <= full.busy.peak <= LIMIT + workers - 1
    assert statuses.count(200) == full.busy.done
    assert statuses.count(503) == len(statuses) - full.busy.done
