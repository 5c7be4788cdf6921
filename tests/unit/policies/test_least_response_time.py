"""Who promises the earliest answer, and how far a figure is believed."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lb.policies.least_response_time import ALIKE, BELIEVED, expected_s
from tests.unit.policies.context import FakeContext, members_of, picker_of, picks


def taken(means: Sequence[float], loads: Sequence[int], weights: Sequence[int] = ()) -> set[int]:
    ctx = FakeContext(latencies=means, loads=loads)
    return set(picks(picker_of("least_response_time", members_of(weights or [1] * len(means))), ctx, 200))


def test_the_slow_one_of_many_gets_nothing_while_the_others_are_not_far_busier() -> None:
    assert taken([0.02, 0.02, 0.2], [30, 30, 0]) == {0, 1}
    assert taken([0.02, 0.02, 0.2], [98, 99, 0]) == {0}
    assert taken([0.02, 0.02, 0.2], [100, 100, 0]) == {2}


def test_alike_times_leave_it_to_the_requests_in_flight() -> None:
    assert taken([0.020, 0.020 * ALIKE, 0.020 / ALIKE], [2, 1, 3]) == {1}
    assert taken([0.020, 0.022, 0.019], [4, 4, 4]) == {0, 1, 2}


def test_a_fast_one_among_slow_ones_gets_more_but_not_everything() -> None:
    most = int(BELIEVED**2)
    assert taken([0.2, 0.2, 0.001], [0, 0, most - 2]) == {2}
    assert taken([0.2, 0.2, 0.001], [0, 0, most]) == {0, 1}


def test_one_without_a_figure_is_tried_with_one_request_at_a_time() -> None:
    assert taken([0.02, 0.0, 0.02], [0, 0, 0]) == {1}
    assert taken([0.02, 0.0, 0.02], [8, 1, 9]) == {0}


def test_without_any_figure_the_requests_in_flight_decide() -> None:
    assert taken([0.0] * 3, [2, 1, 3]) == {1}
    assert taken([0.0] * 3, [5, 2, 3], weights=(4, 1, 1)) == {0}


def test_weight_divides_the_cost() -> None:
    assert taken([0.02] * 3, [5, 2, 9], weights=(3, 1, 1)) == {0}


@given(st.lists(st.floats(1e-6, 60.0), min_size=1, max_size=64))
def test_nobody_slower_is_taken_for_faster(means: list[float]) -> None:
    by_mean = sorted(zip(means, expected_s(means), strict=True))
    expected = [seconds for _, seconds in by_mean]
    assert expected == sorted(expected)


@given(st.floats(1e-6, 30.0), st.lists(st.floats(1.0, ALIKE), min_size=1, max_size=64))
def test_equals_within_a_factor_of_two_all_count_alike(least: float, times: list[float]) -> None:
    assert len(set(expected_s([least * one for one in times]))) == 1


@given(st.lists(st.tuples(st.floats(1e-6, 60.0), st.integers(0, 200)), min_size=2, max_size=64))
def test_never_one_that_is_both_slower_and_busier_than_another(pool: list[tuple[float, int]]) -> None:
    means, loads = [mean for mean, _ in pool], [load for _, load in pool]
    ctx = FakeContext(latencies=means, loads=loads)
    i = picker_of("least_response_time", members_of([1] * len(pool)))(ctx)
    assert not any(mean < means[i] and load < loads[i] for mean, load in pool)
