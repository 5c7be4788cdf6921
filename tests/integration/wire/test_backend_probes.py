"""Rows 52 to 54: probes and real requests together, outages that end."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.wire.conftest import SLACK_S
from tests.support.balancer import Balancer, running_balancer
from tests.support.behaviours import OK, answering
from tests.support.fault_origin import Behaviour, FaultOrigin, fault_origin
from tests.support.raw_client import get
from tests.support.recorded import Recorded
from tests.support.waiting import wait_for

FAILING = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"
HEALTH = {"type": "http", "path": "/health", "interval": "300ms", "timeout": "200ms", "rise": 2, "fall": 2}
FAST_PROBE_S = 0.5
PROBES_TO_FALL = 4
"""More than it takes."""
FLAPPING = {"interval": "400ms", "rise": 1, "fall": 1}
INTERVAL_S, JITTER = 0.4, 0.1
CHANGES = 4

Origins = dict[str, tuple[FaultOrigin, FaultOrigin]]


def saying(health: Callable[[], bytes], traffic: bytes) -> Behaviour:
    """Another answer to probes than to everybody else."""
    return answering(lambda request: health() if request.target == "/health" else traffic)


def traffic(origin: FaultOrigin) -> list[Recorded]:
    return [one for one in origin.requests if one.target != "/health"]


@pytest.fixture(scope="module")
def origins() -> Iterator[Origins]:
    with ExitStack() as stack:
        names = ("flapping", "toggling", "hollow", "shy", "down")
        yield {name: (stack.enter_context(fault_origin()), stack.enter_context(fault_origin())) for name in names}


@pytest.fixture(scope="module")
def balancer(origins: Origins) -> Iterator[Balancer]:
    toggles = itertools.cycle([OK, FAILING, FAILING])
    origins["flapping"][0].serve(saying(lambda: next(toggles), OK))
    every_probe = itertools.cycle([OK, FAILING])
    origins["toggling"][0].serve(saying(lambda: next(every_probe), OK))
    origins["hollow"][0].serve(saying(lambda: OK, FAILING))
    origins["shy"][0].serve(saying(lambda: FAILING, OK))
    for name in ("flapping", "toggling", "hollow", "shy"):
        origins[name][1].serve(saying(lambda: OK, OK))
    pools = {
        name: {
            "backends": [f"http://127.0.0.1:{origin.port}" for origin in pair],
            "policy": "round_robin",
            "health": HEALTH | (FLAPPING if name == "toggling" else {}),
        }
        for name, pair in origins.items()
    }
    routes = [{"path": f"/{name}", "pool": name} for name in origins]
    with running_balancer({"pools": pools, "routes": routes}, with_controller=True) as running:
        for name in origins.keys() - {"down"}:
            wait_for("two probes", lambda name=name: len(origins[name][1].complete()) >= 2)
        wait_for("the controller to answer", lambda: get(running.ports["status"], "/metrics").status == 200)
        yield running


def test_row_52_a_flapping_health_endpoint_costs_no_request(balancer: Balancer) -> None:
    ends_at = time.monotonic() + 2
    statuses = []
    while time.monotonic() < ends_at:
        statuses.append(get(balancer.port, "/flapping").status)
    assert set(statuses) == {200}


def test_row_52_each_change_of_a_verdict_is_counted_and_there_is_one_per_interval_at_most(
    balancer: Balancer, origins: Origins
) -> None:
    flapping, steady = (f"127.0.0.1:{origin.port}" for origin in origins["toggling"])
    first, began = transitions(balancer, flapping), time.monotonic()
    wait_for("some changes more", lambda: transitions(balancer, flapping) >= first + CHANGES)
    last, took_s = transitions(balancer, flapping), time.monotonic() - began
    assert last - first <= took_s / (INTERVAL_S * (1 - JITTER)) + 1
    wait_for("the log to say as much", lambda: changes_told(balancer, flapping) == transitions(balancer, flapping))
    assert (transitions(balancer, steady), changes_told(balancer, steady)) == (0, 0)


def transitions(balancer: Balancer, backend: str) -> int:
    """As the metrics count them."""
    metrics = get(balancer.ports["status"], "/metrics").body.decode()
    (count,) = re.findall(rf'^lb_health_transitions_total{{pool="toggling",backend="{backend}"}} (\d+)$', metrics, re.M)
    return int(count)


def changes_told(balancer: Balancer, backend: str) -> int:
    """The first verdict is none."""
    return len(re.findall(rf"health backend=toggling/{backend} verdict=\w+ was=(?:up|down) ", balancer.log()))


def test_row_53_good_probes_do_not_hide_failing_traffic(balancer: Balancer, origins: Origins) -> None:
    statuses = [get(balancer.port, "/hollow").status for _ in range(20)]
    assert statuses.count(500) == 5
    first, _ = origins["hollow"]
    probes = len(first.requests)
    assert first.wait_until(lambda origin: len(origin.requests) >= probes + 3)
    assert [get(balancer.port, "/hollow").status for _ in range(10)] == [200] * 10


def test_row_53_bad_probes_take_out_what_would_answer(balancer: Balancer, origins: Origins) -> None:
    first, second = origins["shy"]
    assert first.wait_until(lambda origin: len(origin.complete()) >= PROBES_TO_FALL)
    before = len(traffic(first))
    assert [get(balancer.port, "/shy").status for _ in range(10)] == [200] * 10
    assert len(traffic(first)) == before
    assert len(traffic(second)) >= 10


def test_row_54_an_outage_ends_soon_after_the_backends_return(balancer: Balancer, origins: Origins) -> None:
    assert get(balancer.port, "/down").status == 503
    for origin in origins["down"]:
        origin.serve(saying(lambda: OK, OK))
    returned = time.monotonic()
    while get(balancer.port, "/down").status != 200:
        assert time.monotonic() < returned + 2 * FAST_PROBE_S + SLACK_S
        time.sleep(0.05)
