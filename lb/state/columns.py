"""Which column of the segment counts what: names from a configuration, numbers for names.

Pure: what is in use comes in as an argument. A name keeps its number from snapshot to snapshot, so
its counts and its health go on over a reload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lb.config.usable_policies import is_regional, usable_policies
from lb.model import Config

WORKER = "worker"
STATUS_ROUTE = "(status)"
BUILT_IN_ROUTES = ("(unrouted)", STATUS_ROUTE)
"""What no route matched, and the resources of status listeners."""


def column_names(config: Config, algos: Iterable[str]) -> list[str]:
    """Every counted thing of a configuration, in a fixed order, each once.

    ``algos``: the policies that ``?algo=`` can name; each has a column, used or not.
    """
    names = [WORKER, *(f"algo:{name}" for name in algos)]
    usable = usable_policies(config)
    for pool in config.pools:
        names.append(f"pool:{pool.id}")
        names.extend(f"backend:{pool.id}/{backend.id}" for backend in pool.backends)
        if pool.hash.bounded_load is not None:
            names.append(sum_column(pool.id))
        if config.geo is not None and is_regional(usable[pool.id]):
            names.extend(region_column(pool.id, region) for region in config.geo.regions)
    names.extend(f"route:{route.id}" for route in config.routes)
    names.extend(f"route:{name}" for name in BUILT_IN_ROUTES)
    return list(dict.fromkeys(names))


def sum_column(pool: str) -> str:
    """Whose INFLIGHT cells are the sums over the pool's backends; only pools with bounded loads have one."""
    return f"sum:{pool}"


def region_column(pool: str, region: str) -> str:
    """Of a region's clients in a pool that prefers regions."""
    return f"region:{pool}/{region}"


def allocate(names: Iterable[str], *, kept: Mapping[str, int], free: Sequence[int], unused: int) -> dict[str, int]:
    """A number for every name: the one it has in ``kept``, else one of ``free``, else from ``unused`` up.

    ``free`` must not contain a number of ``kept``, nor one that a running request may still write.
    """
    spare = list(reversed(free))
    above = max([unused, *(number + 1 for number in kept.values())])
    columns = {}
    for name in names:
        if name in kept:
            columns[name] = kept[name]
        elif spare:
            columns[name] = spare.pop()
        else:
            columns[name] = above
            above += 1
    return columns
