"""``adaptive``: work in proportion to the room each backend reports, then the less busy of two.

Two members are drawn in proportion to weight x effective weight (1 to 5, from the score), and the one with fewer
requests in flight per such weight is taken. Scores are seconds old; always taking the best score would send
everything to one backend until the next poll, and then everything to another. A draw cannot herd, and
the inflight counts, which are of this instant, correct what the scores do not know yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lb.model import Backend, Pool
from lb.policies.alias import alias_table
from lb.policies.base import PickContext, Picker
from lb.policies.score import MAX_EFFECTIVE_WEIGHT, effective_weight
from lb.policies.weights import only, weighted

MAX_TRIES = 12
"""Draws before the last one is taken as it is. With every effective weight at its least, 1 of 5, some 7 % of
the draws end here; they are right by the static weights, which is what is asked for in that case."""

Draw = Callable[[PickContext], tuple[int, int]]
"""An index and its effective weight."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Looks at a handful of scores and two loads however large the pool is: nothing has to be sampled
    first or kept, and a new score counts from the next request on."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        return _picker(positions, weights, _accepting(positions, weights))


def _accepting(positions: list[int], weights: list[int]) -> Draw:
    """Rejection sampling: draw by static weight, accept with the chance effective weight / 5."""
    keep, other = alias_table(weights)
    count = len(positions)
    tries = range(MAX_TRIES)

    def draw(ctx: PickContext) -> tuple[int, int]:
        random = ctx.random
        for _ in tries:
            drawn = random() * count
            index = int(drawn)
            if drawn - index >= keep[index]:
                index = other[index]
            effective = effective_weight(ctx.score(positions[index]))
            if effective == MAX_EFFECTIVE_WEIGHT or random() * MAX_EFFECTIVE_WEIGHT < effective:
                break
        return index, effective

    return draw


def _picker(positions: list[int], weights: list[int], draw: Draw) -> Picker:
    rest = len(positions) - 1

    def pick(ctx: PickContext) -> int:
        a, effective_a = draw(ctx)
        b, effective_b = draw(ctx)
        if a == b:  # any other one: a choice of two is worth more than the exact proportion
            b = int(ctx.random() * rest)
            b += b >= a
            effective_b = effective_weight(ctx.score(positions[b]))
        busy_a = ctx.load(positions[a]) * weights[b] * effective_b
        busy_b = ctx.load(positions[b]) * weights[a] * effective_a
        return positions[b] if busy_b < busy_a else positions[a]

    return pick
