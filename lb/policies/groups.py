"""Which part of a pool's requests each group of its members gets on one balancer: levels, the subset, zones. Pure.

Who is healthy is an argument: a worker reads it from shared memory, a simulation knows it. The rules
themselves are in ``portions`` and ``subset``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lb.model import Pool
from lb.policies.portions import Portion, by_level, by_zone, levels_of
from lb.policies.subset import order, subset


class Standing:
    """Where this balancer stands: ``zone`` it is in, ``place`` on the circle of subsets, in [0, 1)."""

    __slots__ = ("place", "zone")

    def __init__(self, zone: str = "", place: Callable[[], float] = lambda: 0.0) -> None:
        self.zone = zone
        self.place = place


class Groups:
    """Belongs to one pool on one balancer. Its backends never change."""

    def __init__(self, pool: Pool, standing: Standing) -> None:
        backends = pool.backends
        self.ready = [i for i, one in enumerate(backends) if one.state == "ready"]
        """Positions of those that no operator took out."""
        self._pool = pool
        self._standing = standing
        self._is_flat = len(set(levels_of(backends))) < 2
        self._circle = order(backends) if pool.subset is not None else ()

    def portions(self, healthy: Sequence[int]) -> list[Portion]:
        """``healthy``: positions of those ready that can serve, ascending. None: nobody may be asked."""
        pool, ready = self._pool, self.ready
        if self._is_flat:
            levels = [Portion(1.0, tuple(healthy))] if healthy else []
        else:
            levels = by_level(pool.backends, ready, healthy, pool.overprovisioning)
        if pool.subset is not None:
            levels = [Portion(one.share, self._subset(one.positions, pool.subset)) for one in levels]
        if not pool.zones.prefer:
            return levels
        zone = self._standing.zone
        return [portion for level in levels for portion in by_zone(pool.backends, ready, level, zone, pool.zones)]

    def _subset(self, positions: tuple[int, ...], size: int) -> tuple[int, ...]:
        return subset(self._circle, frozenset(positions), self._standing.place(), size)


def everybody(portions: Sequence[Portion]) -> tuple[int, ...]:
    """Positions of all portions, ascending."""
    if len(portions) == 1:
        return portions[0].positions
    return tuple(sorted(i for portion in portions for i in portion.positions))
