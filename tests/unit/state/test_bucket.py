"""A rate limit's bucket in shared memory: exact, kept over reloads, and nobody's to hold up."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from lb.model import StoreLoss
from lb.resilience.gcra import TOKEN, Gcra
from lb.state import bucket as bucket_module
from lb.state.bucket import BUSY_NS, Bucket
from lb.state.layout import (
    SH_FULL_NS,
    SH_SLICE,
    SH_SLICE_LOST,
    SH_SLICE_UNTIL_NS,
    SR_ASKED,
    SR_BUCKETS,
    SR_MACHINES,
    SR_TURN,
)
from lb.state.locks import BUCKETS
from lb.state.segment import Segment

S = 1_000_000_000
MS = 1_000_000
OVER_NS = 1


class FakeClock:
    def __init__(self) -> None:
        self.now_ns = 1000 * S

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def bucket(
    segment: Segment, clock: FakeClock, rate: float = 10.0, burst: int = 5, rule: StoreLoss | None = None
) -> Bucket:
    return Bucket(segment.fd, 1, segment.shared(1), Gcra(rate, burst), rule, 0, clock)


def passed(one: Bucket, times: int = 100) -> int:
    return sum(one.take() == 0 for _ in range(times))


def test_a_burst_and_then_the_rate_over_all_workers(segment: Segment, clock: FakeClock) -> None:
    workers, random = [bucket(segment, clock) for _ in range(4)], Random(1)
    assert sum(random.choice(workers).take() == 0 for _ in range(50)) == 5
    count = 0
    for _ in range(1000):
        clock.now_ns += 10 * MS
        count += random.choice(workers).take() == 0
    assert count == 100
    clock.now_ns += 3600 * S
    assert passed(workers[0]) == 5


def test_who_is_refused_is_told_when(segment: Segment, clock: FakeClock) -> None:
    one = bucket(segment, clock)
    passed(one)
    clock.now_ns += 30 * MS
    assert one.take() == 70 * MS + 1
    clock.now_ns += 70 * MS + 1
    assert one.take() == 0


def test_another_rule_goes_on_from_what_is_there_and_holds_nobody_up_for_longer_than_its_own(
    segment: Segment, clock: FakeClock
) -> None:
    slow = bucket(segment, clock, rate=1 / 3600, burst=10)
    assert passed(slow) == 10
    fast = bucket(segment, clock, rate=100.0, burst=20)
    assert passed(fast) == 0
    clock.now_ns += S
    assert passed(fast) == 20
    clock.now_ns += S
    assert passed(bucket(segment, clock, rate=1.0, burst=3)) == 1


def test_the_same_rule_goes_on_where_it_was(segment: Segment, clock: FakeClock) -> None:
    passed(bucket(segment, clock), 3)
    assert passed(bucket(segment, clock)) == 2


def test_numbers_of_an_earlier_boot_are_none(segment: Segment, clock: FakeClock) -> None:
    passed(bucket(segment, clock))
    clock.now_ns = 10 * S
    one = bucket(segment, clock)
    assert passed(one) == 5
    clock.now_ns += S // 10
    assert passed(one) == 1


# --- locks


class Locks:
    """In the kernel's place: which bytes somebody else holds, and what happens when one is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
        self.first = first
        self.held: set[int] = set()
        self.ours: set[int] = set()
        self.on_unlock: Any = lambda which: None
        monkeypatch.setattr(bucket_module.fcntl, "lockf", self._lockf)

    def _lockf(self, fd: int, how: int, length: int, byte: int) -> None:
        which = byte - self.first
        if how == bucket_module.fcntl.LOCK_UN:
            self.ours.discard(which)
            self.on_unlock(which)
        elif which in self.held:
            raise BlockingIOError
        else:
            self.ours.add(which)


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch, segment: Segment, clock: FakeClock) -> Locks:
    return Locks(monkeypatch, bucket(segment, clock)._first_byte)


def test_a_stopped_holder_is_left_behind_with_its_bucket(segment: Segment, clock: FakeClock, locks: Locks) -> None:
    one, other = bucket(segment, clock), bucket(segment, clock)
    assert passed(one, 2) == 2
    locks.held = {0}
    assert passed(other, 2) == 2
    assert segment.shared(1)[SR_TURN] == 1
    locks.held = {0, 1}
    assert passed(one) == 1
    clock.now_ns += 500 * MS
    assert passed(one) == 5 and segment.shared(1)[SR_TURN] == 2
    locks.held = set(range(BUCKETS))
    assert one.take() == BUSY_NS
    locks.held = {2}
    clock.now_ns += 100 * MS
    assert passed(one) == 1 and segment.shared(1)[SR_TURN] == BUCKETS
    assert not locks.ours


def test_what_was_taken_from_a_bucket_that_was_left_meanwhile_does_not_count(
    segment: Segment, clock: FakeClock, locks: Locks
) -> None:
    one, other = bucket(segment, clock), bucket(segment, clock)
    count = 0

    def others_go_on(which: int) -> None:
        """All that a stopped holder misses happens before it looks again."""
        nonlocal count
        locks.on_unlock, locks.held = (lambda which: None), {0}
        count = passed(other)
        locks.held = set()

    locks.on_unlock = others_go_on
    assert one.take() > 0
    assert count + passed(one) <= 5
    clock.now_ns += 500 * MS
    assert passed(one) == 5


