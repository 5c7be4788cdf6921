from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from lb.policies.alias import alias_table


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60))
def test_the_alias_table_holds_exactly_the_weights(weights: list[int]) -> None:
    """The area that belongs to an index, its own and what it lent to others, is its share."""
    keep, other = alias_table(weights)
    area = [0.0] * len(weights)
    for i in range(len(weights)):
        area[i] += keep[i]
        area[other[i]] += 1.0 - keep[i]
    share = [weight * len(weights) / sum(weights) for weight in weights]
    assert area == approx(share, abs=1e-6)
