"""Rows 32 to 36: backends that cannot be reached, or leave before they answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.integration.wire.conftest import CONNECT_S, SLACK_S, TOTAL_S, Lane
from tests.support.behaviours import (
    answering,
    answering_then,
    closing_after_each,
    closing_on_accept,
    closing_unanswered,
    resetting_on_accept,
)
from tests.support.raw_client import RawClient, request

IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


def test_row_32_a_refused_connect_is_tried_elsewhere_for_any_method(lane: Lane) -> None:
    lane.second.serve(answering())
    assert [lane.get(method="POST", body=b"x" * 10).status for _ in range(6)] == [200] * 6
    assert len(lane.second.complete()) == 6


def test_row_32_all_refused_is_503_with_retry_after(lane: Lane) -> None:
    for answer in (lane.get(), lane.get(method="POST", body=b"x")):
        assert answer.status == 503
        assert answer.value("retry-after").isdigit()
        assert answer.value("content-type").startswith("application/json")


def test_row_33_a_black_hole_costs_one_connect_timeout(lane: Lane) -> None:
    lane.first.black_hole()
    lane.second.serve(answering())
    started = time.monotonic()
    assert [lane.get().status for _ in range(4)] == [200] * 4
    assert time.monotonic() - started < 4 * CONNECT_S + SLACK_S


def test_row_33_only_black_holes_is_504_within_the_total(lane: Lane) -> None:
    lane.first.black_hole()
    lane.second.black_hole()
    started = time.monotonic()
    assert lane.get().status == 504
    assert time.monotonic() - started < TOTAL_S + SLACK_S


def test_row_34_reset_on_accept_is_tried_elsewhere_when_idempotent(lane: Lane) -> None:
    lane.first.serve(resetting_on_accept())
    lane.second.serve(answering())
    assert [lane.get(method=method).status for method in IDEMPOTENT * 2] == [200] * 10


def test_row_34_reset_on_accept_never_sends_a_post_twice(lane: Lane) -> None:
    lane.first.serve(resetting_on_accept())
    lane.second.serve(answering())
    statuses = [lane.get(method="POST", body=b"once").status for _ in range(6)]
    assert set(statuses) <= {200, 502}
    assert len(lane.second.complete()) == statuses.count(200)


def test_row_35_keep_alive_that_ends_any_moment_never_shows(lane: Lane) -> None:
    """2,000 GETs to backends that close 0 to 50 ms after each answer (WSGI: 600, the same code)."""
    count = 500 if lane.balancer.subject == "worker" else 150
    pauses = [0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05]
    lane.first.serve(closing_after_each(pauses))
    lane.second.serve(closing_after_each(pauses[::-1]))
    with ThreadPoolExecutor(4) as clients:
        statuses = list(clients.map(lambda _: _statuses(lane, count), range(4)))
    assert statuses == [[200] * count] * 4


def _statuses(lane: Lane, count: int) -> list[int]:
    with RawClient(lane.balancer.port) as client:
        found = []
        for _ in range(count):
            client.send(request(lane.path + "/"))
            found.append(int(client.receive_until(b"ok 0\n").data[9:12] or 0))
        return found


def test_row_36_an_idempotent_request_without_an_answer_gets_one_more_try(lane: Lane) -> None:
    lane.first.serve(closing_unanswered())
    lane.second.serve(answering())
    assert [lane.get(method=method).status for method in IDEMPOTENT] == [200] * len(IDEMPOTENT)
    assert [one.method for one in lane.second.complete()] == list(IDEMPOTENT)


def test_row_36_no_more_than_one(lane: Lane) -> None:
    lane.serve(closing_unanswered())
    assert lane.get().status == 502
    assert len(lane.requests) == 2


def test_row_36_a_post_without_an_answer_is_502_and_not_repeated(lane: Lane) -> None:
    lane.serve(closing_unanswered())
    assert [lane.get(method="POST", body=b"once").status for _ in range(4)] == [502] * 4
    assert len(lane.requests) == 4


def test_row_36_closing_on_accept_is_tried_elsewhere_when_idempotent(lane: Lane) -> None:
    lane.first.serve(closing_on_accept())
    lane.second.serve(answering())
    assert [lane.get().status for _ in range(4)] == [200] * 4


def test_row_36_a_post_whose_answer_had_begun_is_not_repeated_even_without_a_body(lane: Lane) -> None:
    """The connection is a reused one, but it was not stale: something came."""
    lane.serve(answering_then(b"HTTP/1.1 200 OK\r\nX-Begun: "))
    for _ in range(4):
        lane.get()
    assert lane.get(method="POST", body=b"").status == 502
    assert [one.method for one in lane.requests].count("POST") == 1
