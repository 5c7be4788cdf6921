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
"""Members that a pick asks anew for the sum. Up to so many the sum is exact; with n members, what ended within
the last n / 4 picks may still be in it."""

MAX_PROBES = 512
MILLI = 1_000

Candidates = Callable[[bytes], Iterator[int]]


class Inflight:
    """What each member was working on when it was last asked, and the sum of that and of their weights.

    Nothing is counted here but what ``ctx.load`` said and this picker just added: a sum over 10,000 members
    for every pick would cost milliseconds.
    """

    __slots__ = ("_loads", "_turns", "_weights", "looks", "total", "weight")

    def __init__(self, weights: Sequence[int], positions: Sequence[int]) -> None:
        self.total = 0
        self.weight = 0
        """Of those asked at least once: until everybody was, they stand for all."""
        self.looks = min(LOOKS, len(positions))
        self._weights = weights
        self._loads = [-1] * len(weights)
        self._turns = cycle(positions)

    def refresh(self, ctx: PickContext) -> None:
        for i in islice(self._turns, self.looks):
            self.look(ctx, i)

    def look(self, ctx: PickContext, i: int) -> int:
        load, before = ctx.load(i), self._loads[i]
        if before < 0:
            self.weight += self._weights[i]
            before = 0
        self._loads[i] = load
        self.total += load - before
        return load

    def add(self, i: int) -> None:
        self._loads[i] += 1
        self.total += 1


def bounded(
    candidates: Candidates, members: Sequence[Backend], positions: Sequence[int], weights: Sequence[int], factor: float
) -> Picker:
    """``weights`` by member, 0 for those that are not eligible. Whole numbers throughout: a bound is met or not."""
    inflight = Inflight(weights, positions)
    factor_milli = round(factor * MILLI)

    def pick(ctx: PickContext) -> int:
        inflight.refresh(ctx)
        key = ctx.key
        best, least, last = -1, 0.0, -1
        for i in islice(candidates(key), MAX_PROBES):
            weight = weights[i]
            if not weight or i == last:
                continue
            last = i
            load = inflight.look(ctx, i)
            if load * inflight.weight * MILLI < factor_milli * weight * (inflight.total + 1):
                inflight.add(i)
                return i
            if best < 0 or load / weight < least:
                best, least = i, load / weight
        return best if best >= 0 else rendezvous(key, members, positions)

    return pick
