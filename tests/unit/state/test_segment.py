from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb.state import layout, locks
from lb.state.segment import Segment, SegmentError, slots_for
from lb.state.segment_file import Geometry


def write_cells(path: str, first: int, *values: int) -> None:
    with open(path, "r+b") as file:
        file.seek(8 * first)
        for value in values:
            file.write(value.to_bytes(8, "little", signed=True))


def test_a_new_segment_has_the_layout_and_only_zeros(segment: Segment) -> None:
    header = list(segment.header)
    assert header[:4] == [layout.MAGIC, layout.VERSION, 4, 3]
    assert not any(header[4:])
    assert os.path.getsize(segment.path) == 8 * layout.column_offset(3, 4)
    assert [segment.totals(column) for column in range(3)] == [[0] * layout.COUNTER_CELLS] * 3


def test_what_one_mapping_writes_another_reads(segment: Segment) -> None:
    other = Segment.open(segment.path)
    segment.shared(2)[layout.SH_VERDICT] = layout.UP
    segment.inflight_view(1)[3] = 5
    segment.inflight_view(1)[0] = 2
    segment.counters(0, 1)[layout.C_BYTES_OUT] = -(2**62)
    assert other.shared(2)[layout.SH_VERDICT] == layout.UP
    assert other.inflight(1) == 7
    assert other.totals(0)[layout.C_BYTES_OUT] == -(2**62)
    other.close()


def test_no_two_cells_overlap(segment: Segment) -> None:
    views = [segment.header, *(segment.slot_cells(index) for index in range(4))]
    for column in range(3):
        views += [segment.shared(column), segment.inflight_view(column)]
        views += [segment.counters(column, index) for index in range(4)]
    for number, view in enumerate(views, start=1):
        view[:] = memoryview((number).to_bytes(8, "little") * len(view)).cast("q")
    for number, view in enumerate(views, start=1):
        assert set(view) == {number}


def test_totals_sum_over_all_slots_cell_by_cell(segment: Segment) -> None:
    for index in range(4):
        segment.counters(1, index)[layout.C_COUNT] = 10**index
        segment.counters(1, index)[63] = 1
    totals = segment.totals(1)
    assert (totals[layout.C_COUNT], totals[63], sum(totals)) == (1111, 4, 1115)


def test_a_column_that_is_not_there_is_an_error_not_an_empty_view(segment: Segment) -> None:
    for column in (3, -1):
        with pytest.raises(SegmentError, match=f"no column {column}, there are 3"):
            segment.shared(column)


def test_growing_keeps_old_views_and_values(segment: Segment) -> None:
    other = Segment.open(segment.path)
    old_view = other.shared(0)
    segment.shared(0)[layout.SH_CURSOR] = 41
    segment.grow(10)
    segment.shared(9)[layout.SH_VERDICT] = layout.DOWN
    assert other.columns == 3
    assert other.refresh() and not other.refresh()
    assert other.shared(9)[layout.SH_VERDICT] == layout.DOWN
    old_view[layout.SH_CURSOR] += 1
    assert segment.shared(0)[layout.SH_CURSOR] == 42
    other.close()


def test_a_column_that_another_process_added_is_found_without_refresh(segment: Segment) -> None:
    other = Segment.open(segment.path)
    segment.grow(5)
    assert list(other.shared(4)) == [0] * layout.SHARED_CELLS
    other.close()


def test_growing_never_shrinks(segment: Segment) -> None:
    size_bytes = os.path.getsize(segment.path)
    segment.grow(1)
    assert (segment.columns, os.path.getsize(segment.path)) == (3, size_bytes)


