"""Rows 50, 51, 54: slow and failing backends beside good ones, without any probe."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.wire.conftest import Lane
from tests.support.behaviours import OK, answering, closing_on_accept, closing_unanswered, resetting_on_accept
from tests.support.fault_origin import Behaviour

SLOW_S = 0.4
SLOW = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"
FAILING = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"


def test_row_50_a_slow_backend_does_not_slow_the_others(lane: Lane) -> None:
    """Its own requests take as long as it takes, all others no longer than without it."""
    lane.first.serve(answering(SLOW, delay_s=SLOW_S))
    lane.second.serve(answering(OK))
    assert {timed(lane)[1] for _ in range(2)} == {b"slow", b"ok"}
    with ThreadPoolExecutor(8) as clients:
        asked = list(clients.map(lambda _: timed(lane), range(48)))
    quick = sorted(took_s for took_s, body in asked if body == b"ok")
    assert len(quick) >= 12
    assert quick[len(quick) // 2] < SLOW_S / 2
    assert len(asked) - len(quick) >= 12, "round robin asks it as often"


def timed(lane: Lane) -> tuple[float, bytes]:
    """How long a request took, and the answer's body."""
    started = time.monotonic()
    answer = lane.get()
    assert answer.status == 200
    return time.monotonic() - started, answer.body


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


def test_row_51_an_ejected_one_is_asked_where_nobody_else_is_left(lane: Lane) -> None:
    """Its errors may be over. Who refuses is not asked."""
    says = [FAILING]
    lane.first.serve(answering(lambda _: says[-1]))
    lane.second.serve(answering(OK))
    assert [lane.get().status for _ in range(30)].count(500) == 5
    says.append(OK)
    lane.second.close()
    asked = len(lane.first.complete())
    assert [lane.get().status for _ in range(10)] == [200] * 10
    assert len(lane.first.complete()) == asked + 10


def test_row_54_all_down_is_cheap_and_honest(lane: Lane) -> None:
    started = time.monotonic()
    answers = [lane.get() for _ in range(50)]
    assert {one.status for one in answers} == {503}
    assert all(one.value("retry-after") and len(one.body) < 300 for one in answers)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("failing", [resetting_on_accept(), closing_on_accept(), closing_unanswered()])
def test_row_54_a_request_that_all_fail_is_tried_once_at_each_and_answered_once(lane: Lane, failing: Behaviour) -> None:
    lane.serve(failing)
    for number in range(1, 21):
        answer = lane.exchange("/tried").answer()
        assert answer.status in (502, 503)
        assert json.loads(answer.body).keys() == {"error", "reason", "request_id"}
        assert len(answer.body) < 300
        assert max(lane.first.connections, lane.second.connections) <= number


def test_row_54_what_refuses_is_asked_once_and_then_no_more(lane: Lane) -> None:
    for number in range(10):
        assert lane.get(f"/refused/{number}").status == 503
    attempts = [lane.balancer.wait_for_access(f"{lane.path}/refused/{number}")["attempts"] for number in range(10)]
    assert attempts == [2] + [0] * 9, "each of both by the first request, and none until a probe found them back"
