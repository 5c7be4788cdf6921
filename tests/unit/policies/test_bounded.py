"""Nobody above (1 + epsilon) times the mean, whatever the keys, and no key moved without need."""

from __future__ import annotations

from collections import Counter, deque
from math import ceil
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.model import HashOptions, TableKind
from tests.unit.policies.context import FakeContext, members_of, picker_of

TABLES: tuple[TableKind, ...] = ("ring", "maglev", "rendezvous", "contract")


def bound(factor: float, inflight: int, weight: int, total_weight: int) -> int:
    return ceil(round(factor * 1000) * inflight * weight / (1000 * total_weight))


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=25, deadline=None)
@given(
    weights=st.sampled_from([[1, 1], [1, 1, 1], [5, 2, 1, 1]]),
    factor=st.sampled_from([1.05, 1.25, 2.0]),
    seed=st.integers(0, 99),
)
def test_never_above_the_bound(table: TableKind, weights: list[int], factor: float, seed: int) -> None:
    """Up to four members the sum is exact. One hot key, requests that end in any order, and others' requests."""
    chance = Random(seed)
    loads = [0] * len(weights)
    ctx = FakeContext(loads=loads, seed=seed)
    pick = picker_of("consistent_hash", members_of(weights), hash=HashOptions(table=table, bounded_load=factor))
    open_requests: list[int] = []
    for _ in range(150):
        ctx.key = chance.choice([b"hot", b"hot", b"%d" % chance.randrange(1000)])
        i = pick(ctx)
        loads[i] += 1
        open_requests.append(i)
        assert loads[i] <= bound(factor, sum(loads), weights[i], sum(weights))
        while open_requests and chance.random() < 0.45:
            loads[open_requests.pop(chance.randrange(len(open_requests)))] -= 1


@pytest.mark.parametrize("table", ["ring", "maglev", "rendezvous"])
@pytest.mark.parametrize("count", [20, 100])
def test_in_a_larger_pool_what_has_just_ended_counts_for_a_while(table: TableKind, count: int) -> None:
    """Nobody is asked less often than every n / 4 picks: what ended since may still be in the mean."""
    chance = Random(3)
    loads = [0] * count
    ctx = FakeContext(loads=loads)
    pick = picker_of("consistent_hash", members_of([1] * count), hash=HashOptions(table=table, bounded_load=1.25))
    ended = deque([0] * (count // 4), maxlen=count // 4)
    running: list[int] = []
    for turn in range(3_000):
        ctx.key = b"hot" if turn % 2 else b"%d" % chance.randrange(10_000)
        i = pick(ctx)
        loads[i] += 1
        running.append(i)
        if turn >= count // 4:
            assert loads[i] <= bound(1.25, len(running) + sum(ended), 1, count)
        ending = 0 if len(running) < 4 * count else chance.randrange(4)
        for _ in range(ending):
            loads[running.pop(chance.randrange(len(running)))] -= 1
        ended.append(ending)


@pytest.mark.parametrize("table", TABLES)
def test_an_idle_pool_is_hashed_as_without_a_bound(table: TableKind) -> None:
    members = members_of([1, 2, 3])
    free = picker_of("consistent_hash", members, hash=HashOptions(table=table))
    ctx = FakeContext(loads=[0, 0, 0])
    for n in range(200):
        ctx.key = b"key-%d" % n
        held = picker_of("consistent_hash", members, hash=HashOptions(table=table, bounded_load=1.25))
        assert held(ctx) == free(ctx)


def test_a_hot_key_spills_over_and_comes_back() -> None:
    loads = [0] * 5
    pick = picker_of("consistent_hash", members_of([1] * 5), hash=HashOptions(bounded_load=1.25))
    ctx = FakeContext(loads=loads)
    ctx.key = b"hot"
    home = pick(ctx)
    for _ in range(49):
        loads[pick(ctx)] += 1
    assert max(loads) <= 13 and loads[home] == max(loads)
    loads[:] = [0] * 5
    for _ in range(3):
        back = pick(ctx)
    assert back == home


@pytest.mark.parametrize("table", TABLES)
def test_the_contract_balances_at_last(table: TableKind) -> None:
    """30,000 ids, 60 in flight at a time: what was 84 % is at most a bound above its share."""
    loads = [0, 0, 0]
    ctx = FakeContext(loads=loads, seed=4)
    pick = picker_of("contract_hash", members_of([1] * 3), hash=HashOptions(table=table, bounded_load=1.25))
    counts, running = Counter[int](), deque[int]()
    for _ in range(30_000):
        ctx.key = b"%d" % (100_000 + int(ctx.random() * 900_000))
        i = pick(ctx)
        counts[i] += 1
        loads[i] += 1
        running.append(i)
        if len(running) == 60:
            loads[running.popleft()] -= 1
    assert max(counts.values()) <= 0.43 * 30_000
