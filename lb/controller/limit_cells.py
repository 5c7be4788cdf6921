"""The cells of a limit that machines share, and what only they know: whether it is of requests in flight or of a rate."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Protocol

from gevent.monkey import get_original

from lb.state.bucket import Bucket
from lb.state.layout import SH_FULL_NS, SH_SLICE, SH_SLICE_LOST, SH_SLICE_UNTIL_NS, SR_ASKED, SR_MACHINES
from lb.state.segment import Segment

MS = 1_000_000
RECENT_NS = 60 * MS
"""So long somebody who found no place is taken to want one still: who waits looks every 20 ms."""
DEMAND_NS = 1_000 * MS
"""Demand for a rate is counted over so long, and remembered as long again: a few requests must not look like many."""
IDLE_SHARE = 20
"""A part of a rate's units stays with machines that nobody asks, so that their next request finds one: all
of them together have one in so many."""
_RESET = {SH_SLICE_UNTIL_NS: 0, SH_SLICE: 0, SH_SLICE_LOST: 0}


class LimitCells(Protocol):
    """``shared``: SH_SLICE, SH_SLICE_UNTIL_NS and SH_SLICE_LOST are read by anybody and written by ``put``."""

    shared: memoryview
    fill_ms: int
    """Units bring tokens, and so long it takes an idle one to have its own; 0: they do not."""

    def put(self, cells: Mapping[int, int], credit: int = 0) -> None:
        """In force from here on, in this order. ``credit``: tokens that came with new units."""

    def given_back(self) -> int:
        """Tokens of units given up since the last call."""

    def reset(self) -> None: ...

    def look(self, now_ns: int, limit: int) -> None:
        """Called every few milliseconds."""

    def divide(self, limit: int, machines: int) -> None:
        """What holds here without the store."""

    def in_use(self) -> int:
        """Units that are in use whatever the slice is."""

    def wanted(self, now_ns: int, limit: int) -> int: ...


class InflightCells:
    """Of a backend with a ``max_inflight``: a unit is a request in flight."""

    fill_ms = 0

    def __init__(self, segment: Segment, column: int, now_ns: int) -> None:
        self.shared = segment.shared(column)
        self._inflight = segment.inflight_view(column)
        self._fence: Any = get_original("_thread", "allocate_lock")()
        self._peaks = (0, 0)
        self._peak_ns = now_ns

    def put(self, cells: Mapping[int, int], credit: int = 0) -> None:
        for cell, number in cells.items():
            self.shared[cell] = number

    def given_back(self) -> int:
        return 0

    def reset(self) -> None:
        self.put(_RESET)

    def look(self, now_ns: int, limit: int) -> None:
        inflight = self.in_use()
        if now_ns - self._peak_ns > RECENT_NS:
            self._peaks, self._peak_ns = (inflight, self._peaks[0]), now_ns
        elif inflight > self._peaks[0]:
            self._peaks = (inflight, self._peaks[1])

    def divide(self, limit: int, machines: int) -> None:
        lost = max(1, limit // machines)
        if self.shared[SH_SLICE_LOST] != lost:
            self.shared[SH_SLICE_LOST] = lost

    def in_use(self) -> int:
        """All claims that were made before the cells' last change was seen (``LivePool._reserve``)."""
        self._fence.acquire(False)
        self._fence.release()
        return sum(self._inflight)

    def wanted(self, now_ns: int, limit: int) -> int:
        """Who found no place wants as much as is fair; others what they had lately, and a quarter more."""
        if 0 <= now_ns - self.shared[SH_FULL_NS] < RECENT_NS:
            return limit
        peak = max(self._peaks)
        return min(limit, peak + peak // 4)


class RateCells:
    """Of a route with a rate limit: a unit is one of ``burst`` (``lb.resilience.gcra``)."""

    def __init__(self, bucket: Bucket, now_ns: int) -> None:
        self.shared = bucket.shared
        self.fill_ms = bucket.gcra.fill_ms
        self._bucket = bucket
        self._returned = 0
        self._machines = 1
        self._asked = self.shared[SR_ASKED]
        self._since_ns = now_ns
        self._before = self._now = 0.0

    def put(self, cells: Mapping[int, int], credit: int = 0) -> None:
        self._returned += self._bucket.put(cells, credit)

    def given_back(self) -> int:
        returned, self._returned = self._returned, 0
        return returned

    def reset(self) -> None:
        self.put(_RESET)
        self._returned = 0

    def look(self, now_ns: int, limit: int) -> None:
        """Requests per second over the last piece of time, and over this one as far as it has gone."""
        asked = self.shared[SR_ASKED] - self._asked
        elapsed_ns = now_ns - self._since_ns
        self._now = asked * 1e9 / max(elapsed_ns, DEMAND_NS)
        if elapsed_ns >= DEMAND_NS:
            self._before, self._now = self._now, 0.0
            self._asked += asked
            self._since_ns = now_ns

    def divide(self, limit: int, machines: int) -> None:
        self._machines = machines
        lost = max(1, limit // machines)
        if (self.shared[SH_SLICE_LOST], self.shared[SR_MACHINES]) != (lost, machines):
            self.put({SH_SLICE_LOST: lost, SR_MACHINES: machines})

    def in_use(self) -> int:
        return 0

    def wanted(self, now_ns: int, limit: int) -> int:
        """What was asked for lately, and a quarter more; who was refused, twice what it has: one burst in a thousand
        requests is no reason to take the others' part."""
        demand = max(self._before, self._now) * 1.25 / self._bucket.gcra.rate_per_s
        wanted = max(ceil(demand * limit), limit // (IDLE_SHARE * self._machines))
        if 0 <= now_ns - self.shared[SH_FULL_NS] < RECENT_NS:
            wanted = max(wanted, 2 * self.shared[SH_SLICE] + 1)
        return min(limit, wanted)
