from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from lb.state.layout import SH_CURSOR
from lb.state.segment import Segment
from lb.state.tickets import MAX_LEASE, MAX_LEVEL, SINGLE_LEVELS, STALE_S, Tickets, lease_end


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def workers(segment: Segment, clock: FakeClock, *, count: int, cycle: int) -> list[Tickets]:
    return [Tickets(segment, 0, cycle, clock) for _ in range(count)]


def burst(tickets: Tickets, clock: FakeClock, *, count: int, apart_s: float = 0.0001) -> list[int]:
    taken = []
    for _ in range(count):
        clock.now_s += apart_s
        taken.append(tickets.next())
    return taken


def spread(taken: list[int], cycle: int) -> int:
    counts = Counter(ticket % cycle for ticket in taken)
    return max(counts.values()) - min(counts[entry] for entry in range(cycle))


@pytest.mark.parametrize("apart_s", [0.001, 0.005, 0.05, 1.0])
def test_requests_one_after_the_other_are_in_order_on_any_of_eight_workers(
    segment: Segment, clock: FakeClock, apart_s: float
) -> None:
    eight, random = workers(segment, clock, count=8, cycle=3), Random(1)
    taken = []
    for _ in range(2000):
        taken += burst(random.choice(eight), clock, count=1, apart_s=apart_s)
    assert taken == list(range(2000))


def test_one_fast_worker_alone_is_in_order_and_takes_few_leases(segment: Segment, clock: FakeClock) -> None:
    only = Tickets(segment, 0, 3, clock)
    taken, takes, cursor = [], 0, 0
    for _ in range(1000):
        taken += burst(only, clock, count=1)
        takes += segment.shared(0)[SH_CURSOR] != cursor
        cursor = segment.shared(0)[SH_CURSOR]
    assert taken == list(range(1000))
    assert takes < 80


@pytest.mark.parametrize(("cycle", "extra"), [(1, 0), (2, 0), (3, 0), (7, 0), (100, 0), (1000, 1)])
def test_at_any_moment_the_counts_differ_by_at_most_the_workers(
    segment: Segment, clock: FakeClock, cycle: int, extra: int
) -> None:
    four, random = workers(segment, clock, count=4, cycle=cycle), Random(cycle)
    taken: list[int] = []
    counts = [0] * cycle
    for _ in range(1000):
        pause_s = random.choice([0.0, 0.0001, 0.001, 0.004, 0.03])
        some = burst(random.choice(four), clock, count=random.randrange(1, 40), apart_s=pause_s)
        for ticket in some:
            counts[ticket % cycle] += 1
        taken += some
        assert max(counts) - min(counts) <= 4 + extra
    assert len(taken) == len(set(taken))


def test_after_a_burst_the_rest_of_the_last_lease_is_given_back(segment: Segment, clock: FakeClock) -> None:
    one, two = workers(segment, clock, count=2, cycle=3)
    last = burst(one, clock, count=500)[-1]
    assert segment.shared(0)[SH_CURSOR] > last + 1
    clock.now_s += STALE_S
    one.settle()
    assert [burst(t, clock, count=1, apart_s=0.01)[0] for t in (two, one, two)] == [last + 1, last + 2, last + 3]


def test_a_fresh_lease_is_not_settled(segment: Segment, clock: FakeClock) -> None:
    one = Tickets(segment, 0, 3, clock)
    burst(one, clock, count=500)
    cursor = segment.shared(0)[SH_CURSOR]
    one.settle()
    assert segment.shared(0)[SH_CURSOR] == cursor


def test_a_rest_that_cannot_be_given_back_shrinks_to_less_than_a_cycle(segment: Segment, clock: FakeClock) -> None:
    one, two = workers(segment, clock, count=2, cycle=3)
    taken = burst(one, clock, count=500)
    behind = burst(two, clock, count=1)
    rest = []
    clock.now_s += STALE_S
    while (ticket := burst(one, clock, count=1, apart_s=0.05)[0]) < behind[0]:
        rest.append(ticket)
    assert len(rest) < 3 and ticket == behind[0] + 1
    assert spread(taken + behind + rest + [ticket], 3) <= 2


def test_members_may_change_under_an_open_lease(segment: Segment, clock: FakeClock) -> None:
    one = Tickets(segment, 0, 3, clock)
    burst(one, clock, count=500)
    one.cycle = 5
    assert sorted(set(burst(one, clock, count=500))) == list(range(500, 1000))


def test_leases_end_on_a_boundary_and_are_bounded() -> None:
    for level in range(MAX_LEVEL + 1):
        for cycle in (1, 2, 3, 10, 256, 257, 10_000):
            for first in (0, 1, cycle - 1, cycle, 12_345):
                end = lease_end(first, cycle, level)
                assert first < end <= first + MAX_LEASE
                if level < SINGLE_LEVELS:
                    assert end == first + 1
                else:
                    assert end % cycle == 0 or end == first + MAX_LEASE
