"""Rows 50, 51, 54: slow and failing backends beside good ones, without any probe."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.integration.wire.conftest import Lane
from tests.support.behaviours import OK, answering

FAILING = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"


def test_row_50_a_slow_backend_does_not_slow_the_others(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.first.serve(answering(OK, delay_s=0.5))
    lane.second.serve(answering(OK))
    with ThreadPoolExecutor(8) as clients:
        took = list(clients.map(lambda _: _timed(lane), range(80)))
    assert sorted(took)[39] < 0.3


def _timed(lane: Lane) -> float:
    started = time.monotonic()
    assert lane.get().status == 200
    return time.monotonic() - started


def test_row_51_a_burst_of_5xx_ejects_a_backend(lane: Lane) -> None:
    lane.first.serve(answering(FAILING))
    lane.second.serve(answering(OK))
    statuses = [lane.get().status for _ in range(30)]
    assert statuses.count(500) == 5
    assert statuses[-15:] == [200] * 15


def test_row_51_the_last_ones_are_not_ejected(lane: Lane) -> None:
    """At most half of a pool: an outage of all shows as what it is."""
    lane.serve(answering(FAILING))
    assert [lane.get().status for _ in range(20)] == [500] * 20


def test_row_54_all_down_is_cheap_and_honest(lane: Lane) -> None:
    started = time.monotonic()
    answers = [lane.get() for _ in range(50)]
    assert {one.status for one in answers} == {503}
    assert all(one.value("retry-after") and len(one.body) < 300 for one in answers)
    assert time.monotonic() - started < 5
