"""What a run says: figures of one policy, ready to be shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from lb.simulate.cluster import Cluster
from lb.simulate.record import Record
from lb.simulate.scenario import Scenario

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
CURVE = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100.0)
"""What the chart draws."""


@dataclass(frozen=True, slots=True)
class BackendFigures:
    id: str
    attempts: int
    share: float
    """Of its fair share by weight: 1.0 is exactly that."""
    busy: float
    """Part of its slots' time that it worked."""


@dataclass(frozen=True, slots=True)
class Result:
    """Latencies are in milliseconds, of answers only: errors are counted, and neither quick nor slow ones help."""

    policy: str
    requests: int
    answers: int
    errors: dict[str, int]
    retries: int
    mean_ms: float
    curve_ms: dict[float, float]
    """Percentile to latency; empty without an answer."""
    backends: tuple[BackendFigures, ...]
    near: dict[str, float]
    """Parts of the answers: ``region``, by a backend of the client's region; ``zone``, of the balancer's zone; ``session``, of
    answers to requests in a session, by its backend. Only what the scenario knows."""

    def percentile_ms(self, percent: float) -> float:
        """Of ``CURVE``; 0.0 without an answer."""
        return self.curve_ms.get(percent, 0.0)

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def most_share(self) -> float:
        return max(one.share for one in self.backends)

    @property
    def least_share(self) -> float:
        return min(one.share for one in self.backends)

    @property
    def busy_imbalance(self) -> float:
        """Busiest backend's part of busy time over the mean; 1.0 if nobody worked."""
        mean = sum(one.busy for one in self.backends) / len(self.backends)
        return max(one.busy for one in self.backends) / mean if mean else 1.0

    def as_data(self) -> dict[str, Any]:
        """For JSON. Rounded to what means something, so that it reads well and is the same everywhere."""
        return {
            "policy": self.policy,
            "requests": self.requests,
            "answers": self.answers,
            "errors": self.errors,
            "retries": self.retries,
            "mean_ms": round(self.mean_ms, 3),
            "percentiles_ms": {f"{percent:g}": round(ms, 3) for percent, ms in self.curve_ms.items()},
            "requests_max_over_mean": round(self.most_share, 4),
            "requests_min_over_mean": round(self.least_share, 4),
            "busy_max_over_mean": round(self.busy_imbalance, 4),
            **({"near": {name: round(part, 4) for name, part in self.near.items()}} if self.near else {}),
            "backends": {one.id: {"attempts": one.attempts, "busy": round(one.busy, 4)} for one in self.backends},
        }


def summarize(scenario: Scenario, policy: str, record: Record, cluster: Cluster) -> Result:
    latencies_s = sorted(record.latencies_s)
    return Result(
        policy=policy,
        requests=record.came,
        answers=len(latencies_s),
        errors=dict(sorted(record.errors.items())),
        retries=record.retries,
        mean_ms=1000 * sum(latencies_s) / len(latencies_s) if latencies_s else 0.0,
        curve_ms={percent: 1000 * _nearest_rank(latencies_s, percent) for percent in CURVE if latencies_s},
        backends=_backend_figures(scenario, record, cluster),
        near=_near(scenario, record),
    )


def _near(scenario: Scenario, record: Record) -> dict[str, float]:
    answers = len(record.latencies_s) or 1
    parts = {}
    if scenario.regions is not None:
        parts["region"] = record.in_region / answers
    if scenario.balancers.zones:
        parts["zone"] = record.in_zone / answers
    if scenario.clients.sticky:
        parts["session"] = record.kept / (record.in_session or 1)
    return parts


def _nearest_rank(ascending: Sequence[float], percent: float) -> float:
    return ascending[max(ceil(len(ascending) * percent / 100) - 1, 0)]


def _backend_figures(scenario: Scenario, record: Record, cluster: Cluster) -> tuple[BackendFigures, ...]:
    weights = [max(backend.weight, 1) for backend in scenario.backends]
    attempts = sum(backend.attempts for backend in cluster.backends)
    fair = max(attempts, 1) / sum(weights)
    time_s = record.last_s or 1.0
    return tuple(
        BackendFigures(
            backend.id,
            simulated.attempts,
            simulated.attempts / (fair * weight),
            min(simulated.busy_s / (behaviour.slots * time_s), 1.0),
        )
        for backend, weight, simulated, behaviour in zip(
            scenario.backends, weights, cluster.backends, scenario.behaviours, strict=True
        )
    )
