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
    weights=st.sampled_from([[1, 1], [1, 1, 1], [5, 2, 1, 1], [1] * 20, [1 + i % 5 for i in range(100)]]),
    factor=st.sampled_from([1.05, 1.25, 2.0]),
    seed=st.integers(0, 99),
)
def test_never_above_the_bound(table: TableKind, weights: list[int], factor: float, seed: int) -> None:
    """One hot key, requests that end in any order, load that rises and falls."""
    chance = Random(seed)
    loads = [0] * len(weights)
    ctx = FakeContext(loads=loads, seed=seed)
    pick = picker_of("consistent_hash", members_of(weights), hash=HashOptions(table=table, bounded_load=factor))
    open_requests: list[int] = []
    for turn in range(4 * len(weights) + 150):
        ctx.key = chance.choice([b"hot", b"hot", b"%d" % chance.randrange(1000)])
        i = pick(ctx)
        loads[i] += 1
        open_requests.append(i)
        assert loads[i] <= bound(factor, sum(loads), weights[i], sum(weights))
        ends = 0.3 if turn % 100 < 50 else 0.7
        while open_requests and chance.random() < ends:
            loads[open_requests.pop(chance.randrange(len(open_requests)))] -= 1


@pytest.mark.parametrize("out", [1, 4, 30])
def test_what_those_who_are_out_still_work_on_is_nobodys_share(out: int) -> None:
    """They get nothing new, so what they have only falls: the bound may be too low by that for a moment, never too high."""
    chance = Random(out)
    loads = [0] * (20 + out)
    for i in range(20, 20 + out):
        loads[i] = 40
    ctx = FakeContext(loads=loads)
    options = HashOptions(bounded_load=1.25)
    pick = picker_of("consistent_hash", members_of([1] * len(loads)), eligible=range(20), hash=options)
    running: list[int] = []
    for _ in range(1_000):
        ctx.key = chance.choice([b"hot", b"%d" % chance.randrange(1000)])
        i = pick(ctx)
        loads[i] += 1
        running.append(i)
        assert i < 20 and loads[i] <= bound(1.25, len(running), 1, 20)
        leaving = chance.randrange(20, 20 + out)
        loads[leaving] = max(0, loads[leaving] - 1)
        while len(running) > 50 and chance.random() < 0.6:
            loads[running.pop(chance.randrange(len(running)))] -= 1


def test_a_pick_looks_at_few_however_large_the_pool() -> None:
    loads = [3] * 1_000
    ctx = FakeContext(loads=loads)
    pick = picker_of("consistent_hash", members_of([1] * 1_000), hash=HashOptions(bounded_load=1.25))
    for n in range(200):
        ctx.key = b"%d" % n
        pick(ctx)
    assert len(ctx.asked) / 200 <= 5


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
