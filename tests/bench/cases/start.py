"""From the command to the first proxied request, what a start and its end cost all processes, and a worker's memory at rest."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from statistics import median

from tests.bench import processes
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan
from tests.bench.systems.base import System, running

ROUNDS = 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Start:
    """``worker_bytes``: of the one worker; pages that it shares count by halves, thirds ..."""

    answered_s: float
    cpu_s: float
    worker_bytes: int


def run(plan: Plan) -> Outcome:
    rounds = plan.rounds if plan.quick else max(ROUNDS, plan.rounds)
    found: dict[str, list[Start]] = {system.name: [] for system in plan.balancers}
    for number in range(rounds):
        for system in plan.balancers:
            found[system.name].append(_start(plan, system, f"start-{number}-{system.name}"))
    header = ("system", "s to the first 200", "best", "CPU s, start and end", "MiB of a worker at rest")
    rows = tuple((name, *_row(starts)) for name, starts in found.items())
    ours = found.get("lb", [])
    figures = {
        "start_s": [one.answered_s for one in ours],
        "start_cpu_s": [one.cpu_s for one in ours],
        "worker_mib": [one.worker_bytes / MIB for one in ours],
    }
    raw = {name: [[one.answered_s, one.cpu_s, one.worker_bytes] for one in starts] for name, starts in found.items()}
    notes = ("not pinned; with lb the supervisor, the controller and what checks the configuration count as well",)
    return Outcome("start", (Table(f"{rounds} starts", header, rows, notes),), figures if ours else {}, raw)


def _row(starts: list[Start]) -> tuple[str, ...]:
    answered = [one.answered_s for one in starts]
    cpu_s = median(one.cpu_s for one in starts)
    worker = median(one.worker_bytes for one in starts)
    return f"{median(answered):.2f}", f"{min(answered):.2f}", f"{cpu_s:.2f}", f"{worker / MIB:.1f}"


def _start(plan: Plan, system: System, label: str) -> Start:
    site = replace(plan.site(label), cores="")
    before_s, began = _ended_cpu_s(), time.monotonic()
    with running(system, site) as balancer:
        answered_s = balancer.answered_at - began
        processes.wait_until_quiet(balancer.pids())
        worker_bytes = max(processes.memory_bytes([pid]) for pid in balancer.worker_pids())
    return Start(answered_s, _ended_cpu_s() - before_s, worker_bytes)


def _ended_cpu_s() -> float:
    """Of all children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
