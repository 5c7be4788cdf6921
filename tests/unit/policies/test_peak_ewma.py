from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.policies.peak_ewma import ALIKE, BELIEVED
from tests.unit.policies.context import FakeContext, members_of, picker_of, picks


def taken_of_two(latencies: list[float], loads: list[int], weights: tuple[int, int] = (1, 1)) -> set[int]:
    ctx = FakeContext(latencies=latencies, loads=loads)
    return set(picks(picker_of("peak_ewma", members_of(weights)), ctx, 200))


def test_the_slower_one_is_left_alone() -> None:
    assert taken_of_two([0.020, 0.200], [5, 0]) == {0}


def test_until_the_faster_one_is_far_busier() -> None:
    assert taken_of_two([0.020, 0.060], [7, 0]) == {0}
    assert taken_of_two([0.020, 0.060], [9, 0]) == {1}


def test_alike_latencies_leave_it_to_the_requests_in_flight() -> None:
    assert taken_of_two([0.020, 0.020 * ALIKE], [3, 2]) == {1}
    assert taken_of_two([0.020, 0.020 * ALIKE], [2, 2]) == {0, 1}


def test_weight_divides_the_cost() -> None:
    assert taken_of_two([0.020, 0.020], [5, 2], weights=(3, 1)) == {0}
    assert taken_of_two([0.020, 0.060], [12, 0], weights=(2, 1)) == {0}
    assert taken_of_two([0.020, 0.060], [12, 0], weights=(1, 1)) == {1}


def test_an_unknown_one_is_tried_with_one_request_at_a_time() -> None:
    assert taken_of_two([0.020, 0.0], [0, 0]) == {1}
    assert taken_of_two([0.020, 0.0], [9, 1]) == {0}


def test_all_unknown_is_power_of_two() -> None:
    assert taken_of_two([0.0, 0.0], [2, 1]) == {1}
    assert taken_of_two([0.0, 0.0], [1, 1]) == {0, 1}


def test_one_that_looks_wonderful_does_not_swallow_everything() -> None:
    """It hangs, say, and its estimate has decayed: it gets ``BELIEVED`` squared times the others' inflight, no more."""
    limit = int(BELIEVED**2)
    assert taken_of_two([1e-6, 0.020], [limit * 2 - 2, 1]) == {0}
    assert taken_of_two([1e-6, 0.020], [limit * 2, 1]) == {1}


@given(
    pool=st.lists(st.tuples(st.floats(1e-6, 60.0), st.integers(0, 200)), min_size=2, max_size=30),
    seed=st.integers(0, 2**16),
)
def test_never_one_that_is_both_slower_and_busier_than_another_drawn(pool: list[tuple[float, int]], seed: int) -> None:
    latencies, loads = [latency for latency, _ in pool], [load for _, load in pool]
    ctx = FakeContext(latencies=latencies, loads=loads, seed=seed)
    taken = picker_of("peak_ewma", members_of([1] * len(pool)))(ctx)
    for other in set(ctx.asked) - {taken}:
        assert loads[taken] <= loads[other] or latencies[taken] < latencies[other]


def test_who_is_drawn_beside_a_slow_one_does_not_have_to_take_it() -> None:
    """Of 0 at 9 requests, 1 and 2 at none and a slow one, 0 would be given a sixth by the first draw alone."""
    ctx = FakeContext(latencies=[0.020, 0.020, 0.020, 0.400], loads=[9, 0, 0, 0])
    taken = picks(picker_of("peak_ewma", members_of([1] * 4)), ctx, 4000)
    assert 0 < taken.count(0) < 4000 / 20
    assert taken.count(3) == 0
