"""Row 16: trailers by the thousand, from either side: bounded, and nothing of them is believed."""

from __future__ import annotations

import time

import pytest

from tests.integration.wire.conftest import SLACK_S, Lane
from tests.support.behaviours import CHUNKED_HEAD, answering, closing_after
from tests.support.fault_origin import Behaviour, Connection
from tests.support.raw_client import RawClient, Received, request
from tests.support.scale import MIB

MANY = b"".join(b"X-T%d: v\r\n" % number for number in range(2000))
LARGE = b"".join(b"X-T%d: %b\r\n" % (number, b"v" * 8000) for number in range(9))
START = CHUNKED_HEAD + b"2\r\nok\r\n0\r\n"
BEHIND = b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize("trailers", [MANY, LARGE], ids=["2,000", "72 KB"])
def test_row_16_too_many_trailers_are_431_and_never_a_whole_request(worker_lane: Lane, trailers: bytes) -> None:
    lane = worker_lane
    lane.serve(answering())
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path, method="POST", fields=[CHUNKED]) + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n")
        received = client.receive(idle_s=5)
    assert (received.answer("POST").status, received.is_closed) == (431, True)
    assert lane.is_free_within(SLACK_S)
    assert lane.complete() == []


def test_row_16_trailers_that_never_end_are_431_in_constant_memory(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.serve(answering())
    with lane.balancer.growing_less_than(8 * MIB), RawClient(lane.balancer.port) as client:
        client.send(request(lane.path, method="POST", fields=[CHUNKED]) + b"5\r\nhello\r\n0\r\n")
        client.send_pieces([b"X-T: v\r\n" * 8192] * 160, 0.0)
        received = client.receive(idle_s=5)
    assert (received.answer("POST").status, received.is_closed) == (431, True)
    assert lane.is_free_within(SLACK_S)
    assert lane.complete() == []


@pytest.mark.parametrize("trailers", [MANY, LARGE], ids=["2,000", "72 KB"])
def test_row_16_too_many_trailers_of_a_backend_cut_its_answer(lane: Lane, trailers: bytes) -> None:
    lane.serve(in_two(START, trailers + BEHIND))
    received = lane.exchange("/many")
    assert b"X-T" not in received.data and b"evil" not in received.data
    check_is_cut(received)
    lane.serve(answering())
    assert [lane.get().body for _ in range(4)] == [b"ok 0\n"] * 4
    assert lane.balancer.wait_for_access(lane.path + "/many")["reason"] == "upstream_truncated"


def test_row_16_too_many_trailers_that_come_with_the_head_are_502(lane: Lane) -> None:
    lane.serve(closing_after(START + MANY + BEHIND))
    received = lane.exchange("/at-once")
    assert b"X-T" not in received.data and b"evil" not in received.data
    answers = received.answers()
    assert [(one.status, one.is_complete) for one in answers] in ([(502, True)], [(200, False)])
    assert received.is_closed


def in_two(head: bytes, rest: bytes) -> Behaviour:
    """The second part comes when the first has long been passed on."""

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(head)
        time.sleep(0.2)
        connection.send(rest)

    return serve


def test_row_16_trailers_of_a_backend_that_never_end_are_cut_in_constant_memory(lane: Lane) -> None:
    lane.serve(endless)
    with lane.balancer.growing_less_than(8 * MIB):
        received = lane.exchange("/endless")
    check_is_cut(received)
    assert lane.is_free_within(SLACK_S)


def endless(connection: Connection) -> None:
    in_two(START, b"")(connection)
    while True:
        connection.send(b"X-T: v\r\n" * 8192)


def check_is_cut(received: Received) -> None:
    """The head is out, so all that can be said is that the answer is not whole."""
    assert received.is_closed
    assert [one.is_complete for one in received.answers()] in ([], [False])
