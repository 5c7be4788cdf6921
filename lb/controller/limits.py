"""Renews this machine's slices of limits that machines share (``max_inflight``, ``rate_limit``), and looks whether they
suffice.

One process per machine does so at a time, though two controllers run while one replaces the other. Nobody waits
for it but requests that find no place at a backend, and those wait in their pool's queue; a rate is refused at once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lb.controller.limit_cells import InflightCells, LimitCells, RateCells
from lb.controller.loads import load_name
from lb.controller.slice import Slice
from lb.model import RateLimit, Route, Snapshot, StoreLoss
from lb.resilience.gcra import Gcra
from lb.state.bucket import Bucket
from lb.state.layout import H_MACHINES, SLOT_READY
from lb.state.segment import Segment
from lb.state.store.errors import StoreError
from lb.state.store.slices import renew

if TYPE_CHECKING:
    from lb.state.store.link import Link

LOOK_S = 0.015
"""Between two looks; each costs a few microseconds per limit, so above a hundred they come more rarely."""
_LIMITS_PER_LOOK = 100
_FIRST_CONTACT_NS = 1_000_000_000
"""So long workers wait for a first slice at most, where the store cannot be reached."""
_AT_ONCE = 50
"""Limits in one call: the store does nothing else meanwhile, about 2 ms."""
_PASSES = 3
"""Ask, give back what was too much, and hear that it was taken."""
_ACCEPTING = 1
_FOR_EVER_NS = 1 << 62
"""Nothing grows before the first slice: that is ours to write."""
_log = logging.getLogger("lb.store")


class Limit(NamedTuple):
    """One of the configuration: the most, and where its cells are: a column, by name and number. ``rate``: of a route,
    whose ``burst`` is the most; None: of a backend."""

    most: int
    column_name: str
    column: int
    rate: RateLimit | None = None


def limits_of(snapshot: Snapshot) -> dict[str, Limit]:
    """By the name that all machines give them."""
    found = {}
    for pool in snapshot.config.pools:
        for backend in pool.backends:
            if backend.max_inflight is not None:
                column_name = f"backend:{pool.id}/{backend.id}"
                column = snapshot.columns[column_name]
                found[load_name(pool.id, backend)] = Limit(backend.max_inflight, column_name, column)
    for route in snapshot.config.routes:
        rate = route.rate_limit
        if rate is not None:
            column_name = f"route:{route.id}"
            found[rate_name(route, rate)] = Limit(rate.burst, column_name, snapshot.columns[column_name], rate)
    return found


def rate_name(route: Route, rate: RateLimit) -> str:
    """``rate:ROUTE@RATE/s+BURST``: machines where a route has another rate do not add it up. No pool's name has a colon."""
    return f"rate:{route.id}@{rate.rate_per_s:.9g}/s+{rate.burst}"


def _cells_of(limit: Limit, segment: Segment, rule: StoreLoss, clock: Callable[[], int]) -> LimitCells:
    """SegmentError if the segment lacks the column."""
    if limit.rate is None:
        return InflightCells(segment, limit.column, clock())
    gcra, shared = Gcra(limit.rate.rate_per_s, limit.rate.burst), segment.shared(limit.column)
    return RateCells(Bucket(segment.fd, limit.column, shared, gcra, rule, _FOR_EVER_NS, clock), clock())


