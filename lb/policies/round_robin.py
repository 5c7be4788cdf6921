"""``round_robin``: A, B, C, A, B, C ... over the eligible members, weights ignored.

The order lives in the tickets, which all workers of the machine share, so it holds over workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.weights import only


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """The share of a member that goes out is spread over all others, not given to its neighbour."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions = list(eligible)
        count = len(positions)
        if count == 1:
            return only(positions[0])

        def pick(ctx: PickContext) -> int:
            return positions[ctx.ticket() % count]

        return pick
