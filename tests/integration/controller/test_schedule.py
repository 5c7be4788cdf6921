"""When the next probe comes: about an interval later, never in step with those of other balancers."""

from __future__ import annotations

import random

from lb.controller.cells import HealthCells
from lb.controller.prober import Prober
from lb.health.probe import ProbeTarget
from lb.model import BackendTls, Health, Pool
from tests.integration.controller.machine import Machine
from tests.unit.health.origin import Origin

INTERVAL_S = 600.0
JITTER_S = 60.0
PROBES = 200


def test_each_probe_comes_an_interval_and_up_to_a_tenth_more_or_less_after_the_last(machine: Machine) -> None:
    random.seed(52)
    with Origin() as origin:
        backend, health = origin.backend(), Health("http", interval_s=INTERVAL_S)
        machine.publish(Pool("web", (backend,), health=health))
        cells = HealthCells(machine.segment, machine.column("backend:web/b"))
        prober = Prober("web/b", ProbeTarget(backend, health, BackendTls()), cells)
        gaps = sorted(_gap_s(prober) for _ in range(PROBES))
        assert origin.connections == PROBES
    assert INTERVAL_S - JITTER_S <= gaps[0] < INTERVAL_S - JITTER_S / 2
    assert INTERVAL_S + JITTER_S / 2 < gaps[-1] <= INTERVAL_S + JITTER_S
    assert abs(sum(gaps) / PROBES - INTERVAL_S) < JITTER_S / 4


def _gap_s(prober: Prober) -> float:
    """From the start of a probe, made here, to that of the next."""
    wait_s = prober._step()
    assert prober.last_result is not None and prober.last_result.ok
    return wait_s + prober.last_result.duration_s
