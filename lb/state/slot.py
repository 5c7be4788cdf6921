"""The slot table: which process writes which cells, and what happens when it dies.

A row is changed only under its own lock byte, so nobody needs a lock for the whole table: a row
whose lock somebody else holds (stopped in the middle, say) is passed over. Every step can be
repeated: a process that dies in the middle leaves a row that the next one treats the same way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lb.state.layout import SLOT_BEAT_NS, SLOT_GENERATION, SLOT_HEALTH, SLOT_PID, SLOT_READY, SLOT_START
from lb.state.locks import SPIN_S, slot_byte
from lb.state.process import is_running, start_ticks
from lb.state.segment_file import SegmentError

if TYPE_CHECKING:
    from lb.state.segment import Segment

_PAUSE_S = 0.005


class WorkerSlot:
    """The cells of one process, which is their only writer until ``close``.

    The data path keeps the views it gets from here and adds to them (``cells[C_COUNT] += 1``).
    """

    def __init__(self, segment: Segment, index: int) -> None:
        self.segment = segment
        self.index = index
        self._row = segment.slot_cells(index)
        self._pid = os.getpid()

    def counters(self, column: int) -> memoryview:
        """Our counter cells of a column. They go on from where the slot's last process left them."""
        return self.segment.counters(column, self.index)

    def beat(self, now_ns: int, generation: int, ready: int) -> bool:
        """Say that we live, on which generation, and whether we accept (READY) or drain (DRAINING).

        False: the slot is not ours any more (somebody who cannot see our pid has freed it, or the
        segment was written over). Then claim a new one and stop writing to this.
        """
        row = self._row
        if row[SLOT_PID] != self._pid:
            return False
        row[SLOT_BEAT_NS] = now_ns
        row[SLOT_GENERATION] = generation
        row[SLOT_READY] = ready
        return True

    def knows(self, health: int) -> None:
        """Say that our picks know the verdicts of this ``Segment.health_version``."""
        if self._row[SLOT_PID] == self._pid:
            self._row[SLOT_HEALTH] = health

    def close(self) -> None:
        """Give the slot back. The last thing a worker does: its views belong to others from now on."""
        if self._row[SLOT_PID] == self._pid:
            _zero_inflight(self.segment, self.index)
            self._row[SLOT_READY] = 0
            self._row[SLOT_PID] = 0  # last: until now nobody else may take it


def live(segment: Segment) -> list[int]:
    """Slots whose process runs. A look without locks: true for some instant of the call."""
    rows = [(index, segment.slot_cells(index)) for index in range(segment.slots)]
    return [index for index, row in rows if row[SLOT_PID] and is_running(row[SLOT_PID], row[SLOT_START])]


def reap(segment: Segment) -> list[int]:
    """Free the slots of processes that are gone; see ``Segment.reap``."""
    dead = [index for index in range(segment.slots) if _is_dead(segment.slot_cells(index))]
    return [index for index in dead if _locked(segment, index, _free_if_dead)]


def claim(segment: Segment) -> WorkerSlot:
    """Take a free slot; see ``Segment.claim_slot``.

    Two that claim at once pass over each other's row, so they meet only when the table is nearly
    full; then, for at most a second, it is worth looking again.
    """
    deadline = time.monotonic() + SPIN_S
    while True:
        reap(segment)
        for index in range(segment.slots):
            if not segment.slot_cells(index)[SLOT_PID] and _locked(segment, index, _take_if_free):
                return WorkerSlot(segment, index)
        if time.monotonic() >= deadline:
            raise SegmentError(f"{segment.path}: all {segment.slots} slots are taken by running processes")
        time.sleep(_PAUSE_S)


def _locked(segment: Segment, index: int, change: Callable[[Segment, int], bool]) -> bool:
    """What ``change`` did with the row; False without calling it if the row is locked."""
    if not segment.try_lock(slot_byte(index)):
        return False
    try:
        return change(segment, index)
    finally:
        segment.unlock(slot_byte(index))


def _is_dead(row: memoryview) -> bool:
    return bool(row[SLOT_PID]) and not is_running(row[SLOT_PID], row[SLOT_START])


def _free_if_dead(segment: Segment, index: int) -> bool:
    row = segment.slot_cells(index)
    if not _is_dead(row):  # somebody else was here between our look and our lock
        return False
    _zero_inflight(segment, index)
    row[SLOT_READY] = 0
    row[SLOT_PID] = 0
    return True


def _take_if_free(segment: Segment, index: int) -> bool:
    row = segment.slot_cells(index)
    if row[SLOT_PID]:
        return False
    _zero_inflight(segment, index)
    row[SLOT_READY] = row[SLOT_GENERATION] = row[SLOT_BEAT_NS] = row[SLOT_HEALTH] = 0
    row[SLOT_START] = start_ticks(os.getpid()) or 0
    row[SLOT_PID] = os.getpid()  # last: with the pid in place the row counts as taken
    return True


def _zero_inflight(segment: Segment, index: int) -> None:
    """In every column that exists by now: the dead process may have known more than we have mapped."""
    segment.refresh()
    for column in range(segment.columns):
        segment.inflight_view(column)[index] = 0
