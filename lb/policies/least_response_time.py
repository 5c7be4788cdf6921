"""``least_response_time``: of all members, the one that promises the earliest answer.

As nginx Plus's ``least_time`` and Traefik's ``leasttime`` do it, a member costs its response time times the requests
it would have in flight, per weight, and the least cost of all is taken. Three things they do let a good
backend starve, or everybody run to one; here:

- Response times between half and twice the pool's median count as the median, so equals share by requests in flight.
  Comparing averages to the microsecond gives whoever is 5 % faster nearly all of a quiet pool, and the others,
  which then have no news, keep the figure they lost by.
- A figure without news is forgotten (``lb.policies.mean_time``), and a member without one is tried at once and with one
  request at a time: nobody stays out for ever because of what it was like, and nobody herds to find out.
- No member counts as faster than ``BELIEVED`` times the median: one that hangs looks as fast as before until its first
  answer is due, and gets a bounded number of requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from lb.model import Backend, Pool
from lb.policies.base import PickContext, Picker
from lb.policies.least_connections import Candidates, candidates_of, drawn_by_weight
from lb.policies.weights import by_member, only, weighted

ALIKE = 2.0
"""As in ``peak_ewma``: what answers of equals differ by at any moment."""

BELIEVED = 4.0
"""How much faster than the median one counts at most."""


@dataclass(frozen=True, slots=True)
class LeastResponseTime:
    """Up to 64 eligible members exactly, above that of 16 drawn at random, like ``least_connections``: O(min(n, 64))."""

    pool: Pool

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        positions, weights = weighted(members, eligible)
        if len(positions) == 1:
            return only(positions[0])
        mean = sum(weights) / len(weights)
        by_position = by_member(members, positions, weights)
        return _picker(candidates_of(positions), by_position, [mean / weight for weight in by_position])


def expected_s(means_s: Sequence[float]) -> list[float]:
    """What each is taken to need for an answer, seconds; 0.0 stands for unknown, there and here."""
    known = sorted(mean for mean in means_s if mean)
    if not known:
        return [0.0] * len(means_s)
    median_s = known[(len(known) - 1) // 2]
    if known[0] * ALIKE >= median_s and known[-1] <= median_s * ALIKE:
        return [median_s if mean else 0.0 for mean in means_s]
    return [_believed(mean, median_s) for mean in means_s]


def _believed(mean_s: float, median_s: float) -> float:
    if mean_s == 0.0 or mean_s > median_s * ALIKE:
        return mean_s
    return median_s if mean_s * ALIKE >= median_s else max(mean_s, median_s / BELIEVED)


def _picker(candidates: Candidates, weights: list[int], parts: list[float]) -> Picker:
    """``parts``: what one request is to a member, by its weight; of idle ones no weight can tell, so they are drawn."""

    def pick(ctx: PickContext) -> int:
        among = candidates(ctx)
        loads = list(map(ctx.load, among))
        seconds = expected_s(list(map(ctx.response_time, among)))
        costs = [_cost(one, load * parts[i]) for i, one, load in zip(among, seconds, loads, strict=True)]
        least = min(costs)
        if least == inf:  # all unknown and busy: nothing but the requests in flight is known
            costs = [load * parts[i] for i, load in zip(among, loads, strict=True)]
            least = min(costs)
        if costs.count(least) == 1:
            return among[costs.index(least)]
        return drawn_by_weight(
            [i for i, cost in zip(among, costs, strict=True) if cost == least], weights, ctx.random()
        )

    return pick


def _cost(seconds: float, load: float) -> float:
    """The time counts squared, as in ``peak_ewma``: an idle backend that is ten times slower is no bargain."""
    if seconds == 0.0:
        return inf if load else 0.0
    return seconds * seconds * (load + 1.0)
