"""A request that comes back to where it was: by a name, another balancer, a proxy in between."""

from __future__ import annotations

import json

import pytest

from lb.http1.forwarded import MOST_PASSES
from tests.integration.wire.conftest import SLACK_S, Lane
from tests.support.fault_origin import Behaviour, Connection
from tests.support.raw_client import exchange


def sending_back_to(port: int) -> Behaviour:
    """What comes is sent to ``port``, and what that answers is the answer."""

    def serve(connection: Connection) -> None:
        request = connection.request()
        head = request.head.rstrip(b"\r\n") + b"\r\nConnection: close\r\n\r\n"
        connection.send(exchange(port, head + request.body).data)

    return serve


@pytest.mark.parametrize("body", [b"", b"once"])
def test_a_request_that_goes_in_circles_is_508_after_a_few_rounds(lane: Lane, body: bytes) -> None:
    lane.serve(sending_back_to(lane.balancer.port))
    answer = lane.exchange("/circle", method="POST" if body else "GET", body=body).answer()
    assert (answer.status, json.loads(answer.body)["reason"]) == (508, "loop_detected")
    assert len(lane.requests) == MOST_PASSES
    assert lane.is_free_within(SLACK_S)
    assert lane.balancer.inflight() == 0
