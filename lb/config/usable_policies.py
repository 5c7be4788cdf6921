"""Which policies the requests to a pool can be balanced by. Pure; workers and the controller ask it too."""

from __future__ import annotations

from collections.abc import Iterable

from lb.config.names import POLICIES
from lb.model import Config

REGIONAL = ("geo", "geo_aware", "adaptive")
"""Those that prefer backends of the client's region, where ``geo`` says which that is."""


def usable_policies(config: Config) -> dict[str, set[str]]:
    """By pool: its own, those of routes to it, all where a client may choose, and what these choose by within a region."""
    named = {pool.id: {pool.policy} for pool in config.pools}
    for route in config.routes:
        if route.pool in named:
            named[route.pool].update(POLICIES if route.algo_override else [route.policy] if route.policy else ())
    for pool in config.pools:
        if pool.custom is not None:
            named[pool.id].add(pool.custom.fallback)
    return {pool.id: with_inner(named[pool.id], pool.geo_inner) for pool in config.pools}


def with_inner(names: Iterable[str], inner: str) -> set[str]:
    found = set(names)
    if "geo" in found:
        found.add(inner)
    if "geo_aware" in found:
        found.add("adaptive")
    return found


def is_regional(usable: set[str]) -> bool:
    """Whether some of these policies prefers a region."""
    return not usable.isdisjoint(REGIONAL)
