"""A few backends for each of many balancers: even, stable, and without those that are out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.model import Backend
from lb.policies.subset import bound, order, place_of_name, place_of_number, subset


def backends(count: int) -> tuple[Backend, ...]:
    return tuple(Backend(f"10.0.{i // 256}.{i % 256}:8080") for i in range(count))


def subsets(members: tuple[Backend, ...], balancers: int, size: int) -> list[set[str]]:
    """By balancer: ids."""
    circle, usable = order(members), frozenset(range(len(members)))
    return [
        {members[i].id for i in subset(circle, usable, place_of_number(number), size)} for number in range(balancers)
    ]


def counts(members: tuple[Backend, ...], balancers: int, size: int) -> list[int]:
    taken = Counter(id for one in subsets(members, balancers, size) for id in one)
    return [taken[one.id] for one in members]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 150), st.integers(1, 130), st.integers(1, 150))
def test_every_backend_has_as_many_balancers_but_for_the_bound(size: int, balancers: int, each: int) -> None:
    each = min(each, size)
    mean = balancers * each / size
    assert all(abs(count - mean) <= bound(balancers) for count in counts(backends(size), balancers, each))


@pytest.mark.parametrize("balancers", [1, 2, 8, 64, 128])
@pytest.mark.parametrize(("size", "each"), [(10, 3), (100, 20), (97, 13)])
def test_within_one_of_the_mean_for_powers_of_two(balancers: int, size: int, each: int) -> None:
    mean = balancers * each / size
    assert all(abs(count - mean) <= 1 for count in counts(backends(size), balancers, each))


@pytest.mark.parametrize("balancers", [3, 10, 50, 100])
def test_no_wider_than_two_for_any_usual_number(balancers: int) -> None:
    mean = balancers * 20 / 100
    assert all(abs(count - mean) <= 2 for count in counts(backends(100), balancers, 20))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 120), st.integers(1, 60), st.data())
def test_one_backend_less_changes_two_of_a_balancer_at_most(size: int, each: int, data: st.DataObject) -> None:
    members, each = backends(size), min(each, size - 1)
    gone = data.draw(st.integers(0, size - 1))
    before = subsets(members, 20, each)
    after = subsets((*members[:gone], *members[gone + 1 :]), 20, each)
    assert all(len(new - old) <= 2 for old, new in zip(before, after, strict=True))


def test_one_balancer_more_moves_nobody() -> None:
    assert subsets(backends(100), 9, 10) == subsets(backends(100), 10, 10)[:9]


def test_who_is_out_is_replaced_and_nobody_else_moves() -> None:
    circle = order(backends(50))
    whole = subset(circle, frozenset(range(50)), 0.3, 10)
    without = subset(circle, frozenset(range(50)) - {whole[3], whole[4]}, 0.3, 10)
    assert len(without) == 10 and len(set(whole) & set(without)) == 8
    assert subset(circle, frozenset({7, 9}), 0.3, 10) == (7, 9), "fewer than that: all there are"


def test_places() -> None:
    assert [place_of_number(n) for n in range(6)] == [0.0, 0.5, 0.25, 0.75, 0.125, 0.625]
    assert place_of_name("lb-1") == place_of_name("lb-1") != place_of_name("lb-2")
    assert all(0.0 <= place_of_name(f"lb-{n}") < 1.0 for n in range(100))


def test_the_order_of_a_file_does_not_count() -> None:
    members = backends(30)
    turned = members[::-1]
    assert [members[i].id for i in order(members)] == [turned[i].id for i in order(turned)]
