"""``random``: an independent weighted draw for every request. Needs nothing shared at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lb.model import Backend, Pool
from lb.policies.alias import alias_table
from lb.policies.base import PickContext, Picker
from lb.policies.weights import is_even, only, weighted


@dataclass(frozen=True, slots=True)
class Random:
    """Shares match the weights in the long run only; n requests spread by about the square root of n."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        return _even(positions) if is_even(weights) else _weighted(positions, weights)


def _even(positions: list[int]) -> Picker:
    count = len(positions)

    def pick(ctx: PickContext) -> int:
        return positions[int(ctx.random() * count)]

    return pick


def _weighted(positions: list[int], weights: list[int]) -> Picker:
    keep, other = alias_table(weights)
    others = [positions[index] for index in other]
    count = len(positions)

    def pick(ctx: PickContext) -> int:
        drawn = ctx.random() * count
        index = int(drawn)
        return positions[index] if drawn - index < keep[index] else others[index]

    return pick
