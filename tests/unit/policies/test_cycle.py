"""The smooth order, against nginx's own loop and against its two promises: exact, and spread out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from lb.policies.cycle import golden_walk, smooth_cycle


def nginx(weights: Sequence[int]) -> list[int]:
    """ngx_http_upstream_get_peer, step by step."""
    current, order = [0] * len(weights), []
    for _ in range(sum(weights)):
        current = [c + w for c, w in zip(current, weights, strict=True)]
        best = max(range(len(weights)), key=lambda i: (current[i], -i))
        current[best] -= sum(weights)
        order.append(best)
    return order


def walk(weights: Sequence[int], times: int) -> list[int]:
    ends, stride, total = golden_walk(weights)
    return [bisect_right(ends, ticket * stride % total) for ticket in range(times)]


def longest_gap(order: Sequence[int], index: int) -> int:
    """Most tickets between two visits, the cycle being repeated."""
    visits = [place for place, taken in enumerate(order) if taken == index]
    return max(
        (later - place) % len(order) or len(order) for place, later in zip(visits, visits[1:] + visits[:1], strict=True)
    )


small_weights = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def test_the_example_everybody_knows() -> None:
    assert "".join("ABC"[i] for i in smooth_cycle([5, 1, 1])) == "AABACAA"


def test_equal_weights_are_plain_round_robin() -> None:
    assert smooth_cycle([1] * 5) == [0, 1, 2, 3, 4]


@given(small_weights)
def test_the_same_order_as_nginx(weights: list[int]) -> None:
    assert smooth_cycle(weights) == nginx(weights)


@given(small_weights)
def test_no_member_waits_twice_its_fair_distance(weights: list[int]) -> None:
    order = smooth_cycle(weights)
    for index, weight in enumerate(weights):
        assert longest_gap(order, index) < 2 * sum(weights) / weight + 1


@given(st.lists(st.integers(1, 3000), min_size=2, max_size=40))
@settings(max_examples=40, deadline=None)
def test_the_walk_is_exact_and_spread_out_too(weights: list[int]) -> None:
    order = walk(weights, sum(weights))
    for index, weight in enumerate(weights):
        assert order.count(index) == weight
        assert longest_gap(order, index) < 4 * sum(weights) / weight + 1
