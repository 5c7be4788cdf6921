"""Rows 46 to 49: what must not be left behind on a connection that is used again."""

from __future__ import annotations

from threading import Semaphore

import pytest

from tests.integration.wire.conftest import Lane
from tests.support.behaviours import OK, answering, plain, refusing_early, timing_out_idle
from tests.support.raw_client import RawClient, request

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("HEAD", OK, 200),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", 304),
        ("GET", OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200),
        ("GET", OK + b"EXTRA", 200),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK, 200),
    ],
)
def test_rows_46_47_nothing_behind_an_answer_reaches_the_next_client(
    lane: Lane, method: str, answer: bytes, status: int
) -> None:
    lane.serve(answering(lambda request: answer if request.target.endswith("/odd") else plain(request)))
    with RawClient(lane.balancer.port) as client:
        for _ in range(4):
            client.send(request(lane.path + "/odd", method=method) + request(lane.path + "/canary"))
            received = client.receive_until(b"ok 0\n")
            assert [one.status for one in received.answers(method, "GET")] == [status, 200]
            assert b"evil" not in received.data


def test_row_48_an_early_answer_reaches_a_client_that_still_uploads(lane: Lane) -> None:
    lane.serve(refusing_early())
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path + "/", method="POST", fields=[f"Content-Length: {10 * MIB}"]))
        client.send_pieces([b"x" * 65536] * 160, 0.0)
        received = client.receive(idle_s=5)
    assert received.answer("POST").status == 413
    assert received.answer("POST").body == b"no\n"
    assert received.is_closed


def test_row_49_an_answer_on_an_idle_connection_is_nobodys(lane: Lane) -> None:
    is_idle, has_spoken = Semaphore(0), Semaphore(0)
    lane.serve(timing_out_idle(is_idle, has_spoken))
    for _ in range(8):
        assert lane.get().body == b"ok 0\n"
        is_idle.release()
        assert has_spoken.acquire(timeout=10)
