"""Drawing two different members at random: what every power-of-two-choices policy starts with.

Pure and without a loop, so a draw costs the same for 3 members and for 10,000.
"""

from __future__ import annotations

from collections.abc import Callable

from lb.policies.alias import alias_table
from lb.policies.base import PickContext
from lb.policies.weights import is_even

Pair = Callable[[PickContext], tuple[int, int]]
"""Two different positions. The first is drawn in proportion to the weights, so a policy that
takes it on a tie honours the weights even while nobody has anything to do."""


def pair_of(positions: list[int], weights: list[int]) -> Pair:
    """The cheapest way to draw two of at least two positions."""
    if len(positions) == 2:
        return _both(positions, weights)
    return _even(positions) if is_even(weights) else _weighted(positions, weights)


def _both(positions: list[int], weights: list[int]) -> Pair:
    first, second = positions
    forth, back = (first, second), (second, first)
    share = weights[0] / (weights[0] + weights[1])

    def draw(ctx: PickContext) -> tuple[int, int]:
        return forth if ctx.random() < share else back

    return draw


def _even(positions: list[int]) -> Pair:
    """One random number serves both: its whole part draws the first, its fraction the second."""
    count, rest = len(positions), len(positions) - 1

    def draw(ctx: PickContext) -> tuple[int, int]:
        drawn = ctx.random() * count
        first = int(drawn)
        second = int((drawn - first) * rest)
        return positions[first], positions[second + 1 if second >= first else second]

    return draw


def _weighted(positions: list[int], weights: list[int]) -> Pair:
    """Should the second draw hit the first member again, any other is taken, all with the same chance."""
    keep, other = alias_table(weights)
    count, rest = len(positions), len(positions) - 1

    def draw(ctx: PickContext) -> tuple[int, int]:
        random = ctx.random
        drawn = random() * count
        first = int(drawn)
        if drawn - first >= keep[first]:
            first = other[first]
        drawn = random() * count
        second = int(drawn)
        if drawn - second >= keep[second]:
            second = other[second]
        if second == first:
            second = int(random() * rest)
            if second >= first:
                second += 1
        return positions[first], positions[second]

    return draw
