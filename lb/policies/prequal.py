"""``prequal``: of the members that lately answered a probe, the fastest that is not busy.

From "Load is not what you should balance: Introducing Prequal" (Wydrowski et al., NSDI 2024). Each worker keeps a small pool
of answers to probes that run beside the requests; a member is *hot* if it has more requests in flight than most that answered
(a quantile); of those that are not, the one with the lowest latency is taken, else the one with the fewest requests.
The pool of probes, with its rules for age and reuse, is ``lb.policies.probe_pool``. O(probes), 16 at most.

While fewer than two probes are at hand (a start, a pool nobody asked for 5 s, backends that do not answer probes), it is
``power_of_two``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lb.model import Backend, Pool
from lb.policies.alias import alias_table
from lb.policies.base import PickContext, Picker
from lb.policies.power_of_two import PowerOfTwo
from lb.policies.probe_pool import Roster
from lb.policies.weights import only, weighted


@dataclass(frozen=True, slots=True)
class Prequal:
    """Weights divide requests in flight, and probes are drawn by them."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        return _picker(_roster(len(members), positions, weights), PowerOfTwo(self.pool).build(members, eligible))


def _roster(members: int, positions: list[int], weights: list[int]) -> Roster:
    mean = sum(weights) / len(weights)
    parts = [0.0] * members
    for position, weight in zip(positions, weights, strict=True):
        parts[position] = mean / weight
    return Roster(parts, len(positions), _target(positions, weights))


def _target(positions: list[int], weights: list[int]) -> Callable[[Callable[[], float]], int]:
    """Whom the next probe asks."""
    keep, other = alias_table(weights)
    count = len(positions)

    def target(random: Callable[[], float]) -> int:
        drawn = random() * count
        index = int(drawn)
        return positions[index if drawn - index < keep[index] else other[index]]

    return target


def _picker(roster: Roster, otherwise: Picker) -> Picker:
    def pick(ctx: PickContext) -> int:
        i = ctx.probes.choose(roster, ctx.load)
        return i if i >= 0 else otherwise(ctx)

    return pick
