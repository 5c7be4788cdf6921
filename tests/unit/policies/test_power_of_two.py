from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.policies.context import FakeContext, members_of, picker_of, picks


@given(
    pool=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 100)), min_size=2, max_size=40),
    seed=st.integers(0, 2**16),
)
def test_never_the_busier_of_its_two(pool: list[tuple[int, int]], seed: int) -> None:
    loads, weights = [load for load, _ in pool], [weight for _, weight in pool]
    ctx = FakeContext(loads=loads, seed=seed)
    taken = picker_of("power_of_two", members_of(weights))(ctx)
    asked = set(ctx.asked)
    assert len(asked) == 2 and taken in asked
    assert all(Fraction(loads[taken], weights[taken]) <= Fraction(loads[i], weights[i]) for i in asked)


def test_every_pair_comes_up_alike() -> None:
    ctx = FakeContext()
    picks(picker_of("power_of_two", members_of([1] * 4)), ctx, 12_000)
    pairs = [frozenset(ctx.asked[n : n + 2]) for n in range(0, len(ctx.asked), 2)]
    assert len(set(pairs)) == 6
    assert all(1800 < pairs.count(pair) < 2200 for pair in set(pairs))


def test_the_busiest_of_all_is_never_taken() -> None:
    ctx = FakeContext(loads=[1, 9, 1, 1])
    assert 1 not in picks(picker_of("power_of_two", members_of([1] * 4)), ctx, 2000)
