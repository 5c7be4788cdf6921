"""Who of a pool's members may be picked now, by what their cells say, and which part of the requests each group gets.

Reads verdicts and refusals; the rules for levels, zones and subsets are pure (``lb.policies``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lb.model import Pool
from lb.policies.portions import Portion, by_level, by_zone, levels_of
from lb.policies.subset import order, subset
from lb.proxy.member import Member


class Standing:
    """Where this balancer stands: ``zone`` it is in, ``place`` on the circle of subsets, in [0, 1)."""

    __slots__ = ("place", "zone")

    def __init__(self, zone: str = "", place: Callable[[], float] = lambda: 0.0) -> None:
        self.zone = zone
        self.place = place


class Eligible:
    """Belongs to one pool. Its backends never change."""

    def __init__(self, pool: Pool, members: Sequence[Member], standing: Standing) -> None:
        self._pool = pool
        self._members = members
        self._backends = pool.backends
        self._standing = standing
        self._ready = [i for i, one in enumerate(self._backends) if one.state == "ready"]
        self._is_flat = len(set(levels_of(self._backends))) < 2
        self._circle = order(self._backends) if pool.subset is not None else ()

    def portions(self, now_ns: int) -> list[Portion]:
        """None: nobody may be asked. Those that are up; while nobody is known to be up, those not known to be down (nothing
        has been probed yet)."""
        pool, members, backends, ready = self._pool, self._members, self._backends, self._ready
        healthy = [i for i in ready if members[i].is_up(now_ns)] or [
            i for i in ready if not members[i].is_down() and not members[i].is_out(now_ns)
        ]
        if self._is_flat:
            levels = [Portion(1.0, tuple(healthy))] if healthy else []
        else:
            levels = by_level(backends, ready, healthy, pool.overprovisioning)
        if pool.subset is not None:
            levels = [Portion(one.share, self._subset(one.positions, pool.subset)) for one in levels]
        if not pool.zones.prefer:
            return levels
        zone = self._standing.zone
        return [portion for level in levels for portion in by_zone(backends, ready, level, zone, pool.zones)]

    def _subset(self, positions: tuple[int, ...], size: int) -> tuple[int, ...]:
        return subset(self._circle, frozenset(positions), self._standing.place(), size)


def everybody(portions: Sequence[Portion]) -> tuple[int, ...]:
    """Positions of all portions, ascending."""
    if len(portions) == 1:
        return portions[0].positions
    return tuple(sorted(i for portion in portions for i in portion.positions))
