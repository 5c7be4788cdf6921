"""Which policies the requests to a pool can be balanced by. Pure; workers and the controller ask it too."""

from __future__ import annotations

from collections.abc import Iterable

from lb.config.names import POLICIES
from lb.model import Config, Pool

REGIONAL = ("geo", "geo_aware", "adaptive")
"""Those that prefer backends of the client's region, where ``geo`` says which that is."""


def usable_policies(config: Config, pool: Pool) -> set[str]:
    """Its own, those of routes to it, all where a client may choose, and what these choose by within a region."""
    routes = [route for route in config.routes if route.pool == pool.id]
    if any(route.algo_override for route in routes):
        return set(POLICIES)
    return with_inner({pool.policy, *(route.policy for route in routes if route.policy)}, pool.geo_inner)


def with_inner(names: Iterable[str], inner: str) -> set[str]:
    found = set(names)
    if "geo" in found:
        found.add(inner)
    if "geo_aware" in found:
        found.add("adaptive")
    return found


def is_regional(config: Config, pool: Pool) -> bool:
    """Whether some request to this pool prefers a region."""
    return config.geo is not None and not usable_policies(config, pool).isdisjoint(REGIONAL)
