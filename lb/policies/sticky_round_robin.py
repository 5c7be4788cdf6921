"""``sticky_round_robin``: who is new takes the next turn of the round robin, and stays where that led.

Who was here is known by the pool's sticky cookie if it has one (then this is plain round robin, asked about newcomers
only), else by the client's address, remembered for a time by all workers of the machine (``lb.state.clients``). Weights
are ignored. O(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker, Policy
from lb.policies.round_robin import RoundRobin
from lb.policies.weights import only


def sticky_round_robin(pool: Pool) -> Policy:
    return RoundRobin(pool) if pool.sticky is not None else StickyRoundRobin(pool)


@dataclass(frozen=True, slots=True)
class StickyRoundRobin:
    """A client whose backend may not be picked takes a new turn, and stays there even when the first comes back."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions = list(eligible)
        count = len(positions)
        if count == 1:
            return only(positions[0])
        may_be_picked = frozenset(positions)

        def pick(ctx: PickContext) -> int:
            i = ctx.recall()
            if i in may_be_picked:
                return i
            i = positions[ctx.ticket() % count]
            ctx.remember(i)
            return i

        return pick
