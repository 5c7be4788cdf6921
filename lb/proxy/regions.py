"""Which region a client is in, remembered by its address; and what that makes of the policies of a pool.

A policy that prefers regions is another policy for the clients of each: ``geo@EU`` is what ``geo`` is called within a
pool for those of EU. So pickers, and the orders of round robin, are kept by region without a pick having to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lb.config.usable_policies import REGIONAL
from lb.geo.region_map import RegionMap
from lb.model import Backend, Geo, Pool
from lb.policies.base import PickContext, Picker, Policy
from lb.policies.geo import InRegion
from lb.policies.table import create
from lb.policies.tables import TableSource
from lb.proxy.cells import Cells
from lb.state.columns import region_column
from lb.state.layout import R_ELSEWHERE, R_LOCAL, W_GEO_LOOK_UPS, W_GEO_UNKNOWN

MOST_ADDRESSES: Final = 16_384
"""Remembered per worker, about 2 MiB; then all are looked up anew."""

NOWHERE = ("", "")
Locate = Callable[[bytes], tuple[str, str]]
"""Codes of the country and the continent of an address as ``Caller`` has it; ``NOWHERE`` if nobody knows. Never raises."""


class Regions(dict[bytes, str]):
    """``regions[address]``: always one that the configuration names."""

    def __init__(self, geo: Geo, locate: Locate, cells: Cells) -> None:
        super().__init__()
        self.nearest = geo.nearest
        self._map = RegionMap(geo)
        self._locate = locate
        self._counters = cells.counters

    def __missing__(self, address: bytes) -> str:
        country, continent = self._locate(address)
        self._counters[W_GEO_LOOK_UPS] += 1
        if not country and not continent:
            self._counters[W_GEO_UNKNOWN] += 1
        if len(self) >= MOST_ADDRESSES:
            self.clear()
        region = self._map.region_of(country, continent)
        self[address] = region
        return region


class RegionalPolicies:
    """Of one pool. ``names[policy][region]`` is the policy for that region's clients."""

    def __init__(self, pool: Pool, regions: Regions, cells_of: Callable[[str], Cells]) -> None:
        """``cells_of``: by the name of a column."""
        self.names = {policy: {region: f"{policy}@{region}" for region in regions.nearest} for policy in REGIONAL}
        self._pool = pool
        self._regions = regions
        self.counters = {region: cells_of(region_column(pool.id, region)).counters for region in regions.nearest}

    def name_for(self, policy: str, address: bytes) -> str:
        """What ``policy``, one of ``names``, is called for a client."""
        return self.names[policy][self._regions[address]]

    def create(self, name: str, tables: TableSource) -> Policy:
        """``tables``: where policies that hash get theirs from."""
        policy, region = self._parts(name)
        made = create(policy, self._pool, tables)
        return _Counted(InRegion(made, self._regions.nearest[region]), self.counters[region]) if region else made

    def order(self, name: str) -> tuple[str, str]:
        """The column that an order of tickets is kept in, and the policy whose order it is there."""
        policy, region = self._parts(name)
        if not region:
            return f"pool:{self._pool.id}", policy
        return region_column(self._pool.id, region), self._pool.geo_inner if policy == "geo" else policy

    def _parts(self, name: str) -> tuple[str, str]:
        """Policy and region. No region: for all; or it is of a request that waited over a reload that took the region away."""
        policy, _, region = name.partition("@")
        return policy, region if region in self.counters else ""


def without_region(name: str) -> str:
    """Of a request that waited over a reload and is now in a pool without regions."""
    return name.partition("@")[0]


class _Counted:
    """Counts the picks for a region's clients: in it, and elsewhere."""

    def __init__(self, inner: InRegion, counters: memoryview) -> None:
        self.cycle = 1
        self._inner = inner
        self._counters = counters

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        inner = self._inner.build(members, eligible)
        self.cycle = self._inner.cycle
        counters, cell = self._counters, R_LOCAL if self._inner.is_local else R_ELSEWHERE

        def pick(ctx: PickContext) -> int:
            counters[cell] += 1
            return inner(ctx)

        return pick
