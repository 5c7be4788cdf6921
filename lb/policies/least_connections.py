"""``least_connections``: the member with the fewest requests in flight per weight.

Above ``EXACT_UP_TO`` eligible members it is the least of a random sample of ``SAMPLE`` of them, which keeps
the cost flat and is at most a little less even (Mitzenmacher 2001: a second choice already brings
most of what looking at everybody would).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.weights import by_member, is_even, only, weighted

EXACT_UP_TO = 64
SAMPLE = 16

Candidates = Callable[[PickContext], list[int]]


@dataclass(frozen=True, slots=True)
class LeastConnections:
    """Ties are drawn at random, in proportion to the weights: an idle pool honours them too."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        candidates = candidates_of(positions)
        return _even(candidates) if is_even(weights) else _weighted(candidates, by_member(members, positions, weights))


def candidates_of(positions: list[int]) -> Candidates:
    """Whom a pick compares: everybody, or a random sample of a large pool."""
    return _everybody(positions) if len(positions) <= EXACT_UP_TO else _sample(positions)


def _everybody(positions: list[int]) -> Candidates:
    def candidates(ctx: PickContext) -> list[int]:
        return positions

    return candidates


def _sample(positions: list[int]) -> Candidates:
    """Drawn with replacement: a member that comes twice only makes the sample a little smaller."""
    count = len(positions)
    turns = range(SAMPLE)

    def candidates(ctx: PickContext) -> list[int]:
        random = ctx.random
        return [positions[int(random() * count)] for _ in turns]

    return candidates


def _even(candidates: Candidates) -> Picker:
    def pick(ctx: PickContext) -> int:
        among = candidates(ctx)
        loads = list(map(ctx.load, among))
        least = min(loads)
        ties = loads.count(least)
        if ties == 1:
            return among[loads.index(least)]
        tied = [i for i, load in zip(among, loads, strict=True) if load == least]
        return tied[int(ctx.random() * ties)]

    return pick


def _weighted(candidates: Candidates, weights: list[int]) -> Picker:
    """Equal fractions divide to equal floats, so ties are found by comparing them."""

    def pick(ctx: PickContext) -> int:
        among = candidates(ctx)
        load = ctx.load
        costs = [load(i) / weights[i] for i in among]
        least = min(costs)
        if costs.count(least) == 1:
            return among[costs.index(least)]
        return drawn_by_weight(
            [i for i, cost in zip(among, costs, strict=True) if cost == least], weights, ctx.random()
        )

    return pick


def drawn_by_weight(tied: list[int], weights: list[int], drawn: float) -> int:
    """One of those that cost the same; ``drawn`` is uniform in [0, 1)."""
    ends = list(accumulate(weights[i] for i in tied))
    point = drawn * ends[-1]
    return next(i for i, end in zip(tied, ends, strict=True) if point < end)