class Limits:
    """A part of ``lb.controller.sync``. ``dropped``: entries of the store that nobody understood."""

    name = "limits"
    news = "limit"

    def __init__(self, link: Link, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.interval_s = LOOK_S
        self.dropped = 0
        self._link = link
        self._clock = clock
        self._began_ns = clock()
        self._segment: Segment | None = None
        self._limits: dict[str, Limit] = {}
        """Of every slice, also of those that are leaving."""
        self._slices: dict[str, Slice] = {}
        self._turn = Turn()

    def __repr__(self) -> str:
        return f"<Limits {list(self._slices.values())}>"

    # --- the configuration

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        wanted = limits_of(snapshot)
        rule = snapshot.config.state.on_store_loss
        # SegmentError, or all:
        cells = {name: _cells_of(one, segment, rule, self._clock) for name, one in wanted.items()}
        left = self._let_go(wanted, snapshot.columns, is_moved=segment is not self._segment)
        for name, limit in wanted.items():
            self._keep(name, limit, cells[name], snapshot, segment)
            if limit.column in left:
                self._slices[name].inherit(left[limit.column])
        self._segment = segment
        self._turn.folder = snapshot.config.state.dir
        self.interval_s = LOOK_S * max(1.0, len(self._slices) / _LIMITS_PER_LOOK)

    def _let_go(self, wanted: Mapping[str, Limit], columns: Mapping[str, int], *, is_moved: bool) -> dict[int, float]:
        """What is no limit any more leaves when its requests have ended; at once if its cells are another's now. A route
        that has another rate now is not without one until the store has answered: what is left to it, by column."""
        owners = {column: name for name, column in columns.items()}
        limited = {limit.column for limit in wanted.values()}
        routes = {limit.column_name for limit in wanted.values() if limit.rate is not None}
        left = {}
        for name in [name for name in self._slices if name not in wanted]:
            limit = self._limits[name]
            if not is_moved and limit.column_name in routes and columns[limit.column_name] == limit.column:
                left[limit.column] = self._slices.pop(name).hand_over()
                del self._limits[name]
                continue
            is_taken = limit.column in limited or owners.get(limit.column, limit.column_name) != limit.column_name
            if is_moved or is_taken:
                self._slices.pop(name).drop()
                del self._limits[name]
            else:
                self._slices[name].is_leaving = True
        return left

    def _keep(self, name: str, limit: Limit, cells: LimitCells, snapshot: Snapshot, segment: Segment) -> None:
        now_ns, slice = self._clock(), self._slices.get(name)
        if slice is None:
            rule = snapshot.config.state.on_store_loss
            self._slices[name] = Slice(name, limit.most, cells, rule, now_ns)
        else:
            slice.limit, slice.is_leaving = limit.most, False
            if segment is not self._segment or limit.column != self._limits[name].column:
                slice.move_to(cells, now_ns)
        self._limits[name] = limit

    # --- renewals

    def round(self) -> None:
        if not self._turn.is_ours():
            return
        self._look()
        if not self._link.is_up:
            self._without_store()
            return
        for _ in range(_PASSES):
            now_ns = self._clock()
            due = [slice for slice in self._slices.values() if slice.is_due(now_ns)]
            if not due:
                return
            for first in range(0, len(due), _AT_ONCE):
                self._renew(due[first : first + _AT_ONCE])

    def _look(self) -> None:
        assert self._segment is not None
        now_ns, machines = self._clock(), self._segment.header[H_MACHINES]
        for slice in self._slices.values():
            slice.look(now_ns, machines)

    def _without_store(self) -> None:
        if self._clock() - self._began_ns > _FIRST_CONTACT_NS:
            for slice in self._slices.values():
                slice.has_no_store()

    def _renew(self, slices: Sequence[Slice]) -> None:
        now_ns = self._clock()  # first: what is granted holds from a moment before it was asked for
        renewals = [slice.begin(now_ns) for slice in slices]
        keys, machine = self._link.keys, self._link.name
        try:
            answer = self._link.call(lambda client: renew(client, keys, machine, now_ns // 1000, renewals))
        except StoreError:
            for slice in slices:
                slice.failed()
            raise
        for slice, grant in zip(slices, answer.grants, strict=True):
            slice.finish(grant, now_ns)
            if slice.has_left and self._slices.get(slice.name) is slice:
                del self._slices[slice.name], self._limits[slice.name]
        self._count_dropped(answer.dropped)

    def _count_dropped(self, count: int) -> None:
        if count and not self.dropped:
            _log.warning("limits dropped=%d reason=%r", count, "entries in the store that nobody understands")
        self.dropped += count

    def hear(self, words: list[str]) -> bool:
        slice = self._slices.get(" ".join(words))
        if slice is not None:
            slice.has_news = True
        return slice is not None

    # --- the end

    def end(self) -> None:
        """While workers serve, what they have stays theirs: until it runs out, or the next controller goes on from it."""
        try:
            if self._slices and self._turn.is_ours() and not self._has_workers():
                for slice in self._slices.values():
                    slice.is_leaving = True
                self._renew(list(self._slices.values()))
        finally:
            self._turn.give_up()

    def _has_workers(self) -> bool:
        segment = self._segment
        assert segment is not None
        return any(segment.slot_cells(index)[SLOT_READY] == _ACCEPTING for index in segment.live_slots())


class Turn:
    """Whose turn it is to write a machine's slices: a lock on a file, which the kernel takes back from the dead."""

    def __init__(self) -> None:
        self.folder = ""
        self._fd = -1

    def is_ours(self) -> bool:
        """Never waits. Once ours it stays so until ``give_up``."""
        if self._fd < 0:
            self._fd = self._taken(os.path.join(self.folder, "limits.lock"))
        return self._fd >= 0

    def _taken(self, path: str) -> int:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return -1
        return fd

    def give_up(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
