"""Backends that say with their answers how busy they are (ORCA): who gets the work then, and what clients see of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import get
from tests.support.waiting import wait_for

IDLE = b"TEXT cpu_utilization=0.0,mem_utilization=0.0"
BUSY = b'JSON {"cpu_utilization": 1.0, "mem_utilization": 1.0}'
JUNK = b"BIN *"


@pytest.fixture(scope="module")
def origins() -> Iterator[list[FaultOrigin]]:
    with ExitStack() as stack:
        answers = [
            b"HTTP/1.1 200 OK\r\nX-Is: %d\r\nEndpoint-Load-Metrics: %b\r\nContent-Length: 2\r\n\r\nok" % (i, report)
            for i, report in enumerate((IDLE, BUSY, JUNK))
        ]
        yield [stack.enter_context(fault_origin(answering(answer))) for answer in answers]


@pytest.fixture(scope="module", params=["worker", "wsgi"])
def balancer(request: pytest.FixtureRequest, origins: list[FaultOrigin]) -> Iterator[Balancer]:
    ports = [origin.port for origin in origins]
    config = simple_config(ports, policy={"name": "adaptive", "poll_interval": "1h"})
    forwarding = simple_config(ports[:1], forward_load_reports=True)["pools"]["web"]
    config["pools"]["sidecar"] = forwarding
    config["routes"] = [
        {"exact": "/metrics", "action": "metrics"},
        {"path": "/sidecar", "pool": "sidecar"},
        {"pool": "web"},
    ]
    with running_balancer(config, request.param, with_controller=True) as running:
        yield running


def test_clients_do_not_see_reports_and_no_answer_fails_for_one(balancer: Balancer) -> None:
    seen = set()
    for _ in range(40):
        answer = get(balancer.port)
        assert answer.status == 200 and answer.values("endpoint-load-metrics") == []
        seen.add(answer.value("x-is"))
    assert seen == {"0", "1", "2"}


def test_unless_the_pool_passes_them_on(balancer: Balancer) -> None:
    assert get(balancer.port, "/sidecar").values("endpoint-load-metrics") == [IDLE.decode()]


def test_a_backend_that_says_it_is_busy_gets_less(balancer: Balancer) -> None:
    """Weight 2 (what is left of its score is inflight and latency) to 5."""
    taken = [get(balancer.port).value("x-is") for _ in range(300)]
    assert 0.2 < taken.count("1") / taken.count("0") < 0.75


def test_reports_are_counted(balancer: Balancer) -> None:
    def metrics() -> str:
        return get(balancer.port, "/metrics").body.decode()

    get(balancer.port)
    text = wait_for("the metric", lambda: found if "lb_load_reports_total{" in (found := metrics()) else "")
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith('lb_load_reports_total{pool="web"')]
    counted = {name: int(value) for name, value in rows}
    junk = [value for name, value in counted.items() if 'result="junk"' in name]
    read = [value for name, value in counted.items() if 'result="read"' in name]
    assert [value > 0 for value in junk] == [False, False, True]
    assert [value > 0 for value in read] == [True, True, False]
