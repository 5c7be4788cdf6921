"""Polling of backends' own load, for pools that may be balanced by ``adaptive``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lb.controller.controller import Controller
from lb.model import AdaptiveOptions, Health, Pool, Route
from lb.state.layout import SH_CPU_MILLI, SH_LATENCY_US, SH_MEMORY_MILLI, SH_METRICS_NS
from tests.integration.controller.machine import Machine, wait_until
from tests.unit.health.origin import Origin, Script, status

OPTIONS = AdaptiveOptions(metrics_path="/load", poll_interval_s=0.2)
UNPROBED = Health("none")


def load(**values: Any) -> Script:
    document = {"cpu_usage": 10, "memory_usage": 60.5, "response_time": 0.05, **values}
    return status(200, json.dumps(document).encode())


def pool(origin: Origin, policy: str = "adaptive") -> Pool:
    return Pool("web", (origin.backend(),), policy=policy, adaptive=OPTIONS, health=UNPROBED)


def test_load_reaches_the_cells_and_is_kept_over_a_failure_but_not_for_ever(
    machine: Machine, controller: Controller
) -> None:
    with Origin(load()) as origin:
        machine.publish(pool(origin))
        controller.start()
        cells = machine.shared("web/b")
        wait_until(lambda: cells[SH_METRICS_NS])
        assert (cells[SH_CPU_MILLI], cells[SH_MEMORY_MILLI], cells[SH_LATENCY_US]) == (10_000, 60_500, 50_000)
        origin.script = load(cpu_usage=99.9)
        wait_until(lambda: cells[SH_CPU_MILLI] == 99_900)
        origin.script = status(500)
        polls = origin.connections
        wait_until(lambda: origin.connections > polls)
        assert cells[SH_METRICS_NS]
        wait_until(lambda: cells[SH_METRICS_NS] == 0)
        assert cells[SH_CPU_MILLI] == 99_900


@pytest.mark.parametrize(
    "route",
    [Route("r", "pool", pool="web", policy="adaptive"), Route("r", "pool", pool="web", algo_override=True)],
    ids=["policy", "override"],
)
def test_a_route_alone_can_ask_for_it(machine: Machine, controller: Controller, route: Route) -> None:
    with Origin(load()) as origin:
        machine.publish(pool(origin, "round_robin"), routes=(route,))
        controller.start()
        wait_until(lambda: machine.shared("web/b")[SH_METRICS_NS])


def test_nobody_is_polled_who_need_not_be(machine: Machine, controller: Controller) -> None:
    with Origin(load()) as origin, Origin(load()) as adaptive:
        polled = Pool("other", (adaptive.backend(),), policy="adaptive", adaptive=OPTIONS, health=UNPROBED)
        machine.publish(pool(origin, "round_robin"), polled, routes=(Route("r", "pool", pool="web"),))
        controller.start()
        wait_until(lambda: adaptive.connections >= 3)
        assert origin.connections == 0


def test_numbers_do_not_outlive_the_policy(machine: Machine, controller: Controller) -> None:
    with Origin(load()) as origin:
        machine.publish(pool(origin))
        controller.start()
        wait_until(lambda: machine.shared("web/b")[SH_METRICS_NS])
        machine.publish(pool(origin, "round_robin"))
        wait_until(lambda: machine.shared("web/b")[SH_METRICS_NS] == 0)
