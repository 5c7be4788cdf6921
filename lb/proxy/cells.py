"""Where one worker counts: its own cells of the shared segment, by column name.

A name without a column (a built-in pool, a segment that is gone) gets private cells, so that the
data path never asks whether it may count.
"""

from __future__ import annotations

from array import array
from typing import Protocol

from lb.state.layout import COUNTER_CELLS, SHARED_CELLS

View = memoryview


class SharedCells(Protocol):
    """What the data path needs of ``lb.state.segment.Segment``."""

    def shared(self, column: int) -> memoryview: ...
    def inflight_view(self, column: int) -> memoryview: ...
    def load_view(self, column: int) -> memoryview: ...


class OwnCells(Protocol):
    """What the data path needs of ``lb.state.slot.WorkerSlot``."""

    index: int

    def counters(self, column: int) -> memoryview: ...


class Cells:
    """The views of one column. ``inflight[slot]`` is ours to write, the others' to read; ``loads`` is ``inflight`` and
    what other machines have. ``sums``: where what is in flight here is added up with that of other columns, if anybody
    asks for that. It is these cells' and not a member's, because several members may count here: one that was replaced
    goes on until its last request ends."""

    __slots__ = ("_ours_of_sums", "counters", "inflight", "loads", "shared", "slot", "sums")

    def __init__(self, shared: View, inflight: View, loads: View, slot: int, counters: View) -> None:
        self.shared = shared
        self.inflight = inflight
        self.loads = loads
        self.slot = slot
        self.counters = counters
        self.sums: Cells | None = None
        self._ours_of_sums: View | None = None

    def add(self, count: int) -> None:
        """So many more requests of this worker are in flight."""
        self.inflight[self.slot] += count
        if self._ours_of_sums is not None:
            self._ours_of_sums[0] += count

    def use_sums(self, sums: Cells | None) -> None:
        """None: nobody asks for that, or what is counted here is no pool's any more."""
        mine = self.inflight[self.slot]
        if self._ours_of_sums is not None:
            self._ours_of_sums[0] -= mine
        self.sums = sums
        self._ours_of_sums = None
        if sums is not None:
            self._ours_of_sums = sums.inflight[sums.slot : sums.slot + 1]
            self._ours_of_sums[0] += mine


def private_cells() -> Cells:
    def view(cells: int) -> View:
        return memoryview(array("q", bytes(8 * cells)))

    loads = view(2)
    return Cells(view(SHARED_CELLS), loads[1:], loads, 0, view(COUNTER_CELLS))


class CellDirectory:
    """Hands out the cells of named columns; the same name keeps the same cells."""

    def __init__(
        self,
        columns: dict[str, int],
        segment: SharedCells | None,
        slot: OwnCells | None,
        before: CellDirectory | None = None,
    ) -> None:
        """``before``: what did not move since keeps its cells, which costs a tenth of making them; until ``settle``."""
        self._columns = columns
        self._segment = segment
        self._slot = slot
        self._made: dict[str, Cells] = {}
        is_kept = before is not None and before._segment is segment and before._slot is slot
        self._before = before if is_kept else None

    def of(self, name: str) -> Cells:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._kept(name) or self._new(name)
        return made

    def has(self, name: str) -> bool:
        """Whether there is a column of that name: a snapshot of another version of this program may lack it."""
        return name in self._columns

    def settle(self) -> None:
        """All that is needed has been asked for: what the directory before this one had is let go of."""
        self._before = None

    def _kept(self, name: str) -> Cells | None:
        before = self._before
        if before is None or name not in self._columns or before._columns.get(name) != self._columns[name]:
            return None
        return before._made.get(name) or before._kept(name)

    def _new(self, name: str) -> Cells:
        column = self._columns.get(name)
        if column is None or self._segment is None or self._slot is None:
            return private_cells()
        return Cells(
            self._segment.shared(column),
            self._segment.inflight_view(column),
            self._segment.load_view(column),
            self._slot.index,
            self._slot.counters(column),
        )
