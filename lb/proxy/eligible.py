"""Who of a pool's members may be picked now, by what their cells say, and which part of the requests each group gets.

Reads verdicts and refusals; the rules for levels, zones and subsets are pure (``lb.policies.groups``).
"""

from __future__ import annotations

from collections.abc import Sequence

from lb.model import Pool
from lb.policies.groups import Groups, Standing
from lb.policies.portions import Portion
from lb.proxy.member import Member


class Eligible:
    """Belongs to one pool. Its backends never change."""

    def __init__(self, pool: Pool, members: Sequence[Member], standing: Standing) -> None:
        self._members = members
        self._groups = Groups(pool, standing)

    def portions(self, now_ns: int) -> list[Portion]:
        """None: nobody may be asked. Those that are up; while nobody is known to be up, those not known to be down (nothing
        has been probed yet); where those are none either, those that are only ejected: their errors may be over, and
        nobody else is there (Envoy's panic mode). Who is down by its probes, or refuses, is never asked."""
        members, ready = self._members, self._groups.ready
        healthy = [i for i in ready if members[i].is_up(now_ns)]
        if not healthy:
            healthy = [i for i in ready if not members[i].is_down() and not members[i].is_out(now_ns)]
        if not healthy:
            healthy = [i for i in ready if not members[i].is_down() and not members[i].refuses(now_ns)]
        return self._groups.portions(healthy)
