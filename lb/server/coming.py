"""A configuration that is about to be followed: a large one is made ready in short turns, between which the worker serves
requests, so that to follow it is little more than one assignment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

import gevent

from lb.config.usable_policies import usable_policies
from lb.model import Backend, Pool, Snapshot
from lb.proxy.cells import CellDirectory, Cells
from lb.proxy.member import Member
from lb.proxy.pool import LivePool
from lb.proxy.regions import Regions
from lb.server import control
from lb.state.columns import sum_column

MemberKey = tuple[Any, ...]
"""Pool, id and place of a backend: what must be the same for its connections and its latency to go on over a reload."""
FEW = 200
"""Not worth it: they are made in the moment in which the configuration is followed, in about two milliseconds."""
TURN_S = 0.0003
"""What is done in one piece takes a millisecond at most where there are a thousand backends."""
PAUSE_S = 0.0005
"""Not 0: gevent takes fifty turns of those who only gave theirs up before it looks at a socket."""


def at_once() -> None:
    """For whoever has nothing else to do."""


class Turns:
    """Called between two pieces of work: lets others run when this turn has been long enough."""

    def __init__(self) -> None:
        self._ends_at = monotonic() + TURN_S

    def __call__(self) -> None:
        if monotonic() >= self._ends_at:
            gevent.sleep(PAUSE_S)
            self._ends_at = monotonic() + TURN_S


def member_key(pool: Pool, backend: Backend) -> MemberKey:
    return (pool.id, backend.id, *backend.place)


class Composition:
    """What a snapshot means on one worker. Nobody follows it yet, and it changes nobody: that begins with ``tell``."""

    def __init__(self, snapshot: Snapshot, cells: CellDirectory) -> None:
        self.snapshot = snapshot
        self.cells = cells
        config = snapshot.config
        self.pools: tuple[Pool, ...] = (*config.pools, control.control_pool(config.state.dir))
        """With the built-in one, last."""
        self.usable = usable_policies(config)
        self.regions: Regions | None = None
        """None: no request prefers one."""
        self.members: dict[MemberKey, Member] = {}
        self.live: dict[str, LivePool] = {}
        self._of_pool: dict[str, list[tuple[Member, Cells]]] = {}
        """In the order of its backends, each with the cells to count in."""

    def arrange(
        self,
        existing: Mapping[MemberKey, Member],
        make: Callable[[Backend, Pool, Cells], Member],
        pause: Callable[[], None] = at_once,
    ) -> None:
        """Who its members are: those that exist live on, the others are made. One that was closed, because the segment was
        replaced meanwhile, does not exist."""
        for pool in self.pools:
            of_pool = self._of_pool[pool.id] = []
            for backend in pool.backends:
                key = member_key(pool, backend)
                cells = self.cells.of(f"backend:{pool.id}/{backend.id}")
                member = existing.get(key)
                if member is None or member.is_closed or member.pool.tls != pool.tls:
                    member = make(backend, pool, cells)
                self.members[key] = member
                of_pool.append((member, cells))
                pause()

    def sums_of(self, pool: Pool) -> Cells | None:
        """Where what its members work on is added up, if anybody asks for that and there is a column for it."""
        column = sum_column(pool.id)
        return self.cells.of(column) if pool.hash.bounded_load is not None and self.cells.has(column) else None

    def members_of(self, pool: Pool) -> list[Member]:
        return [member for member, _ in self._of_pool[pool.id]]

    def tell(self) -> None:
        """Its members what they are from now on."""
        for pool in self.pools:
            hears_load, sums = "adaptive" in self.usable.get(pool.id, ()), self.sums_of(pool)
            for backend, (member, cells) in zip(pool.backends, self._of_pool[pool.id], strict=True):
                member.backend, member.pool, member.hears_load = backend, pool, hears_load
                if member.shared is not cells.shared:
                    member.use_cells(cells)
                if cells.sums is not sums:
                    cells.use_sums(sums)

    def drop(self) -> None:
        """It is followed by nobody."""
        for live in self.live.values():
            live.retire(None)


def is_large(pools: Iterable[Pool]) -> bool:
    return sum(len(pool.backends) for pool in pools) > FEW


def close_left(before: dict[MemberKey, Member], now: Mapping[MemberKey, Member]) -> None:
    """Those whom no configuration names any more; of many in turns, since to forget them takes long as well. ``before`` is
    used up."""
    _leave_sums(before, now)
    if len(before) > FEW:
        gevent.spawn(_close, before, now, Turns())
    else:
        _close(before, now, at_once)


def _leave_sums(before: Mapping[MemberKey, Member], now: Mapping[MemberKey, Member]) -> None:
    """What a backend that is in no pool any more still works on is nobody's share. One that moved counts where it did."""
    left = [member.cells for key, member in before.items() if key not in now and member.cells.sums is not None]
    counted = {id(member.cells) for member in now.values()} if left else set()
    for cells in left:
        if id(cells) not in counted:
            cells.use_sums(None)


def _close(before: dict[MemberKey, Member], now: Mapping[MemberKey, Member], pause: Callable[[], None]) -> None:
    while before:
        key, member = before.popitem()
        if now.get(key) is not member:
            member.close()
        pause()
