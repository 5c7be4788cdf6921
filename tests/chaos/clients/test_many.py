"""Row 30: more connections than anybody needs, and more than there are descriptors for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.support.raw_client import RawClient, get, request

CONNECTIONS = 5_000
FEW_DESCRIPTORS = 300
MOST = FEW_DESCRIPTORS * 4 // 5
SLACK_S = 3.0
NO_DESCRIPTORS = "Too many open files"


def test_five_thousand_connections_are_in_nobodys_way(balancer: Balancer) -> None:
    """Idle ones, half-sent heads, and some that have been served and wait."""
    with ExitStack() as held:
        for number in range(CONNECTIONS):
            client = held.enter_context(RawClient(balancer.port, source=f"127.2.{number // 250}.{number % 250 + 1}"))
            if number % 3:
                client.send(request() if number % 3 == 1 else b"GET /")
        started = time.monotonic()
        assert [get(balancer.port).status for _ in range(10)] == [200] * 10
        assert time.monotonic() - started < SLACK_S
    assert get(balancer.port).status == 200
    assert NO_DESCRIPTORS not in balancer.log()
    assert "Traceback" not in balancer.log()


@pytest.fixture
def cramped(requires: Callable[[str], str]) -> Iterator[Balancer]:
    """With few descriptors, and one backend."""
    few = (requires("prlimit"), f"--nofile={FEW_DESCRIPTORS}")
    with fault_origin(answering()) as origin, running_balancer(simple_config([origin.port]), through=few) as running:
        yield running


def test_those_there_are_no_descriptors_for_wait_their_turn(cramped: Balancer) -> None:
    """They are neither refused nor an error of anybody who is served."""
    with ExitStack() as waiting, ExitStack() as served:
        for _ in range(MOST):
            assert status(asked(cramped, served)) == 200
        more = [asked(cramped, waiting) for _ in range(100)]
        assert more[-1].receive(idle_s=0.3).data == b""
        served.close()
        assert [status(client) for client in more] == [200] * len(more)
    assert NO_DESCRIPTORS not in cramped.log()
    assert "Traceback" not in cramped.log()


def test_a_worker_without_descriptors_for_its_backends_says_so_and_lives(cramped: Balancer) -> None:
    """As many requests at once as it takes connections: half of them find no descriptor for their backend."""
    worker = cramped.workers()[0].pid
    with ExitStack() as held:
        clients = [held.enter_context(RawClient(cramped.port)) for _ in range(2 * MOST)]
        for client in clients:
            client.send(request(fields=["Connection: close"]))
        assert {status(client) for client in clients} <= {200, 503}
    assert get(cramped.port).status == 200
    assert [one.pid for one in cramped.workers()] == [worker]
    assert "Traceback" not in cramped.log()


def asked(balancer: Balancer, held: ExitStack) -> RawClient:
    client = held.enter_context(RawClient(balancer.port))
    client.send(request())
    return client


def status(client: RawClient) -> int:
    """Of the answer; 0 for none."""
    return int(client.receive_until(b"\r\n\r\n", 3.0).data[9:12] or 0)
