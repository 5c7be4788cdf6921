from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lb.policies.least_connections import EXACT_UP_TO, SAMPLE
from tests.unit.policies.context import FakeContext, members_of, picker_of, picks

loads_and_weights = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 100)), min_size=2, max_size=EXACT_UP_TO)


@given(loads_and_weights)
def test_always_a_minimum_of_inflight_per_weight(pool: list[tuple[int, int]]) -> None:
    loads, weights = [load for load, _ in pool], [weight for _, weight in pool]
    taken = picker_of("least_connections", members_of(weights))(FakeContext(loads=loads))
    costs = [Fraction(load, weight) for load, weight in pool]
    assert costs[taken] == min(costs)


def test_ties_are_spread_evenly_wherever_they_stand() -> None:
    """0 and 1 are neighbours, 9 is far from them: each must get a third."""
    ctx = FakeContext(loads=[2, 2, 5, 5, 5, 5, 5, 5, 5, 2])
    taken = picks(picker_of("least_connections", members_of([1] * 10)), ctx, 9000)
    assert {i for i in taken} == {0, 1, 9}
    assert all(2800 < taken.count(i) < 3200 for i in (0, 1, 9))


def test_ties_between_different_weights_are_drawn_by_weight() -> None:
    ctx = FakeContext(loads=[6, 2, 9])
    taken = picks(picker_of("least_connections", members_of([3, 1, 1])), ctx, 8000)
    assert 5800 < taken.count(0) < 6200 and taken.count(0) + taken.count(1) == 8000


@given(st.integers(0, 2**16))
def test_in_a_large_pool_it_is_the_least_of_a_sample(seed: int) -> None:
    size = 10 * EXACT_UP_TO
    ctx = FakeContext(loads=range(size), seed=seed)
    taken = picker_of("least_connections", members_of([1] * size))(ctx)
    assert len(ctx.asked) == SAMPLE and taken == min(ctx.asked)


def test_sampling_stays_away_from_the_busiest_half() -> None:
    size = 1000
    ctx = FakeContext(loads=range(size))
    assert sum(i >= size / 2 for i in picks(picker_of("least_connections", members_of([1] * size)), ctx, 2000)) <= 2
