"""Row 50: one backend of three is slow; none gets more at a time than its ``max_inflight``, and who finds all full waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lb.config import snapshot as snapshot_file
from lb.state.segment import Segment
from tests.support.balancer import Balancer, Subject, running_balancer
from tests.support.behaviours import OK, answering
from tests.support.fault_origin import PATIENCE_S, Connection, FaultOrigin, fault_origin
from tests.support.raw_client import Answer, get
from tests.support.waiting import wait_for

SLOW_S = 2.0
LIMIT = 3
CLIENTS, REQUESTS = 8, 200
QUICK_ENOUGH_S = 0.5
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


def config(*limited: tuple[int, int | None], workers: int = 1, **pool: Any) -> dict[str, object]:
    """Ports and their limits, asked in turn."""
    backends = [{"url": f"http://127.0.0.1:{port}", "max_inflight": most} for port, most in limited]
    web = {"backends": backends, "policy": "round_robin", "health": {"type": "none"}, **pool}
    return {"workers": workers, "pools": {"web": web}}


@contextmanager
def held(workers: int, subject: Subject = "worker", **pool: Any) -> Iterator[Full]:
    busy = Busy()
    with fault_origin(busy.serve) as origin:
        try:
            with running_balancer(config((origin.port, LIMIT), workers=workers, **pool), subject) as balancer:
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


SUBJECTS: tuple[Subject, ...] = ("worker", "wsgi")


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    ("pool", "reason"),
    [({"queue": {"size": 0}}, "backend_full"), ({"timeouts": {"queue": "300ms"}}, "queue_timeout")],
    ids=["nobody-waits", "nobody-waits-longer"],
)
def test_row_50_who_gets_no_place_gets_a_503_and_the_backend_serves_again_when_it_has_room(
    subject: Subject, pool: dict[str, Any], reason: str
) -> None:
    with held(1, subject, **pool) as full, ThreadPoolExecutor(LIMIT + 5) as clients:
        port = full.balancer.port
        working = [clients.submit(get, port) for _ in range(LIMIT)]
        wait_for("a full backend", lambda: full.busy.now == LIMIT)
        started = time.monotonic()
        refused = list(clients.map(lambda _: get(port), range(5)))
        assert time.monotonic() - started < SLOW_S
        for answer in refused:
            _check_refused(answer, reason)
        full.busy.may_answer.set()
        assert [one.result(30).status for one in working] == [200] * LIMIT
        assert get(port).status == 200
        assert (full.busy.peak, len(full.origin.requests)) == (LIMIT, LIMIT + 1)


def _check_refused(answer: Answer, reason: str) -> None:
    assert answer.status == 503
    assert f'"{reason}"'.encode() in answer.body
    assert b"No backend available" in answer.body
    assert answer.value("retry-after")


def test_row_50_more_than_may_wait_are_refused_at_once_and_those_who_wait_are_served() -> None:
    with held(1, queue={"size": 4}) as full, ThreadPoolExecutor(LIMIT + 10) as clients:
        port = full.balancer.port
        asked = [clients.submit(get, port) for _ in range(LIMIT + 10)]
        wait_for("the refused", lambda: sum(one.done() for one in asked) == 6)
        refused = [one.result() for one in asked if one.done()]
        for answer in refused:
            _check_refused(answer, "backend_full")
        full.busy.may_answer.set()
        assert sorted(one.result(30).status for one in asked) == [200] * (LIMIT + 4) + [503] * 6
        assert full.busy.peak == LIMIT


@pytest.mark.parametrize(("workers", "subject"), [(1, "worker"), (2, "worker"), (1, "wsgi")])
def test_row_50_all_are_served_and_never_more_than_its_most_at_once(workers: int, subject: Subject) -> None:
    """Also where several workers take the last place in the same moment, and where one of them has all places."""
    with held(workers, subject, timeouts={"queue": "30s"}) as full, ThreadPoolExecutor(24) as clients:
        full.busy.delay_s = 0.01
        full.busy.may_answer.set()
        statuses = list(clients.map(lambda _: get(full.balancer.port).status, range(200)))
        assert statuses == [200] * 200
        assert full.busy.peak == LIMIT
        lines = wait_for("all lines", lambda: served(full.balancer, 200))
        assert max(line["queue_us"] for line in lines) > 5_000
        assert all(line["queue_us"] <= line["total_us"] for line in lines)
        assert full.balancer.inflight() == 0


def somebody_waits(state_dir: Path) -> bool:
    """As workers tell each other: since when, in the pool's own cells."""
    snapshot = snapshot_file.read(str(state_dir / "snapshot.json"))
    segment = Segment.open(snapshot.segment)
    try:
        return segment.inflight(snapshot.columns["pool:web"]) > 0
    finally:
        segment.close()


def served(balancer: Balancer, count: int) -> list[dict[str, Any]]:
    """The lines of so many requests, or none yet."""
    lines = [line for line in balancer.access_log() if line["status"] == 200]
    return lines if len(lines) >= count else []


def test_row_50_a_client_that_leaves_is_out_of_the_queue_and_never_reaches_the_backend() -> None:
    with held(1, queue={"size": 1}, timeouts={"queue": "30s"}) as full, ThreadPoolExecutor(LIMIT + 1) as clients:
        port = full.balancer.port
        working = [clients.submit(get, port) for _ in range(LIMIT)]
        wait_for("a full backend", lambda: full.busy.now == LIMIT)
        with socket.create_connection(("127.0.0.1", port)) as leaver:
            leaver.sendall(b"GET /leaver HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for("one that waits", lambda: somebody_waits(full.balancer.state_dir))
            _check_refused(get(port), "backend_full")
        line = full.balancer.wait_for_access("/leaver")
        assert (line["status"], line["reason"], line["attempts"]) == (499, "client_gone", 0)
        assert line["queue_us"] > 0
        waits = clients.submit(get, port)
        full.busy.may_answer.set()
        assert [one.result(30).status for one in [*working, waits]] == [200] * (LIMIT + 1)
        assert len(full.origin.requests) == LIMIT + 1
