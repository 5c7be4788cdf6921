"""Round robin numbers that all workers of a machine share.

A ticket is a number; a policy serves ticket t with entry ``t % cycle`` of its cycle. All tickets
come from one cursor per column. A slow worker takes them one at a time, so requests that follow
each other on any workers are served in strict order. A fast one takes a *lease*, about 2 ms of its
demand and up to a cycle's boundary, and hands it out without a lock. Knows no backends.

Why the counts stay even: tickets below the cursor are handed out or open in a lease. A run of
consecutive tickets gives any two backends counts that differ by at most one, and so does each open
lease. A long lease leaves the cursor on a boundary, where the whole is exactly even; only one
taken singly leaves it elsewhere, and who did so has no lease open. Hence max - min <= workers (one
more with cycles above ``MAX_LEASE``), plus one for each lease that died with its worker.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable

from lb.state.layout import SH_CURSOR, SH_CURSOR_WEIGHTED, SH_CYCLE, SH_CYCLE_WEIGHTED
from lb.state.locks import column_byte
from lb.state.segment import Segment

FAST_S = 0.002
"""A lease used up sooner than this was too short: the next one is longer."""
STALE_S = 0.020
"""What is left of a lease after this is given back if it can be: strict order comes first again."""
SINGLE_LEVELS = 8
"""Fast takes before the first lease, less the slow ones between; until then each takes one ticket.
So many that requests one after the other, on workers by chance, practically never start a lease."""
MAX_LEVEL = SINGLE_LEVELS + 5
"""The longest lease: 2 ** (MAX_LEVEL - SINGLE_LEVELS) = 32 cycles."""
MAX_LEASE = 256
"""And never more tickets than this, however long the cycle."""
LATELY_S = 2.0
"""Who took a ticket within this time is on the members of today: longer than a slow tick, shorter than two."""
_TRIES = 3
"""A holder that runs is out of its critical section after 2 us: worth a second look, not a third."""

_TRY = fcntl.LOCK_EX | fcntl.LOCK_NB
_CYCLES = {SH_CURSOR: SH_CYCLE, SH_CURSOR_WEIGHTED: SH_CYCLE_WEIGHTED}


class Tickets:
    """One process's view of a column's cursor. Never waits.

    If the lock is taken (its holder has been stopped or scheduled away inside), tickets come from
    a private sequence instead: each such ticket may repeat one that another worker has had, so the
    order across workers is lost for it. Evenness is not: the private sequence goes on where it
    was, over all such moments together, and so adds at most one per worker to max - min.

    ``cycle`` may be assigned when the members change; an open lease is used on. Who assigns it tells
    the controller too, which keeps the order of SH_CURSOR and SH_CURSOR_WEIGHTED with other machines
    (``lb.state.store.order``): it must know where a cycle ends.
    """

    def __init__(
        self,
        segment: Segment,
        column: int,
        cycle: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        cell: int = SH_CURSOR,
    ) -> None:
        self._cycle = max(1, cycle)
        self._said = 0
        self._cycle_cell = _CYCLES.get(cell, -1)
        self._fd = segment.fd
        self._byte = column_byte(column)
        self._shared = segment.shared(column)
        self._cell = cell
        self._clock = clock
        self._next = self._end = 0
        self._fresh_until = self._taken_at = clock() - STALE_S
        self._level = 0
        self._tries = _TRIES
        self._private = os.getpid()  # each worker from another place, so that they do not add up

    @property
    def cycle(self) -> int:
        return self._cycle

    @cycle.setter
    def cycle(self, cycle: int) -> None:
        self._cycle = self._said = max(1, cycle)
        self._say()

    def _say(self) -> None:
        """Compares with the cell, not with what we said last: another worker may have said something else since."""
        if self._cycle_cell >= 0 and self._shared[self._cycle_cell] != self._said:
            self._shared[self._cycle_cell] = self._said

    def next(self) -> int:
        """The next ticket: 0.2 us from a lease, about 4 us from the cursor."""
        ticket = self._next
        if ticket < self._end:
            if self._clock() < self._fresh_until:
                self._next = ticket + 1
                return ticket
            self._give_back()
            if self._next < self._end:  # others have leased behind us: the rest must be used up
                return self._from_lease()
        return self._take()

    def settle(self) -> None:
        """Give back what is left of an old lease. For a slow tick of the worker: without it, that
        happens at the next ``next``, and a first request elsewhere would skip the rest. And say the
        cycle again, if we are in use: a worker that saw the members of a moment ago may have spoken last."""
        if self._said and self._clock() - self._taken_at < LATELY_S:
            self._say()
        if self._next < self._end and self._clock() >= self._fresh_until:
            self._give_back()

    def _from_lease(self) -> int:
        ticket = self._next
        self._next = ticket + 1
        return ticket

    def _take(self) -> int:
        """One ticket or a lease from the cursor, by how fast the last one went."""
        now = self._clock()
        self._level = _level(self._level, now - self._taken_at)
        self._taken_at = now
        if not self._lock():
            self._private += 1
            return self._private - 1
        try:
            first = self._shared[self._cell]
            end = lease_end(first, self._cycle, self._level)
            self._shared[self._cell] = end
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._byte)
        self._next = first + 1
        self._end = end
        self._fresh_until = now + STALE_S
        return first

    def _give_back(self) -> None:
        """Put the rest of the lease back if it is the last one that was taken; otherwise keep only
        what is not a whole cycle, for whole cycles can be left out without harm to evenness."""
        self._level = 0
        self._fresh_until = self._clock() + STALE_S
        if not self._lock():
            return
        try:
            if self._shared[self._cell] == self._end:
                self._shared[self._cell] = self._end = self._next
            else:
                self._end = self._next + (self._end - self._next) % self._cycle
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._byte)

    def _lock(self) -> bool:
        """``Segment.try_lock`` without its calls, a few times. While it fails, once is enough."""
        for _ in range(self._tries):
            try:
                fcntl.lockf(self._fd, _TRY, 1, self._byte)
            except OSError:
                continue
            self._tries = _TRIES
            return True
        self._tries = 1
        return False


def _level(level: int, since_last_s: float) -> int:
    """Longer leases while they go fast, shorter ones otherwise, single tickets after a pause."""
    if since_last_s < FAST_S:
        return min(level + 1, MAX_LEVEL)
    return max(level - 1, 0) if since_last_s < STALE_S else 0


def lease_end(first: int, cycle: int, level: int) -> int:
    """Where a lease ends that starts at ``first``: behind one ticket, or on a boundary of the cycle."""
    if level < SINGLE_LEVELS:
        return first + 1
    cycles = 1 << (level - SINGLE_LEVELS)
    return min((first // cycle + cycles) * cycle, first + MAX_LEASE)
