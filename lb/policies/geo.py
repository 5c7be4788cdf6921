"""``geo``: within the client's region by another policy; in the nearest other one only while nobody there is available.

``geo_aware`` is ``geo`` over ``adaptive``, and ``adaptive`` itself does the same once it is known where clients are. What
is chosen among is settled when members or eligibility change, for each region by itself, so a pick costs what the
inner policy costs, and the inner policy's promises hold within the region. O(members) per build.

Take it where the way to another continent costs more than a busier backend near by. Source: the rule of
locality priority (Envoy's zone aware routing, AWS latency records) without its spill-over by load: who wants that gives
backends a ``max_inflight``, and a region that is full is not available.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lb.model import Backend
from lb.policies.base import Picker, Policy


@dataclass(slots=True)
class InRegion:
    """``inner`` for the clients of one region. ``near``: all regions, this one first, then nearest first."""

    inner: Policy
    near: Sequence[str]
    cycle: int = field(default=1, init=False)
    """Tickets in a cycle of the last picker built: each region has an order of its own."""
    is_local: bool = field(default=True, init=False)
    """Whether the last picker built picks in the region itself."""

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        region, positions = nearest(members, eligible, self.near)
        picker = self.inner.build(members, positions)
        self.cycle = getattr(self.inner, "cycle", 0) or len(positions)
        self.is_local = region == self.near[0]
        return picker


def nearest(members: Sequence[Backend], eligible: Sequence[int], near: Sequence[str]) -> tuple[str, Sequence[int]]:
    """The nearest region in which somebody may be picked, and who that is.

    A member without a region is near everybody. One whose region is none of ``near`` is farther than all others;
    these are one region without a name. One of weight 0 keeps nobody in its region.
    """
    by_region: dict[str, list[int]] = {}
    weighing: set[str] = set()
    for i in eligible:
        region = members[i].region or near[0]
        by_region.setdefault(region, []).append(i)
        if members[i].weight:
            weighing.add(region)
    candidates = weighing or by_region
    for region in near:
        if region in candidates:
            return region, by_region[region]
    return "", [i for i in eligible if (members[i].region or near[0]) not in near]
