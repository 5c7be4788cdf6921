"""Members of a configuration that is about to be followed, made a few at a time: thousands at once would hold up requests."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any, NamedTuple

import gevent

from lb.model import Backend, Pool
from lb.proxy.cells import CellDirectory
from lb.proxy.member import Member

MemberKey = tuple[Any, ...]
"""Pool, id and place of a backend: what must be the same for its connections and its latency to go on over a reload."""
FEW = 200
"""Not worth it: they are made in the moment in which the configuration is followed, in about two milliseconds."""
_AT_ONCE = 50


class New(NamedTuple):
    key: MemberKey
    pool: Pool
    backend: Backend


def member_key(pool: Pool, backend: Backend) -> MemberKey:
    return (pool.id, backend.id, *backend.place)


def new_of(pools: Iterable[Pool], existing: Container[MemberKey]) -> list[New]:
    found = []
    for pool in pools:
        for backend in pool.backends:
            key = member_key(pool, backend)
            if key not in existing:
                found.append(New(key, pool, backend))
    return found


def made(
    new: Iterable[New], cells: CellDirectory, make: Callable[[Backend, Pool, Any], Member]
) -> dict[MemberKey, Member]:
    """Lets others run in between; nobody has them before all are made."""
    members = {}
    for count, (key, pool, backend) in enumerate(new, 1):
        members[key] = make(backend, pool, cells.of(f"backend:{pool.id}/{backend.id}"))
        if count % _AT_ONCE == 0:
            gevent.sleep(0)
    return members
