"""Where a worker counts."""

from __future__ import annotations

from lb.proxy.cells import CellDirectory
from lb.state.layout import C_COUNT, SH_VERDICT
from tests.support.scripted import FakeSegment, directory


def test_a_column_is_the_machines_and_its_counters_are_ours() -> None:
    segment = FakeSegment(slots=3, index=2)
    cells = directory(["pool:web"], segment).of("pool:web")
    cells.counters[C_COUNT] += 1
    cells.shared[SH_VERDICT] = 1
    cells.inflight[cells.slot] += 1
    assert segment.counters(0)[C_COUNT] == segment.shared(0)[SH_VERDICT] == 1
    assert list(segment.inflight_view(0)) == [0, 0, 1]


def test_a_name_without_a_column_counts_for_itself() -> None:
    known = directory(["pool:web"])
    known.of("pool:control").counters[C_COUNT] += 1
    assert known.of("pool:control").counters[C_COUNT] == 1
    assert known.of("pool:web").counters[C_COUNT] == known.of("pool:other").counters[C_COUNT] == 0


def test_without_a_segment_everything_counts_privately() -> None:
    cells = CellDirectory({"worker": 0}, None, None)
    cells.of("worker").inflight[0] += 1
    assert sum(cells.of("worker").inflight) == 1
