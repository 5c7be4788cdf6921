"""Two machines on a real Redis, as far as their controllers go: slices of a limit while configurations change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic_ns

import pytest

from lb.controller.limits import Limits
from lb.controller.sync import Part
from lb.model import Config
from lb.state.layout import SH_FULL_NS, SH_SLICE, SH_SLICE_UNTIL_NS
from lb.state.segment import Segment
from lb.state.store.keys import Keys
from lb.state.store.link import Link
from lb.structs import replace
from tests.support.machines import Machine, machine, pool_of, until
from tests.support.redis_server import RedisServer, redis_server

Start = Callable[[str], Machine]
LIMIT = 6
HASH = Keys("t").limit("web/b0@127.0.0.1:1")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        running.client().set(Keys("t").born, "0 -")  # it has known everything for long
        yield running


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    server.client().delete(HASH)
    running: list[Machine] = []

    def start(name: str) -> Machine:
        pools = [pool_of(1, max_inflight=LIMIT)]
        running.append(machine(tmp_path, name, server.url, _parts, pools, on_store_loss="closed"))
        return running[-1]

    yield start
    for one in running:
        one.close()


def _parts(link: Link) -> Sequence[Part]:
    return (Limits(link),)


def cells(one: Machine) -> memoryview:
    return one.segment.shared(one.column("backend:web/b0"))


def held(one: Machine) -> int:
    """-1: no slice is in force."""
    shared = cells(one)
    return shared[SH_SLICE] if shared[SH_SLICE_UNTIL_NS] > monotonic_ns() else -1


def work(one: Machine, requests: int, slot: int = 0) -> None:
    one.segment.inflight_view(one.column("backend:web/b0"))[slot] = requests


def configured(one: Machine, most: int | None, members: int = 1) -> Config:
    return replace(one.snapshot.config, pools=(pool_of(members, max_inflight=most),))


def test_two_divide_and_who_wants_more_gets_what_the_other_does_not_use(start: Start) -> None:
    a = start("a")
    until(lambda: held(a) == 6)
    b = start("b")
    until(lambda: (held(a), held(b)) == (3, 3))
    work(b, 3)

    def is_given() -> bool:
        cells(b)[SH_FULL_NS] = monotonic_ns()
        return (held(a), held(b)) == (0, 6)

    assert until(is_given) < 1.0


def test_a_lower_limit_and_one_that_is_gone(start: Start, server: RedisServer) -> None:
    a, b = start("a"), start("b")
    until(lambda: (held(a), held(b)) == (3, 3))
    for one in (a, b):
        one.publish(configured(one, 2))
    until(lambda: (held(a), held(b)) == (1, 1))
    work(a, 1)
    a.publish(configured(a, None))
    until(lambda: held(a) == 0)
    until(lambda: held(b) == 1)
    assert server.client().hkeys(HASH) == ["a", "b"], "what still runs is told"
    work(a, 0)
    until(lambda: held(b) == 2)
    assert server.client().hkeys(HASH) == ["b"]
    assert list(cells(a)[SH_SLICE : SH_SLICE_UNTIL_NS + 1]) == [0, 0]


def test_a_backend_that_is_gone_and_comes_back(start: Start, server: RedisServer) -> None:
    a = start("a")
    until(lambda: held(a) == 6)
    before = a.snapshot.config
    gone = replace(before, pools=(replace(pool_of(2, max_inflight=LIMIT), backends=pool_of(2).backends[1:]),))
    a.publish(gone)
    until(lambda: not server.client().exists(HASH))
    a.publish(before)
    until(lambda: held(a) == 6)


def test_without_a_store_in_the_configuration_it_stops_and_with_one_it_begins_again(
    start: Start, server: RedisServer
) -> None:
    a = start("a")
    until(lambda: held(a) == 6)
    before = a.snapshot.config
    a.publish(replace(before, state=replace(before.state, redis="")))
    assert not a.sync.link
    a.publish(before)
    until(lambda: held(a) == 6)


def test_who_ends_without_workers_leaves_at_once(start: Start) -> None:
    a, b = start("a"), start("b")
    until(lambda: (held(a), held(b)) == (3, 3))
    a.sync.stop()
    assert until(lambda: held(b) == 6) < 1.5


def test_a_second_controller_takes_over_when_the_first_ends_and_nothing_ever_lapses(
    start: Start, tmp_path: Path
) -> None:
    a = start("a")
    until(lambda: held(a) == 6)
    slot = a.segment.claim_slot()
    slot.beat(monotonic_ns(), 1, 1)
    second = start("a")
    lapses: list[int] = []
    a.sync.stop()

    def is_renewed() -> bool:
        if held(second) != 6:
            lapses.append(held(second))
        return cells(second)[SH_SLICE_UNTIL_NS] > ended_ns + 2_000_000_000

    ended_ns = monotonic_ns()
    until(is_renewed)
    assert not lapses
    slot.close()


def test_in_a_new_segment_it_begins_again(start: Start) -> None:
    a, b = start("a"), start("b")
    until(lambda: (held(a), held(b)) == (3, 3))
    old = a.segment
    Path(a.snapshot.segment).unlink()
    a.segment = Segment.for_snapshot(a.snapshot)
    a.apply()
    assert held(a) == -1
    until(lambda: held(a) == 3)
    assert held(b) == 3
    old.close()


def test_entries_that_nobody_understands_are_counted_and_a_store_that_is_flushed_is_told_again(
    start: Start, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = start("a"), start("b")
    until(lambda: (held(a), held(b)) == (3, 3))
    server.client().hset(HASH, "c", "junk")
    part = a.parts[0], b.parts[0]
    until(lambda: sum(one.dropped for one in part if isinstance(one, Limits)) == 1)
    server.client().flushall()
    until(lambda: server.client().hlen(HASH) == 2)
    assert (held(a), held(b)) == (3, 3)
    assert caplog.text.count("nobody understands") == 1
    server.client().set(Keys("t").born, "0 -")
