"""``power_of_two``: of two different members drawn at random, the one with fewer requests per weight.

Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.pairs import Pair, pair_of
from lb.policies.weights import by_member, is_even, only, weighted


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """Nearly as even as asking everybody, at the price of asking two, and workers that decide at the
    same instant on the same counts do not all choose the same member."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        draw = pair_of(positions, weights)
        return _even(draw) if is_even(weights) else _weighted(draw, by_member(members, positions, weights))


def _even(draw: Pair) -> Picker:
    def pick(ctx: PickContext) -> int:
        first, second = draw(ctx)
        return second if ctx.load(second) < ctx.load(first) else first

    return pick


def _weighted(draw: Pair, weights: list[int]) -> Picker:
    def pick(ctx: PickContext) -> int:
        first, second = draw(ctx)
        return second if ctx.load(second) * weights[first] < ctx.load(first) * weights[second] else first

    return pick
