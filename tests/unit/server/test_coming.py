"""A large configuration is made ready in short turns beside requests; what did not change lives on, and what is left is closed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
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


class Followed:
    """A worker's compositions, one after the other, over the columns of pool ``web``."""

    def __init__(self) -> None:
        names = [sum_column("web"), "backend:web/b1", "backend:web/b2"]
        self._cells = directory(names, FakeSegment(slots=3, index=2))
        self._existing: dict[MemberKey, Member] = {}

    def follow(self, pool: Pool) -> list[Member]:
        composition = composition_of(pool, self._cells)
        composition.arrange(self._existing, make)
        composition.tell()
        close_left(self._existing, composition.members)
        self._existing = dict(composition.members)
        return composition.members_of(pool)

    def total(self) -> int:
        return sum(self._cells.of(sum_column("web")).loads)


PLAIN = Pool("web", POOL.backends[:2])
BOUNDED = replace(PLAIN, hash=HashOptions(bounded_load=1.25))
SMALLER = replace(BOUNDED, backends=BOUNDED.backends[:1])


def test_who_asks_for_the_sum_of_a_pool_gets_all_that_is_under_way() -> None:
    """Over reloads that begin to ask for it, take a backend away, and ask no more."""
    one = Followed()
    first, second = one.follow(PLAIN)
    for member in (first, second, second):
        member.begin()
    assert one.total() == 0
    one.follow(BOUNDED)
    assert one.total() == 3
    first.begin()
    assert one.total() == 4
    assert one.follow(SMALLER) == [first]
    assert one.total() == 2, "what the other one still works on is nobody's share any more"
    second.end()
    first.end()
    assert one.total() == 1
    one.follow(PLAIN)
    assert one.total() == 0 and first.load() == 1


def verified_otherwise(pool: Pool) -> Pool:
    return replace(pool, tls=BackendTls(verify=not pool.tls.verify))


def moved(pool: Pool) -> Pool:
    first, *others = pool.backends
    return replace(pool, backends=(replace(first, port=first.port + 1000), *others))


@pytest.mark.parametrize("change", [verified_otherwise, moved])
def test_what_a_member_that_was_replaced_works_on_is_in_the_sum_once(change: Callable[[Pool], Pool]) -> None:
    """It counts where its successor does: until its last request ends, however often the pool changes meanwhile."""
    one = Followed()
    first, _ = one.follow(BOUNDED)
    first.begin()
    first.begin()
    successor, _ = one.follow(change(BOUNDED))
    assert successor is not first and one.total() == 2
    successor.begin()
    assert one.total() == successor.load() == 3
    one.follow(change(PLAIN))
    assert one.total() == 0
    first.end()
    one.follow(change(BOUNDED))
    assert one.total() == successor.load() == 2
    one.follow(BOUNDED)
    first.end()
    successor.end()
    assert one.total() == successor.load() == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_sum_never_drifts(seed: int) -> None:
    """Requests that begin and end, and reloads of every kind, in any order. A backend that is taken away has its column
    for as long as it works on something: it comes back when it does not."""
    chance, one = Random(seed), Followed()
    pools = [BOUNDED, PLAIN, SMALLER, verified_otherwise(BOUNDED), moved(BOUNDED), moved(verified_otherwise(PLAIN))]
    pool, running = BOUNDED, list[Member]()
    members = one.follow(pool)
    for _ in range(300):
        if chance.random() < 0.2:
            pool = chance.choice(pools)
            if pool is SMALLER:
                while running:
                    running.pop().end()
            members = one.follow(pool)
        elif running and chance.random() < 0.5:
            running.pop(chance.randrange(len(running))).end()
        else:
            running.append(chance.choice(members))
            running[-1].begin()
        assert one.total() == (0 if pool.hash.bounded_load is None else sum(member.load() for member in members))


def test_a_snapshot_without_a_column_for_the_sum_is_followed() -> None:
    assert composition_of(BOUNDED, directory(["backend:web/b1", "backend:web/b2"])).sums_of(BOUNDED) is None
