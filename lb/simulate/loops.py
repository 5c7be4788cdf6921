"""What happens again and again beside the requests: probes, polls, and the counts that machines tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lb.policies.mean_time import INTERVAL_S
from lb.simulate.agenda import Agenda
from lb.simulate.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Intervals:
    poll_s: float
    probe_s: float
    sync_s: float


def plan_loops(agenda: Agenda, cluster: Cluster, intervals: Intervals, is_going: Callable[[], bool]) -> None:
    """Each goes on while ``is_going``."""

    def every(interval_s: float, act: Callable[[float], None]) -> None:
        def happen(turn: int) -> None:
            act(agenda.now)
            if is_going():
                agenda.plan((turn + 1) * interval_s, happen, turn + 1)

        agenda.plan(interval_s, happen, 1)

    every(intervals.poll_s, lambda now: cluster.reports.poll())
    if any(worker.needs_times for worker in cluster.workers):
        every(INTERVAL_S, lambda now: _look_at_times(cluster))
    if cluster.probes.are_needed:
        every(intervals.probe_s, lambda now: _probe(cluster, now))
    if len(cluster.machines) > 1:
        every(intervals.sync_s, lambda now: _exchange_counts(cluster))


def _probe(cluster: Cluster, now: float) -> None:
    passed, has_changed = cluster.probes.probe(now)
    for machine in cluster.machines:
        if has_changed or not machine.refused.isdisjoint(passed):
            machine.refused -= passed
            machine.refresh(now)


def _look_at_times(cluster: Cluster) -> None:
    for worker in cluster.workers:
        worker.look_at_times()


def _exchange_counts(cluster: Cluster) -> None:
    """From here to the next time each machine knows its own counts exactly and the others' of this instant."""
    machines = cluster.machines
    totals = [sum(column) for column in zip(*(machine.inflight for machine in machines), strict=True)]
    for machine in machines:
        machine.others[:] = [total - own for total, own in zip(totals, machine.inflight, strict=True)]
