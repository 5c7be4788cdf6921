"""Rows 33, 34: what a firewall does to connections, in a network of our own where there is one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.wire.conftest import CONNECT_S, FIRST_BYTE_S, QUICK, SLACK_S, TOTAL_S, Bench, Lane
from tests.support.behaviours import answering
from tests.support.private_network import PrivateNetwork, to_port


@pytest.fixture(scope="module", params=["worker", "wsgi"])
def bench(request: pytest.FixtureRequest, network: PrivateNetwork) -> Iterator[Bench]:
    with ExitStack() as stack:
        with network.entered():
            opened = Bench(stack, request.param, lanes=7, timeouts=QUICK, listener={})
        yield opened


@pytest.fixture
def lane(bench: Bench, network: PrivateNetwork) -> Iterator[Lane]:
    """The test runs inside the network, with two backends that are well."""
    with network.entered():
        lane = bench.lane()
        lane.serve(answering())
        yield lane


def ask(lane: Lane, count: int, method: str = "GET") -> list[int]:
    return [lane.get(method=method, body=b"once" if method == "POST" else None).status for _ in range(count)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_row_33_a_firewall_that_drops_costs_one_connect_timeout(
    lane: Lane, network: PrivateNetwork, method: str
) -> None:
    with network.dropping(to_port(lane.first.port)):
        started = time.monotonic()
        assert ask(lane, 4, method) == [200] * 4
        assert CONNECT_S * 0.9 < time.monotonic() - started < 4 * CONNECT_S + SLACK_S
    assert len(lane.second.complete()) == 4


def test_row_33_firewalls_before_all_backends_are_504_within_the_total(lane: Lane, network: PrivateNetwork) -> None:
    with network.dropping(to_port(lane.first.port), to_port(lane.second.port)):
        started = time.monotonic()
        assert ask(lane, 1) == [504]
        assert 2 * CONNECT_S * 0.9 < time.monotonic() - started < TOTAL_S + SLACK_S
    assert lane.requests == []


def test_row_33_a_backend_that_vanishes_from_kept_connections_costs_one_timeout(
    lane: Lane, network: PrivateNetwork
) -> None:
    """Nothing says that they are dead but that no answer comes; a POST may have arrived, so it is not repeated."""
    assert ask(lane, 4) == [200] * 4
    with network.dropping(to_port(lane.first.port)):
        started = time.monotonic()
        assert set(ask(lane, 2, "POST")) == {200, 504}
        assert FIRST_BYTE_S * 0.9 < time.monotonic() - started < FIRST_BYTE_S + SLACK_S
        assert ask(lane, 4) == [200] * 4
    assert [one.method for one in lane.second.complete()].count("POST") == 1, "the other one's comes late, if at all"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_row_34_a_firewall_that_resets_connects_is_no_ones_error(
    lane: Lane, network: PrivateNetwork, method: str
) -> None:
    with network.resetting(to_port(lane.first.port)):
        assert ask(lane, 6, method) == [200] * 6
    assert len(lane.second.complete()) == 6


def test_row_34_a_firewall_that_resets_kept_connections_is_seen_by_no_get(lane: Lane, network: PrivateNetwork) -> None:
    assert ask(lane, 4) == [200] * 4
    with network.resetting(to_port(lane.first.port)):
        statuses = ask(lane, 2, "POST")
        assert set(statuses) <= {200, 502}
        assert ask(lane, 6) == [200] * 6
    posts = [one for one in lane.complete() if one.method == "POST"]
    assert len(posts) == statuses.count(200)