def test_of_two_that_grow_at_once_the_larger_wins(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Segment.open(segment.path)

    def overtaken(fd: int, byte: int) -> bool:
        monkeypatch.undo()
        other.grow(20)
        return locks.lock_within(fd, byte)

    monkeypatch.setattr(locks, "lock_within", overtaken)
    segment.grow(10)
    assert segment.columns == 20 and Segment.open(segment.path).columns == 20
    other.close()


def test_no_room_to_grow_is_an_error_and_changes_nothing(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(fd: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(SegmentError, match="no room for 9 columns: No space left on device"):
        segment.grow(9)
    assert Segment.open(segment.path).columns == 3


def test_create_opens_and_grows_what_is_there(segment: Segment) -> None:
    segment.counters(0, 0)[layout.C_COUNT] = 7
    again = Segment.create(segment.path, slots=2, columns=6, generation=9)
    assert (again.slots, again.columns, again.generation) == (4, 6, 0)
    assert again.totals(0)[layout.C_COUNT] == 7
    assert not segment.is_stale()
    again.close()


def test_create_replaces_one_with_too_few_slots(segment: Segment) -> None:
    again = Segment.create(segment.path, slots=5, columns=3, generation=9)
    assert (again.slots, again.generation) == (5, 9)
    assert segment.is_stale() and not again.is_stale()
    again.close()


DAMAGE = {
    "empty": (lambda path: os.truncate(path, 0), "too short for a header: 0 bytes"),
    "header only": (lambda path: os.truncate(path, 4096), "truncated: 4096 of"),
    "last byte missing": (lambda path: os.truncate(path, Geometry(4, 3).size_bytes - 1), "truncated"),
    "other magic": (
        lambda path: write_cells(path, layout.H_MAGIC, 0x6C62),
        "not a segment: its magic number is 0x6c62",
    ),
    "other version": (
        lambda path: write_cells(path, layout.H_VERSION, 99),
        f"version 99, this program needs {layout.VERSION}",
    ),
    "no slots": (lambda path: write_cells(path, layout.H_SLOTS, 0), "damaged header: 0 slots, 3 columns"),
    "absurd columns": (lambda path: write_cells(path, layout.H_COLUMNS, 2**40), "damaged header"),
    "negative columns": (lambda path: write_cells(path, layout.H_COLUMNS, -1), "damaged header"),
    "more columns than bytes": (lambda path: write_cells(path, layout.H_COLUMNS, 4), "truncated"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_and_then_replaced(segment: Segment, damage: str) -> None:
    spoil, text = DAMAGE[damage]
    spoil(segment.path)
    with pytest.raises(SegmentError, match=text):
        Segment.open(segment.path)
    fresh = Segment.create(segment.path, slots=4, columns=3)
    assert segment.is_stale() and not fresh.is_stale()
    assert fresh.inflight(2) == 0
    assert os.listdir(os.path.dirname(segment.path)) == ["lb.seg"]
    fresh.close()


def test_a_missing_file_is_a_segment_error(path: str) -> None:
    with pytest.raises(SegmentError, match="No such file"):
        Segment.open(path)


def test_a_link_is_not_followed_but_replaced(segment: Segment, tmp_path: Path) -> None:
    link = str(tmp_path / "link.seg")
    os.symlink(segment.path, link)
    with pytest.raises(SegmentError):
        Segment.open(link)
    fresh = Segment.create(link, slots=1, columns=1)
    assert fresh.slots == 1 and not os.path.islink(link) and not segment.is_stale()
    fresh.close()


def test_a_directory_that_cannot_hold_it_is_a_segment_error(tmp_path: Path) -> None:
    with pytest.raises(SegmentError, match="cannot be created: No such file or directory"):
        Segment.create(str(tmp_path / "missing" / "lb.seg"), slots=1, columns=1)


def test_left_overs_of_a_killed_creator_are_swept(path: str) -> None:
    pid_that_cannot_be = 2**22 + 1
    Path(f"{path}.{pid_that_cannot_be}.tmp").write_bytes(b"half")
    Path(f"{path}.{os.getppid()}.tmp").write_bytes(b"still at it")
    Segment.create(path, slots=1, columns=1).close()
    assert sorted(os.listdir(os.path.dirname(path))) == ["lb.seg", f"lb.seg.{os.getppid()}.tmp"]


def test_is_stale_when_deleted_truncated_or_written_over(segment: Segment) -> None:
    other = Segment.open(segment.path)
    assert not other.is_stale()
    write_cells(segment.path, layout.H_MAGIC, 0)
    assert other.is_stale()
    os.truncate(segment.path, 100)
    assert other.is_stale()
    os.unlink(segment.path)
    assert other.is_stale()
    other.close()


def test_only_this_user_may_read_it(segment: Segment) -> None:
    assert os.stat(segment.path).st_mode & 0o777 == 0o600


def test_generation_and_health_reach_other_mappings(segment: Segment) -> None:
    other = Segment.open(segment.path)
    before = other.health_version
    segment.publish_generation(3)
    segment.bump_health()
    assert other.generation == 3 and other.health_version != before
    seen = {other.health_version}
    for _ in range(1000):
        segment.bump_health()
        seen.add(other.health_version)
    assert len(seen) == 1001
    other.close()


def test_clear_zeroes_one_column_and_no_other(segment: Segment) -> None:
    for column in range(3):
        segment.shared(column)[0] = segment.inflight_view(column)[3] = segment.counters(column, 3)[63] = 1
    segment.clear(1)
    for column, kept in ((0, 1), (1, 0), (2, 1)):
        assert segment.shared(column)[0] == segment.inflight(column) == segment.totals(column)[63] == kept


def test_views_outlive_close(segment: Segment) -> None:
    other = Segment.open(segment.path)
    view = other.shared(0)
    other.close()
    other.close()
    view[layout.SH_CURSOR] = 5
    assert segment.shared(0)[layout.SH_CURSOR] == 5


def test_slots_leave_room_for_restarts() -> None:
    assert slots_for(1) == 20 and slots_for(8) == 48
