"""The adaptive score: one number for how much room a backend has, from what it last said about itself. Pure."""

from __future__ import annotations

from lb.model import AdaptiveOptions

MAX_EFFECTIVE_WEIGHT = 5


def score(
    options: AdaptiveOptions, cpu_percent: float, memory_percent: float, inflight: float, latency_s: float
) -> float:
    """0.0 (every measure at or above its maximum) to 1.0 (nothing to do).

    Each measure counts by its weight in ``options``; the weights are taken relative to their sum.
    Worked: cpu 10 %, memory 60 %, 5 in flight, 50 ms with the defaults is
    0.4 x 0.90 + 0.2 x 0.40 + 0.2 x 0.95 + 0.2 x 0.95 = 0.82.
    """
    total = options.cpu + options.memory + options.inflight + options.latency
    if total <= 0.0:
        return 1.0
    used = (
        options.cpu * _part(cpu_percent / options.max_cpu_percent)
        + options.memory * _part(memory_percent / options.max_memory_percent)
        + options.inflight * _part(inflight / options.max_inflight)
        + options.latency * _part(latency_s / options.max_latency_s)
    )
    return 1.0 - used / total


def _part(used: float) -> float:
    """Held to 0..1, without the calls of ``min`` and ``max``: a pick computes several scores."""
    return 0.0 if used < 0.0 else 1.0 if used > 1.0 else used


def effective_weight(score: float) -> int:
    """1 to 5: even the worst backend gets some work, so that we see when it is better again."""
    return min(max(round(MAX_EFFECTIVE_WEIGHT * score), 1), MAX_EFFECTIVE_WEIGHT)
