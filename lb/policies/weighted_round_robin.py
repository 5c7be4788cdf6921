"""``weighted_round_robin``: each member as often as its weight says, spread out smoothly.

Like nginx: weights 5, 1, 1 give A A B A C A A, never A A A A A B C. The cycle is written out when
the picker is built and indexed by the shared ticket, so the order holds over all workers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.cycle import MAX_STEPS, cycle_steps, golden_walk, smooth_cycle
from lb.policies.weights import only, weighted


@dataclass(slots=True)
class WeightedRoundRobin:
    """Exact within one cycle, whose length is the sum of the weights in lowest terms.

    Where the cycle would be too long to write out (weights like 1,000,003 and 999,983, or thousands of members
    with many different weights) the order is computed per ticket: just as exact, slightly less smooth.
    """

    pool: Pool
    cycle: int = field(default=1, init=False)
    """Tickets until the order of the last picker built repeats; who hands out tickets in blocks cuts them here."""

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        self.cycle = sum(weights)
        if len(positions) == 1:
            return only(positions[0])
        if cycle_steps(weights) > MAX_STEPS:
            return _walking(positions, weights)
        return _cycling([positions[index] for index in smooth_cycle(weights)])


def _cycling(order: list[int]) -> Picker:
    length = len(order)

    def pick(ctx: PickContext) -> int:
        return order[ctx.ticket() % length]

    return pick


def _walking(positions: list[int], weights: list[int]) -> Picker:
    ends, stride, total = golden_walk(weights)

    def pick(ctx: PickContext) -> int:
        return positions[bisect_right(ends, ctx.ticket() * stride % total)]

    return pick
