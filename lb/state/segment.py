"""The shared memory segment of one machine, as one process sees it: a mapped file of 64-bit cells.

Says where a cell is (by ``lb.state.layout``) and hands out memoryviews of it; who may write a cell
is the layout's contract. Open it *after* the fork. Knows neither configurations nor policies, and
imports nothing that a worker must not import.

Cells are written through ``memoryview.cast("q")``: one aligned 8-byte store, so a reader sees the
old number or the new one (``struct.pack_into`` stores byte by byte and tears).
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lb.state import locks, slot
from lb.state.layout import (
    COUNTER_CELLS,
    H_COLUMNS,
    H_GENERATION,
    H_HEALTH,
    H_SLOTS,
    HEADER_CELLS,
    MAGIC,
    SHARED_CELLS,
    SLOT_CELLS,
    VERSION,
    column_cells,
    column_offset,
    counters_offset,
    inflight_offset,
)
from lb.state.segment_file import Geometry, SegmentError, is_same_file, open_checked, place, reserve
from lb.state.slot import WorkerSlot

if TYPE_CHECKING:
    from lb.model import Snapshot

__all__ = ["Segment", "SegmentError", "slots_for"]

_PLACE_ATTEMPTS = 8


def slots_for(workers: int) -> int:
    """Slots a machine with so many workers needs: old and new workers of a few restarts at once."""
    return 4 * workers + 16


class Segment:
    """One mapped segment. Not thread-safe; greenlets of one thread may share it.

    Views it has handed out stay valid when the segment grows, is refreshed or is deleted. Only a
    file that was *truncated* under us kills the process (SIGBUS); the next one finds the damage on
    opening it.
    """

    def __init__(self, path: str, fd: int, geometry: Geometry) -> None:
        self.path = path
        self.slots = geometry.slots
        self._fd = fd
        self._maps: list[mmap.mmap] = []
        self._map(geometry.columns)

    @classmethod
    def open(cls, path: str) -> Segment:
        """Map what is there. SegmentError if it is missing, damaged, truncated or of another version."""
        fd, geometry = open_checked(path)
        return cls(path, fd, geometry)

    @classmethod
    def create(cls, path: str, *, slots: int, columns: int, generation: int = 0) -> Segment:
        """The segment at ``path`` with at least so many slots and columns: opened and grown if a
        usable one is there (its counters go on), otherwise a new one put in place atomically.

        ``generation`` is for a new one only. Any number of processes may call this at once and end
        up on the same file; should a stopped one among them wake late, ``is_stale`` tells the rest.
        """
        for _ in range(_PLACE_ATTEMPTS):
            try:
                segment = cls.open(path)
            except SegmentError:
                segment = None
            if segment is not None:
                if segment.slots >= slots:
                    return segment._grown(columns)
                segment.close()
            _place(path, Geometry(slots, columns), generation)
        raise SegmentError(f"{path}: somebody else keeps replacing it")

    @classmethod
    def for_snapshot(cls, snapshot: Snapshot) -> Segment:
        """The segment that a snapshot names: what workers and the controller call at boot, and again
        when ``is_stale``. If it is lost, whoever comes first makes a new one."""
        return cls.create(
            snapshot.segment,
            slots=slots_for(snapshot.config.workers),
            columns=1 + max(snapshot.columns.values(), default=-1),
            generation=snapshot.generation,
        )

    def _map(self, columns: int) -> None:
        size_bytes = Geometry(self.slots, columns).size_bytes
        try:
            mapped = mmap.mmap(self._fd, size_bytes)
        except (OSError, ValueError) as error:
            raise SegmentError(f"{self.path}: cannot map {size_bytes} bytes: {error}") from error
        # Kept for good: freeing a mapping closes its duplicate of our descriptor, and with it the
        # kernel drops this process's record locks. There is one per growth, sharing the same pages.
        self._maps.append(mapped)
        self._cells = memoryview(mapped).cast("q")
        self.columns = columns
        self.header = self._cells[:HEADER_CELLS]

    def grow(self, columns: int) -> None:
        """Have at least ``columns`` columns; never shrinks. May block up to a second if another
        process is growing it too. SegmentError if there is no memory for them: nothing changed."""
        self.refresh()
        if columns <= self.columns:
            return
        if not locks.lock_within(self._fd, locks.GROW_BYTE):
            raise SegmentError(f"{self.path}: another process has been growing it for {locks.SPIN_S:g} s")
        try:
            reserve(self._fd, Geometry(self.slots, columns).size_bytes)
            self.header[H_COLUMNS] = max(columns, self.header[H_COLUMNS])
        except OSError as error:
            raise SegmentError(f"{self.path}: no room for {columns} columns: {error.strerror}") from error
        finally:
            locks.unlock(self._fd, locks.GROW_BYTE)
        self.refresh()

    def _grown(self, columns: int) -> Segment:
        try:
            self.grow(columns)
        except SegmentError:
            self.close()
            raise
        return self

    def refresh(self) -> bool:
        """Map the columns that others have added. True if there were any."""
        if self.header[H_COLUMNS] <= self.columns:
            return False
        self._map(self.header[H_COLUMNS])
        return True

    def close(self) -> None:
        """Let go of the file. The memory is unmapped when the last view of it is gone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._maps.clear()
            self._cells = self.header = memoryview(b"").cast("q")

    def is_stale(self) -> bool:
        """Whether this is no longer the machine's segment: deleted, replaced, truncated, written over.

        Three system calls; workers ask about once a second and then ``create`` it again.
        """
        if not is_same_file(self._fd, self.path):
            return True
        if os.fstat(self._fd).st_size < Geometry(self.slots, self.columns).size_bytes:
            return True  # before anything reads the header: it may be behind the file's end
        return tuple(self.header[: H_SLOTS + 1]) != (MAGIC, VERSION, self.slots)

    @property
    def generation(self) -> int:
        """Generation of the snapshot file that everybody should be on; 0: none yet."""
        return self.header[H_GENERATION]

    def publish_generation(self, generation: int) -> None:
        """Tell all processes to read the snapshot file again. Called when the file is in place."""
        self.header[H_GENERATION] = generation

    @property
    def health_version(self) -> int:
        """Differs from what it was when a SHARED verdict has changed since. Says nothing else."""
        return self.header[H_HEALTH]

    def bump_health(self) -> None:
        """Make everybody look at the SHARED verdict cells again; called after writing one.

        The clock, not ``+= 1``: of two processes that add at once, one could put back a number that
        a reader has already seen, and hide the change.
        """
        self.header[H_HEALTH] = max(time.monotonic_ns(), self.header[H_HEALTH] + 1)

    def shared(self, column: int) -> memoryview:
        """The cells of a column that have one value for the machine."""
        first = column_offset(self._known(column), self.slots)
        return self._cells[first : first + SHARED_CELLS]

    def inflight_view(self, column: int) -> memoryview:
        """One cell per slot; ``sum()`` of it is the column's inflight (keep the view, it is live)."""
        first = inflight_offset(self._known(column), self.slots)
        return self._cells[first : first + self.slots]

    def load_view(self, column: int) -> memoryview:
        """SH_OTHERS and one cell per slot: its ``sum()`` is the inflight of all machines."""
        first = inflight_offset(self._known(column), self.slots)
        return self._cells[first - 1 : first + self.slots]

    def inflight(self, column: int) -> int:
        return sum(self.inflight_view(column))

    def counters(self, column: int, slot: int) -> memoryview:
        """The counter cells of one slot; only that slot's process may write them."""
        first = counters_offset(self._known(column), slot, self.slots)
        return self._cells[first : first + COUNTER_CELLS]

    def totals(self, column: int) -> list[int]:
        """Every counter summed over all slots, of workers alive or dead; about 50 µs."""
        first = counters_offset(self._known(column), 0, self.slots)
        block = self._cells[first : first + self.slots * COUNTER_CELLS]
        return [sum(block[cell::COUNTER_CELLS]) for cell in range(COUNTER_CELLS)]

    def sums(self, column: int, cells: Sequence[int]) -> list[int]:
        """Some counters summed over all slots; a microsecond each."""
        first = counters_offset(self._known(column), 0, self.slots)
        block = self._cells[first : first + self.slots * COUNTER_CELLS]
        return [sum(block[cell::COUNTER_CELLS]) for cell in cells]

    def clear(self, column: int) -> None:
        """Zero a whole column. Only for one that no snapshot in use names (``lb.state.columns``)."""
        first = column_offset(self._known(column), self.slots)
        cells = column_cells(self.slots)
        self._cells[first : first + cells] = memoryview(bytes(8 * cells)).cast("q")

    def slot_cells(self, index: int) -> memoryview:
        """The slot table's row of one slot."""
        first = HEADER_CELLS + index * SLOT_CELLS
        return self._cells[first : first + SLOT_CELLS]

    def _known(self, column: int) -> int:
        if column >= self.columns:
            self.refresh()
        if not 0 <= column < self.columns:
            raise SegmentError(f"{self.path}: no column {column}, there are {self.columns}")
        return column

    def try_lock(self, byte: int) -> bool:
        """Take a lock of ``lb.state.locks`` without waiting; read there what may be done under it."""
        return locks.try_lock(self._fd, byte)

    def unlock(self, byte: int) -> None:
        locks.unlock(self._fd, byte)

    @property
    def fd(self) -> int:
        """For locking in a hot path. Never close it, never ``dup`` it."""
        return self._fd

    def live_slots(self) -> list[int]:
        """Slots whose process runs now."""
        return slot.live(self)

    def reap(self) -> list[int]:
        """Free the slots of dead processes and zero their inflight; which ones these were.

        Anybody may call it at any time; it never waits. Killed half-way, the next call redoes it.
        """
        return slot.reap(self)

    def claim_slot(self) -> WorkerSlot:
        """A slot for this process, after reaping. Once per process; SegmentError if all are taken."""
        return slot.claim(self)


def _place(path: str, geometry: Geometry, generation: int) -> None:
    try:
        place(path, geometry, generation)
    except OSError as error:
        raise SegmentError(f"{path}: cannot be created: {error.strerror}") from error
