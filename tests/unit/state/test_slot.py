from __future__ import annotations

import os

import pytest

from lb.state import slot as slot_module
from lb.state.layout import C_COUNT, SLOT_BEAT_NS, SLOT_GENERATION, SLOT_PID, SLOT_READY, SLOT_START
from lb.state.process import start_ticks
from lb.state.segment import Segment, SegmentError

DEAD_PID = 2**22 + 1
"""Above the kernel's largest pid."""


def bury(segment: Segment, index: int, pid: int = DEAD_PID, start: int = 1) -> None:
    """Make a slot look like that of a process that died with two requests in each column."""
    row = segment.slot_cells(index)
    row[SLOT_START], row[SLOT_READY], row[SLOT_PID] = start, 1, pid
    for column in range(segment.columns):
        segment.inflight_view(column)[index] = 2
        segment.counters(column, index)[C_COUNT] = 5


def test_claim_names_this_process(segment: Segment) -> None:
    slot = segment.claim_slot()
    row = segment.slot_cells(slot.index)
    assert (row[SLOT_PID], row[SLOT_START]) == (os.getpid(), start_ticks(os.getpid()))
    assert segment.live_slots() == [slot.index]


def test_what_a_slot_counts_is_in_the_sums(segment: Segment) -> None:
    slot = segment.claim_slot()
    cells, inflight = slot.counters(1), slot.segment.inflight_view(1)
    cells[C_COUNT] += 1
    inflight[slot.index] += 1
    assert segment.totals(1)[C_COUNT] == segment.inflight(1) == 1


def test_reap_zeroes_inflight_and_keeps_counters(segment: Segment) -> None:
    bury(segment, 2)
    assert segment.live_slots() == []
    assert segment.reap() == [2]
    assert segment.reap() == []
    for column in range(segment.columns):
        assert segment.inflight(column) == 0
        assert segment.totals(column)[C_COUNT] == 5
    assert segment.slot_cells(2)[SLOT_PID] == 0


def test_reap_covers_columns_that_this_process_has_not_mapped(segment: Segment) -> None:
    reaper = Segment.open(segment.path)
    segment.grow(6)
    bury(segment, 0)
    assert reaper.reap() == [0]
    assert [segment.inflight(column) for column in range(6)] == [0] * 6
    reaper.close()


def test_a_reused_pid_does_not_keep_a_slot_alive(segment: Segment) -> None:
    bury(segment, 1, pid=os.getpid(), start=1)
    assert segment.reap() == [1]


def test_reap_leaves_the_living_alone(segment: Segment) -> None:
    slot = segment.claim_slot()
    slot.segment.inflight_view(0)[slot.index] = 1
    assert segment.reap() == [] and segment.inflight(0) == 1


def test_a_slot_that_found_a_new_owner_between_look_and_lock_is_left_alone(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Segment.open(segment.path)
    bury(segment, 0)

    def overtaken(byte: int) -> bool:
        monkeypatch.undo()
        slot = other.claim_slot()
        slot.segment.inflight_view(0)[slot.index] = 9
        return segment.try_lock(byte)

    monkeypatch.setattr(segment, "try_lock", overtaken)
    assert segment.reap() == []
    assert segment.live_slots() == [0] and segment.inflight(0) == 9
    other.close()


def test_a_reaper_that_died_half_way_is_finished_by_the_next(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(Exception):
        pass

    def die(segment: Segment, index: int) -> None:
        segment.inflight_view(0)[index] = 0
        raise Died

    bury(segment, 0)
    with monkeypatch.context() as patched:
        patched.setattr(slot_module, "_zero_inflight", die)
        with pytest.raises(Died):
            segment.reap()
    assert segment.inflight(1) == 2
    assert segment.reap() == [0] and segment.inflight(1) == 0


def test_claim_takes_over_a_dead_slot_and_adds_to_its_counters(segment: Segment) -> None:
    for index in range(segment.slots):
        bury(segment, index)
    slot = segment.claim_slot()
    slot.counters(0)[C_COUNT] += 1
    assert segment.inflight(0) == 0
    assert segment.totals(0)[C_COUNT] == 5 * segment.slots + 1


def test_claim_starts_from_a_clean_row(segment: Segment) -> None:
    bury(segment, 0)
    segment.slot_cells(0)[SLOT_GENERATION] = 12
    slot = segment.claim_slot()
    row = segment.slot_cells(slot.index)
    assert (row[SLOT_READY], row[SLOT_GENERATION], row[SLOT_BEAT_NS]) == (0, 0, 0)


def test_no_free_slot_is_an_error_that_says_so(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_module, "SPIN_S", 0.02)
    for _ in range(segment.slots):
        segment.claim_slot()
    with pytest.raises(SegmentError, match="all 4 slots are taken by running processes"):
        segment.claim_slot()


def test_beat_says_what_the_worker_does(segment: Segment) -> None:
    slot = segment.claim_slot()
    assert slot.beat(123, 7, 1)
    row = segment.slot_cells(slot.index)
    assert (row[SLOT_BEAT_NS], row[SLOT_GENERATION], row[SLOT_READY]) == (123, 7, 1)


def test_beat_notices_that_the_slot_is_gone(segment: Segment) -> None:
    slot = segment.claim_slot()
    segment.slot_cells(slot.index)[SLOT_PID] = 0
    assert not slot.beat(1, 1, 1)
    assert segment.slot_cells(slot.index)[SLOT_BEAT_NS] == 0


def test_close_gives_the_slot_back_with_its_counts(segment: Segment) -> None:
    slot = segment.claim_slot()
    slot.counters(0)[C_COUNT] += 3
    slot.segment.inflight_view(0)[slot.index] = 1
    slot.close()
    assert segment.inflight(0) == 0 and segment.totals(0)[C_COUNT] == 3
    assert segment.live_slots() == [] and segment.claim_slot().index == slot.index
