"""``peak_ewma``: of two different members drawn at random, the one that promises the earlier answer.

From Finagle's and tower's peak EWMA: the cost of a member is its latency times the requests it would have in
flight, per weight. What is ours was found by simulation (tests/unit/policies/test_simulation.py):

- Latencies within a factor ``ALIKE`` of each other count as equal, and the fewer requests in flight decide.
  Otherwise, whoever happens to be 10 % faster in a pool of equals takes nearly all of it while it is quiet.
- Beyond that the ratio counts squared, so an idle backend that is 5 times slower does not win from a fast
  one with five requests in flight. The ratio counts up to ``BELIEVED``: a backend that hangs may look
  fast until its first answer is due, and must not swallow everything in the meantime.
- A member whose latency is unknown is tried as soon as it is drawn, but with one request at a time:
  while it is busy it loses against any known one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.pairs import Pair, pair_of
from lb.policies.weights import by_member, is_even, only, weighted

ALIKE = 2.0
BELIEVED = 4.0


@dataclass(frozen=True, slots=True)
class LowestPeakEwma:
    """The default of a pool: keeps away from slow backends, and is fair among equals."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        draw = pair_of(positions, weights)
        return _even(draw) if is_even(weights) else _weighted(draw, by_member(members, positions, weights))


def cost(latency_s: float, other_s: float, load: int) -> float:
    """What one of two members of unlike latency costs; ``other_s`` is the latency of the other one."""
    if latency_s == 0.0:
        return inf if load else 0.0
    believed_s = max(latency_s, other_s / BELIEVED)
    return believed_s * believed_s * (load + 1)


def _even(draw: Pair) -> Picker:
    def pick(ctx: PickContext) -> int:
        a, b = draw(ctx)
        latency_a, latency_b = ctx.latency(a), ctx.latency(b)
        load_a, load_b = ctx.load(a), ctx.load(b)
        if latency_a <= ALIKE * latency_b and latency_b <= ALIKE * latency_a:  # also when both are unknown
            return b if load_b < load_a else a
        return b if cost(latency_b, latency_a, load_b) < cost(latency_a, latency_b, load_a) else a

    return pick


def _weighted(draw: Pair, weights: list[int]) -> Picker:
    def pick(ctx: PickContext) -> int:
        a, b = draw(ctx)
        latency_a, latency_b = ctx.latency(a), ctx.latency(b)
        load_a, load_b = ctx.load(a), ctx.load(b)
        weight_a, weight_b = weights[a], weights[b]
        if latency_a <= ALIKE * latency_b and latency_b <= ALIKE * latency_a:
            return b if load_b * weight_a < load_a * weight_b else a
        cost_a, cost_b = cost(latency_a, latency_b, load_a), cost(latency_b, latency_a, load_b)
        return b if cost_b * weight_a < cost_a * weight_b else a

    return pick
