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
    what other machines have."""

    __slots__ = ("counters", "inflight", "loads", "shared", "slot")

    def __init__(self, shared: View, inflight: View, loads: View, slot: int, counters: View) -> None:
        self.shared = shared
        self.inflight = inflight
        self.loads = loads
        self.slot = slot
        self.counters = counters


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
