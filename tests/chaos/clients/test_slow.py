"""Promise: 200 slow heads, 200 slow bodies and 200 slow readers at once, and good clients hardly notice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.chaos.clients.attack import OF_EACH_KIND, connected, raw_attack, slowhttptest_attack
from tests.support.balancer import Balancer
from tests.support.raw_client import RawClient, request
from tests.support.waiting import wait_for

PROMISED, SLACK = 2.0, 3.0
QUICK_ENOUGH_S = 0.02
"""A machine that runs other tests as well has such a 99th percentile, attacked or not."""
ROUNDS, REQUESTS = 4, 200


def p99_s(port: int) -> float:
    """Of requests one after the other on a kept connection."""
    took = []
    with RawClient(port) as client:
        for _ in range(REQUESTS):
            started = time.monotonic()
            client.send(request())
            assert client.receive_until(b"ok 0\n").data.startswith(b"HTTP/1.1 200 ")
            took.append(time.monotonic() - started)
    return sorted(took)[REQUESTS * 99 // 100]


@pytest.mark.parametrize("attackers", ["ours", "slowhttptest"])
def test_good_clients_are_served_as_ever_under_a_slow_attack(
    balancer: Balancer, attackers: str, requires: Callable[[str], str]
) -> None:
    ss, port = requires("ss"), balancer.port
    program = requires("slowhttptest") if attackers == "slowhttptest" else ""
    normal_s = max(p99_s(port) for _ in range(ROUNDS))
    with slowhttptest_attack(program, port) if program else raw_attack(port):
        wait_for("the attack", lambda: connected(ss, port) >= 3 * OF_EACH_KIND)
        attacked_s = min(p99_s(port) for _ in range(ROUNDS))
        assert connected(ss, port) > OF_EACH_KIND, "the attack was over too soon"
    assert attacked_s < PROMISED * SLACK * max(normal_s, QUICK_ENOUGH_S)
    assert "Traceback" not in balancer.log()
