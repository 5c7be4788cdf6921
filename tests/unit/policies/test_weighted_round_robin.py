from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Pool
from lb.policies.weighted_round_robin import WeightedRoundRobin
from tests.unit.policies.context import FakeContext, members_of, picker_of, picks


def test_smooth_not_in_blocks() -> None:
    assert picks(picker_of("weighted_round_robin", members_of([5, 1, 1])), FakeContext(), 7) == [0, 0, 1, 0, 2, 0, 0]


@given(weights=st.lists(st.integers(1, 40), min_size=2, max_size=10), start=st.integers(0, 1000))
def test_weights_are_honoured_within_any_one_cycle(weights: list[int], start: int) -> None:
    pick, ctx = picker_of("weighted_round_robin", members_of(weights)), FakeContext()
    picks(pick, ctx, start)
    taken = picks(pick, ctx, sum(weights))
    assert [taken.count(i) for i in range(len(weights))] == weights


def test_only_the_proportion_of_weights_makes_the_cycle() -> None:
    small, large = members_of([3, 2]), members_of([3_000_000, 2_000_000])
    assert picks(picker_of("weighted_round_robin", large), FakeContext(), 50) == picks(
        picker_of("weighted_round_robin", small), FakeContext(), 50
    )


def test_weights_too_large_to_write_out_still_come_out_exactly() -> None:
    taken = picks(picker_of("weighted_round_robin", members_of([100_003, 49_999])), FakeContext(), 150_002)
    assert [taken.count(0), taken.count(1)] == [100_003, 49_999]


@pytest.mark.parametrize("size", [3, 1000])
def test_those_left_keep_their_proportions_when_one_goes_out(size: int) -> None:
    weights = [1 + i % 5 for i in range(size)]
    eligible = [i for i in range(size) if i != 1]
    taken = picks(
        picker_of("weighted_round_robin", members_of(weights), eligible), FakeContext(), sum(weights) - weights[1]
    )
    assert all(taken.count(i) == weights[i] for i in eligible[:50]) and 1 not in taken


def test_says_how_long_its_cycle_is() -> None:
    """Tickets are leased to workers in whole cycles, or the leases would not be even."""
    members = members_of([4, 2, 2])
    policy = WeightedRoundRobin(Pool(id="web", backends=members))
    policy.build(members, [0, 1, 2])
    assert policy.cycle == 4
    policy.build(members, [1])
    assert policy.cycle == 1
