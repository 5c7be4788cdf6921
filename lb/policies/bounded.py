"""Bounded loads: no member above its share of what is in flight times a factor; keys go on to the next instead.

Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018. With factor c
a member of n takes at most ceil(c x m / n) of m requests in flight, this one included; by weight, its part of that.
A walk meets a member with room after 1 / (1 - 1/c) steps on average at most, 5 for 1.25, however large the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

from lb.model import Backend
from lb.policies.base import PickContext, Picker
from lb.policies.rendezvous import rendezvous

LOOKS = 4
"""Members out of the choice that a pick asks anew for what they still work on. With more, some were asked a few picks
ago. They get nothing new, so what they have only falls meanwhile, and the bound is too low by that for a moment, never too
high; but for those that another part of the pool (a level, a zone, a region) is chosen from."""

MAX_PROBES = 512
MILLI = 1_000

Candidates = Callable[[bytes], Iterator[int]]


class Left:
    """Requests at those who are out of the choice: they are in the pool's sum, but are no load to be shared."""

    __slots__ = ("_loads", "_positions", "_turns", "total")

    def __init__(self, positions: Sequence[int]) -> None:
        self.total = 0
        self._positions = positions
        self._loads: dict[int, int] = {}
        self._turns = cycle(positions)

    def look(self, ctx: PickContext) -> None:
        """The first time at everybody."""
        loads = self._loads
        for i in islice(self._turns, LOOKS) if loads else self._positions:
            load = ctx.load(i)
            self.total += load - loads.get(i, 0)
            loads[i] = load


def bounded(
    candidates: Candidates, members: Sequence[Backend], positions: Sequence[int], weights: Sequence[int], factor: float
) -> Picker:
    """``weights`` by member, 0 for those that are not eligible. Whole numbers throughout: a bound is met or not."""
    left = Left([i for i in range(len(members)) if not weights[i]])
    each = sum(weights) * MILLI
    factor_milli = round(factor * MILLI)

    def pick(ctx: PickContext) -> int:
        left.look(ctx)
        bound = factor_milli * (max(ctx.inflight() - left.total, 0) + 1)
        key = ctx.key
        best, least, last = -1, 0.0, -1
        for i in islice(candidates(key), MAX_PROBES):
            weight = weights[i]
            if not weight or i == last:
                continue
            last = i
            load = ctx.load(i)
            if load * each < bound * weight:
                return i
            if best < 0 or load / weight < least:
                best, least = i, load / weight
        return best if best >= 0 else rendezvous(key, members, positions)

    return pick