def test_killed_anywhere_inside_it_never_has_more_and_soon_as_much(
    segment: Segment, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells are written one after the other, the time first."""
    shared = segment.shared(1)
    passed(bucket(segment, clock), 3)
    clock.now_ns += 100 * MS
    shared[SR_BUCKETS] = clock.now_ns  # killed right behind this
    assert passed(bucket(segment, clock)) == 2
    clock.now_ns += 500 * MS
    assert passed(bucket(segment, clock)) == 5


# --- shares


def share(one: Bucket, clock: FakeClock, units: int, credit: int = 0, for_ns: int = 1500 * MS) -> int:
    return one.put({SH_SLICE: units, SH_SLICE_UNTIL_NS: clock.now_ns + for_ns}, credit)


def test_units_bring_no_tokens_but_those_that_come_with_them(segment: Segment, clock: FakeClock) -> None:
    one = bucket(segment, clock, burst=10, rule="closed")
    share(one, clock, 4)
    assert passed(one) == 0
    share(one, clock, 10, credit=3 * TOKEN)
    assert passed(one) == 3
    clock.now_ns += 500 * MS
    assert passed(one) == 5


def test_a_part_of_the_units_is_a_part_of_the_rate_and_of_the_burst(segment: Segment, clock: FakeClock) -> None:
    one = bucket(segment, clock, burst=10, rule="closed")
    share(one, clock, 4, for_ns=3600 * S)
    clock.now_ns += S
    assert passed(one) == 4
    assert sum(_after(one, clock, 100 * MS) for _ in range(100)) == 40


def _after(one: Bucket, clock: FakeClock, time_ns: int) -> bool:
    clock.now_ns += time_ns
    return one.take() == 0


def test_what_units_that_go_have_saved_is_given_back(segment: Segment, clock: FakeClock) -> None:
    one = bucket(segment, clock, burst=10, rule="closed")
    share(one, clock, 10)
    clock.now_ns += S
    assert share(one, clock, 3) == 7 * TOKEN
    assert passed(one) == 3
    assert share(one, clock, 0) == 0


def test_what_grows_is_of_the_share_that_was_held_then(segment: Segment, clock: FakeClock) -> None:
    one = bucket(segment, clock, burst=10, rule="closed")
    share(one, clock, 1)
    clock.now_ns += S
    share(one, clock, 10)
    assert passed(one) == 1, "an idle second with one unit"


@pytest.mark.parametrize(("rule", "after_s", "expected"), [("closed", 10, 0), ("open", 1, 3), ("open", 60, 5)])
def test_a_slice_that_nobody_renewed(
    segment: Segment, clock: FakeClock, rule: StoreLoss, after_s: int, expected: int
) -> None:
    """Two machines, in open half of the rate each and five of the burst."""
    one = bucket(segment, clock, burst=10, rule=rule)
    one.put({SH_SLICE_LOST: 5, SR_MACHINES: 2})
    share(one, clock, 10)
    clock.now_ns += 1500 * MS
    passed(one)
    clock.now_ns += after_s * S - 400 * MS
    assert passed(one) == expected


def test_divided_without_the_store_a_burst_of_one_is_still_half_of_the_rate(segment: Segment, clock: FakeClock) -> None:
    one = bucket(segment, clock, burst=1, rule="open")
    one.put({SH_SLICE_LOST: 1, SR_MACHINES: 2, SH_SLICE_UNTIL_NS: OVER_NS})
    assert passed(one) == 1
    assert sum(_after(one, clock, 100 * MS) for _ in range(100)) == 50


def test_before_the_first_slice_there_is_nothing_and_then_what_the_rule_says(
    segment: Segment, clock: FakeClock
) -> None:
    for rule, expected in (("closed", 0), ("open", 5)):
        one = Bucket(segment.fd, 1, segment.shared(1), Gcra(10.0, 5), rule, clock.now_ns + 3 * S, clock)  # type: ignore[arg-type]
        assert passed(one) == 0
        assert segment.shared(1)[SH_FULL_NS] == clock.now_ns
        clock.now_ns += 4 * S
        assert passed(one) == expected
        assert segment.shared(1)[SR_ASKED] >= 200


def test_the_sum_over_machines_never_exceeds_the_limit_while_units_move(clock: FakeClock, tmp_path: Any) -> None:
    """Whatever moves, in whatever order: first given up, then told, then taken."""
    random = Random(5)
    segments = [Segment.create(str(tmp_path / f"{i}.seg"), slots=4, columns=3) for i in range(3)]
    machines = [bucket(one, clock, rate=50.0, burst=9, rule="closed") for one in segments]
    units, free, kept, times = [0, 0, 0], 9, 9 * TOKEN, []
    for _ in range(6000):
        clock.now_ns += random.randrange(20 * MS)
        i = random.randrange(3)
        if random.random() < 0.2:
            wanted = random.randrange(10)
            if wanted < units[i]:
                free += units[i] - wanted
                kept += share(machines[i], clock, wanted, for_ns=3600 * S)
            else:
                wanted = min(wanted, units[i] + free)
                new = min(kept, (wanted - units[i]) * TOKEN)
                kept -= new
                kept += share(machines[i], clock, wanted, new, for_ns=3600 * S)
                free -= wanted - units[i]
            units[i] = wanted
        elif machines[i].take() == 0:
            times.append(clock.now_ns)
    least = float("inf")
    for count, (_, at_ns) in enumerate(pairwise([0, *times])):
        least = min(least, count - 50 * at_ns / S)
        assert count + 1 - 50 * at_ns / S - least <= 9 + 1e-6
    assert len(times) > 500
    for one in segments:
        one.close()
