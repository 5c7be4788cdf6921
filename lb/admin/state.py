"""What the machine is doing now, as plain values for JSON: the body of ``GET /api/v1/state``.

Additive: fields may be added, none changes its meaning. Counters are sums since the segment began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lb
from lb.health.checker import VERDICT_NAMES
from lb.health.probe import ProbeResult
from lb.metrics.machine import DRAINING, READY
from lb.metrics.reading import Counted, Reading, read_counters
from lb.metrics.traffic import CODES, ERRORS
from lb.model import Backend, Pool, Route, Snapshot
from lb.state.layout import (
    C_COUNT,
    C_DURATION_US,
    C_RETRIES,
    H_CONTROLLER_BEAT_NS,
    H_CONTROLLER_PID,
    H_PROBED_GENERATION,
    SH_CPU_MILLI,
    SH_EJECTED_UNTIL_NS,
    SH_LATENCY_US,
    SH_MEMORY_MILLI,
    SH_METRICS_NS,
    SH_PROBE_OK_NS,
    SH_REFUSED_NS,
    SH_SHARE_MILLI,
    SH_VERDICT,
    SLOT_BEAT_NS,
    SLOT_GENERATION,
    SLOT_PID,
    SLOT_READY,
)
from lb.state.operator import Entry, Overlay
from lb.state.segment import Segment

if TYPE_CHECKING:
    from lb.controller.sync import Sync

Json = dict[str, Any]
_WORKER_STATES = {READY: "ready", DRAINING: "draining"}


def degraded(problem: str) -> Json:
    """The answer while there is nothing to read."""
    return {"problem": problem, "generation": 0, "workers": [], "pools": [], "routes": []}


def describe(
    snapshot: Snapshot,
    segment: Segment,
    probes: Mapping[str, ProbeResult | None],
    now_ns: int,
    problem: str,
    overlay: Overlay,
) -> Json:
    """``probes``: the last result by backend (``POOL/ID``), where known; ``overlay``: what operators changed."""
    reading = read_counters(snapshot, segment)
    return {
        "problem": problem,
        "source": snapshot.config.source,
        "generation": snapshot.generation,
        "controller": _controller(segment, now_ns),
        "workers": [_worker(segment, slot, now_ns) for slot in segment.live_slots()],
        "connections_open": reading.worker.inflight if reading.worker else 0,
        "pools": _pools(snapshot, reading, probes, now_ns),
        "routes": _routes(snapshot, reading),
        "operator": _operator(snapshot, overlay),
    }


def _operator(snapshot: Snapshot, overlay: Overlay) -> Json:
    return {
        "cluster_generation": overlay.generation,
        "cluster": {name: _entry(entry) for name, entry in overlay.cluster.items()},
        "machine": {name: _entry(entry) for name, entry in overlay.machine.items()},
        "problems": list(snapshot.problems),
    }


def _entry(entry: Entry) -> Json:
    said: Json = {"state": entry.state, "weight": entry.weight, "added": entry.added is not None or None}
    said |= {"removed": entry.is_removed or None, "by": entry.by, "generation": entry.generation}
    return {key: value for key, value in said.items() if value is not None}


def describe_store(sync: Sync, own: str) -> Json:
    """The store and who shares it, as last heard; nothing while no store is configured. ``probes_by``: the machine that
    probes for all, where some pool wants one to; while the store is away each does for itself."""
    link = sync.link
    if link is None:
        return {}
    presence = sync.part("presence")
    others: Mapping[str, Any] = getattr(presence, "others", {})
    machines = [
        {"name": one.name, "version": one.version, "generation": one.generation, "workers": one.workers}
        for one in others.values()
    ]
    problems = list(getattr(presence, "problems", ()))
    store = {"address": str(link.address), "is_up": link.is_up, "problem": link.problem, "problems": problems}
    said: Json = {"machine": own, "version": lb.__version__, "machines": machines, "store": store}
    probes_by = getattr(sync.part("verdicts"), "prober", "") if link.is_up else ""
    return said | ({"probes_by": probes_by} if probes_by else {})


def _controller(segment: Segment, now_ns: int) -> Json:
    header = segment.header
    return {
        "pid": header[H_CONTROLLER_PID],
        "beat_age_s": _age_s(header[H_CONTROLLER_BEAT_NS], now_ns),
        "probed_generation": header[H_PROBED_GENERATION],
    }


def _worker(segment: Segment, slot: int, now_ns: int) -> Json:
    row = segment.slot_cells(slot)
    return {
        "slot": slot,
        "pid": row[SLOT_PID],
        "state": _WORKER_STATES.get(row[SLOT_READY], "starting"),
        "generation": row[SLOT_GENERATION],
        "beat_age_s": _age_s(row[SLOT_BEAT_NS], now_ns),
    }


def _pools(snapshot: Snapshot, reading: Reading, probes: Mapping[str, ProbeResult | None], now_ns: int) -> list[Json]:
    counted = {"/".join(row.labels): row for row in reading.backends}
    retries = {row.labels[0]: row.totals[C_RETRIES] for row in reading.pools}

    def members(pool: Pool) -> list[Json]:
        named = ((f"{pool.id}/{backend.id}", backend) for backend in pool.backends)
        return [_backend(b, counted[name], probes.get(name), now_ns) for name, b in named if name in counted]

    return [
        {"id": pool.id, "policy": pool.policy, "retries": retries.get(pool.id, 0), "backends": members(pool)}
        for pool in snapshot.config.pools
    ]


def _backend(backend: Backend, counted: Counted, result: ProbeResult | None, now_ns: int) -> Json:
    shared = counted.shared
    is_ejected = shared[SH_EJECTED_UNTIL_NS] > now_ns
    return {
        "id": backend.id,
        "address": backend.address,
        "weight": backend.weight,
        "region": backend.region,
        "backup": backend.backup,
        "priority": backend.priority,
        "state": backend.state,
        "max_inflight": backend.max_inflight,
        "verdict": VERDICT_NAMES.get(shared[SH_VERDICT], "unknown"),
        "is_eligible": counted.is_up and not is_ejected and backend.state == "ready",
        "is_refusing": shared[SH_REFUSED_NS] > shared[SH_PROBE_OK_NS],
        "is_ejected": is_ejected,
        "share": shared[SH_SHARE_MILLI] / 1000 or 1.0,
        "errors": {reason: counted.totals[cell] for reason, cell in ERRORS},
        "last_probe": None if result is None else _probe(result),
        "load": _load(shared, now_ns),
        **_traffic(counted),
    }


def _routes(snapshot: Snapshot, reading: Reading) -> list[Json]:
    counted = {row.labels[0]: row for row in reading.routes}
    return [
        {
            "id": route.id,
            "match": _match(route),
            "action": route.action,
            "pool": route.pool,
            **_traffic(counted[route.id]),
        }
        for route in snapshot.config.routes
        if route.id in counted
    ]


def _match(route: Route) -> str:
    """The condition in short, for people."""
    methods, hosts = ",".join(route.methods), ",".join(route.hosts)
    path = route.path if route.exact or not route.path else route.path.rstrip("/") + "/…"
    return " ".join(part for part in (methods, hosts, path) if part) or "everything"


def _traffic(counted: Counted) -> Json:
    totals = counted.totals
    return {
        "inflight": counted.inflight,
        "requests": totals[C_COUNT],
        "duration_s": totals[C_DURATION_US] / 1e6,
        "codes": {code: totals[cell] for code, cell in CODES},
    }


def _probe(result: ProbeResult) -> Json:
    return {"ok": result.ok, "reason": result.reason, "duration_ms": round(result.duration_s * 1000, 3)}


def _load(shared: list[int], now_ns: int) -> Json | None:
    if not shared[SH_METRICS_NS]:
        return None
    return {
        "cpu_percent": shared[SH_CPU_MILLI] / 1000,
        "memory_percent": shared[SH_MEMORY_MILLI] / 1000,
        "response_time_s": shared[SH_LATENCY_US] / 1e6,
        "age_s": _age_s(shared[SH_METRICS_NS], now_ns),
    }


def _age_s(at_ns: int, now_ns: int) -> float | None:
    return round((now_ns - at_ns) / 1e9, 3) if at_ns else None
