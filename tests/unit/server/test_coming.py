"""A large configuration is made ready in short turns beside requests; what did not change lives on, and what is left is closed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import gevent
import pytest

from lb.model import Backend, BackendTls, Config, HashOptions, Pool, Snapshot, State
from lb.proxy.cells import CellDirectory
from lb.proxy.member import Member
from lb.server import coming
from lb.server.coming import Composition, MemberKey, Turns, close_left, member_key
from lb.server.garbage import Collector
from lb.state.columns import sum_column
from lb.state.layout import SH_VERDICT
from lb.structs import replace
from tests.support.scripted import FakeSegment, directory

POOL = Pool("web", tuple(Backend(f"b{n}", host="127.0.0.1", port=n) for n in range(1, 1001)))


def composition_of(pool: Pool, cells: CellDirectory | None = None) -> Composition:
    return Composition(Snapshot(1, Config("", (), (pool,), (), State("/tmp")), "", {}), cells or directory([]))


def make(backend: Backend, pool: Pool, cells: Any) -> Member:
    return Member(backend, pool, cells, gevent.get_hub())


def arranged(
    pool: Pool, existing: dict[MemberKey, Member] | None = None, pause: Callable[[], None] = coming.at_once
) -> Composition:
    composition = composition_of(pool)
    composition.arrange(existing or {}, make, pause)
    return composition


def test_others_run_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming, "TURN_S", 0.0)
    rounds = []
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(rounds.append, None)  # each time that the hub is about to look at its sockets
    members = arranged(POOL, pause=Turns()).members
    watcher.stop()
    assert len(members) == 1001 and len(rounds) >= 1000


def test_who_did_not_change_lives_on_and_is_told_what_it_is_now() -> None:
    before = arranged(POOL).members
    first, second, *_ = POOL.backends
    moved = replace(second, port=9)
    pool = replace(POOL, backends=(replace(first, weight=7), moved))
    after = arranged(pool, before)
    one, two = after.members_of(pool)
    assert one is before[member_key(POOL, first)] and two not in before.values()
    assert one.backend is first, "nobody follows it yet"
    after.tell()
    assert (one.backend.weight, one.pool, two.backend) == (7, pool, moved)


def test_another_way_to_verify_backends_is_another_member() -> None:
    before = arranged(POOL).members
    pool = replace(POOL, tls=BackendTls(verify=False))
    assert not set(arranged(pool, before).members_of(pool)) & set(before.values())


def test_who_was_closed_meanwhile_is_made_again() -> None:
    """Prepared twice, and the segment replaced in between: one that is closed would keep no connection ever."""
    before = arranged(POOL).members
    key = member_key(POOL, POOL.backends[0])
    before[key].close()
    after = arranged(POOL, before).members
    assert after[key] is not before[key] and not after[key].is_closed
    assert [one for one in after if after[one] is not before[one]] == [key]


def test_who_is_left_is_closed_in_turns_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming, "TURN_S", 0.0)
    before = arranged(POOL).members
    kept = arranged(replace(POOL, backends=POOL.backends[:1]), before).members
    left, member = list(before.values()), before[member_key(POOL, POOL.backends[0])]
    close_left(before, kept)
    with gevent.Timeout(5):
        while before:
            gevent.sleep(0.001)
    assert not member.is_closed and all(one.is_closed for one in left if one not in kept.values())


def test_cells_that_did_not_move_are_kept() -> None:
    segment = FakeSegment(slots=3, index=2)
    before = directory(["a", "b"], segment)
    cells = [before.of("a"), before.of("b")]
    after = CellDirectory({"a": 0, "b": 2}, before._segment, before._slot, before)
    cells[0].shared[SH_VERDICT] = 1
    assert after.of("a") is cells[0] and after.of("b") is not cells[1]
    assert CellDirectory({"a": 0}, FakeSegment(slots=3, index=2), before._slot, before).of("a") is not cells[0]
    third = CellDirectory({"a": 0, "b": 2}, before._segment, before._slot, after)
    after.settle()
    assert third.of("a") is cells[0] and third.of("b") is after.of("b")


def test_what_is_made_for_good_is_left_out_of_the_collectors_rounds() -> None:
    collector, thresholds = Collector(), gc.get_threshold()
    with collector.building():
        assert gc.isenabled(), "it is somebody else's"
    collector.calm()
    try:
        before = gc.get_freeze_count()
        with collector.building():
            assert not gc.isenabled()
            made = [[number] for number in range(1000)]
        assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_members_that_are_left_need_no_collector() -> None:
    members = arranged(POOL).members
    watched = ref(members[member_key(POOL, POOL.backends[0])])
    gc.disable()
    try:
        close_left(members, {})
        with gevent.Timeout(5):
            while members:
                gevent.sleep(0.001)
        gevent.sleep(0)
        assert watched() is None
    finally:
        gc.enable()


def test_who_asks_for_the_sum_of_a_pool_gets_all_that_is_under_way() -> None:
    """Over reloads that begin to ask for it, take a backend away, and ask no more."""
    names = [sum_column("web"), "backend:web/b1", "backend:web/b2"]
    plain = Pool("web", POOL.backends[:2])
    bounded = replace(plain, hash=HashOptions(bounded_load=1.25))
    smaller = replace(bounded, backends=bounded.backends[:1])
    cells, existing = directory(names), dict[MemberKey, Member]()

    def follow(pool: Pool) -> list[Member]:
        nonlocal existing
        composition = composition_of(pool, cells)
        composition.arrange(existing, make)
        composition.tell()
        close_left(existing, composition.members)
        existing = dict(composition.members)
        return composition.members_of(pool)

    def total() -> int:
        return sum(cells.of(sum_column("web")).loads)

    first, second = follow(plain)
    for member in (first, second, second):
        member.begin()
    assert total() == 0
    follow(bounded)
    assert total() == 3
    first.begin()
    assert total() == 4
    assert follow(smaller) == [first]
    assert total() == 2, "what the other one still works on is nobody's share any more"
    second.end()
    first.end()
    assert total() == 1
    follow(plain)
    assert total() == 0 and first.load() == 1
