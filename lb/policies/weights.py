"""Which eligible members take part, and their weights in lowest terms. Pure; used at build time only."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, log2

from lb.model import Backend
from lb.policies.base import PickContext, Picker


def weighted(members: Sequence[Backend], eligible: Sequence[int]) -> tuple[list[int], list[int]]:
    """Positions that get traffic, ascending, and their weights divided by the greatest common divisor.

    A member of weight 0 gets nothing while another eligible one has a weight; if none has, all
    count alike, because an answer from a member nobody wanted is better than no answer.
    """
    positions = [i for i in eligible if members[i].weight > 0]
    if not positions:
        return list(eligible), [1] * len(eligible)
    divisor = gcd(*(members[i].weight for i in positions))
    return positions, [members[i].weight // divisor for i in positions]


def is_even(weights: Sequence[int]) -> bool:
    """Whether weights in lowest terms are all alike, so that nothing has to be multiplied."""
    return max(weights) == 1


def by_member(members: Sequence[Backend], positions: Sequence[int], weights: Sequence[int]) -> list[int]:
    """The same weights, looked up by position in ``members`` (1 for members that take no part)."""
    table = [1] * len(members)
    for position, weight in zip(positions, weights, strict=True):
        table[position] = weight
    return table


def power_of_two(weight: float) -> float:
    """The one nearest to it in proportion: what is measured by it seldom changes when one member more or less does."""
    return float(2.0 ** round(log2(weight)))


def only(position: int) -> Picker:
    """The picker for a single candidate: nothing to choose, so nothing is asked."""

    def pick(ctx: PickContext) -> int:
        return position

    return pick
