"""``peak_ewma``: of two different members drawn at random, the one that promises the earlier answer.

From Finagle's and tower's peak EWMA: the cost of a member is its latency times the requests it would have in
flight, per weight. What is ours was found by simulation (tests/unit/policies/test_simulation.py):

- Latencies within a factor ``ALIKE`` of each other count as equal, and the fewer requests in flight decide.
  Otherwise, whoever happens to be 10 % faster in a pool of equals takes nearly all of it while it is quiet.
- Beyond that the ratio counts squared, so an idle backend that is 5 times slower does not win from a fast
  one with five requests in flight. The ratio counts up to ``BELIEVED``: a backend that hangs may look
  fast until its first answer is due, and must not swallow everything in the meantime.
- In a small pool the better of two unlike ones has to win against two more that are drawn. Otherwise half of what a pool
  of four with a slow one in it gets is dealt out without a choice: whoever is drawn beside the slow one has to take it.
  In a large pool that is rare, and to compare more than two makes balancers whose counts are old choose alike.
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
from lb.policies.weights import by_member, only, weighted

ALIKE = 2.0
BELIEVED = 4.0

SMALL = 8
"""Members of a pool in which two more are drawn."""


@dataclass(frozen=True, slots=True)
class LowestPeakEwma:
    """The default of a pool: keeps away from slow backends, and is fair among equals."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        draws_again = len(positions) <= SMALL
        return _picker(pair_of(positions, weights), by_member(members, positions, weights), draws_again)


def are_alike(latency_s: float, other_s: float) -> bool:
    """Also where both are unknown."""
    return latency_s <= ALIKE * other_s and other_s <= ALIKE * latency_s


def cost(latency_s: float, other_s: float, load: int) -> float:
    """What one of two members of unlike latency costs; ``other_s`` is the latency of the other one."""
    if latency_s == 0.0:
        return inf if load else 0.0
    believed_s = max(latency_s, other_s / BELIEVED)
    return believed_s * believed_s * (load + 1)


def _picker(draw: Pair, weights: list[int], draws_again: bool) -> Picker:
    def pick(ctx: PickContext) -> int:
        best, other = draw(ctx)
        latency_s, other_s = ctx.latency(best), ctx.latency(other)
        load, other_load = ctx.load(best), ctx.load(other)
        is_done = not draws_again or are_alike(latency_s, other_s)
        if is_better(other_s, other_load, weights[other], latency_s, load, weights[best]):
            best, latency_s, load = other, other_s, other_load
        if is_done:
            return best
        for other in draw(ctx):
            if other != best:
                other_s, other_load = ctx.latency(other), ctx.load(other)
                if is_better(other_s, other_load, weights[other], latency_s, load, weights[best]):
                    best, latency_s, load = other, other_s, other_load
        return best

    return pick


def is_better(latency_s: float, load: int, weight: int, than_s: float, than_load: int, than_weight: int) -> bool:
    """Whether one is to be taken rather than another (``than``) that was drawn before it."""
    if are_alike(latency_s, than_s):
        return load * than_weight < than_load * weight
    return cost(latency_s, than_s, load) * than_weight < cost(than_s, latency_s, than_load) * weight
