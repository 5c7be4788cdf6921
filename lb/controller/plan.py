"""Which backends a snapshot wants probed and polled: a pure function of it."""

from __future__ import annotations

from dataclasses import dataclass

from lb.config.usable_policies import usable_policies
from lb.health.load import LoadTarget
from lb.health.probe import ProbeTarget
from lb.model import Snapshot
from lb.structs import replace

ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Poll:
    target: LoadTarget
    interval_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """By name of the backend (``POOL/ID``). Every backend is probed, if only by a probe of type none, but for those that
    an operator disabled. Weight and state are left out: a change of them disturbs no prober."""

    probes: dict[str, ProbeTarget]
    polls: dict[str, Poll]


def plan(snapshot: Snapshot) -> Plan:
    config = snapshot.config
    probes: dict[str, ProbeTarget] = {}
    polls: dict[str, Poll] = {}
    usable = usable_policies(config)
    for pool in config.pools:
        is_polled = ADAPTIVE in usable[pool.id]
        for backend in pool.backends:
            if backend.state == "disabled":
                continue
            name = f"{pool.id}/{backend.id}"
            backend = replace(backend, state="ready", weight=1)
            probes[name] = ProbeTarget(backend, pool.health, pool.tls, pool.slow_start_s)
            if is_polled:
                options = pool.adaptive
                timeout_s = min(pool.health.timeout_s, options.poll_interval_s)
                polls[name] = Poll(
                    LoadTarget(backend, pool.tls, options.metrics_path, timeout_s), options.poll_interval_s
                )
    return Plan(probes, polls)


def backend_column(snapshot: Snapshot, name: str) -> int:
    return snapshot.columns[f"backend:{name}"]
