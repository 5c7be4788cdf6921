"""Two machines on a real Redis: each sees what the other has in flight, and nothing of what is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lb.controller.loads import Loads
from lb.controller.presence import Presence
from lb.controller.sync import Part
from lb.model import Backend, HashOptions, Pool
from lb.state.layout import H_MACHINES, H_NUMBER, SH_OTHERS
from lb.state.store.link import Link
from lb.structs import replace
from tests.support.machines import Machine, machine, pool_of, until
from tests.support.redis_server import RedisServer, redis_server

Start = Callable[..., Machine]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    running: list[Machine] = []

    def start(name: str, pools: Sequence[Pool] = ()) -> Machine:
        running.append(machine(tmp_path, name, server.url, _parts, pools))
        return running[-1]

    yield start
    for one in running:
        one.close()


def _parts(link: Link) -> Sequence[Part]:
    presence = Presence(link)
    return (presence, Loads(link, lambda: presence.others))


def work(one: Machine, requests: int, backend: str = "web/b0") -> None:
    one.segment.inflight_view(one.column(f"backend:{backend}"))[0] = requests


def others(one: Machine, backend: str = "web/b0") -> int:
    return one.segment.shared(one.column(f"backend:{backend}"))[SH_OTHERS]


def presence_of(one: Machine) -> Presence:
    part = one.parts[0]
    assert isinstance(part, Presence)
    return part


def test_each_sees_what_the_others_have_and_what_is_over(start: Start) -> None:
    a, b, c = start("a"), start("b"), start("c")
    until(lambda: all(one.segment.header[H_MACHINES] == 3 for one in (a, b, c)))
    until(lambda: sorted(one.segment.header[H_NUMBER] for one in (a, b, c)) == [1, 2, 3])
    work(a, 3)
    work(b, 4)
    until(lambda: (others(a), others(b), others(c)) == (4, 3, 7))
    assert sum(a.segment.load_view(a.column("backend:web/b0"))) == 7
    assert a.segment.inflight(a.column("backend:web/b0")) == 3
    work(a, 0)
    until(lambda: (others(b), others(c)) == (0, 4))


def test_a_pool_with_bounded_loads_has_the_sum_of_what_the_others_have(start: Start) -> None:
    members = tuple(Backend(f"b{n}", host="127.0.0.1", port=1 + n) for n in range(2))
    pools = [Pool("web", members, hash=HashOptions(bounded_load=1.25)), Pool("plain", members)]
    a, b = start("a", pools), start("b", pools)
    work(b, 3)
    work(b, 4, "web/b1")
    work(b, 9, "plain/b1")
    sums = a.segment.shared(a.column("sum:web"))
    until(lambda: sums[SH_OTHERS] == 7)
    work(b, 0)
    until(lambda: sums[SH_OTHERS] == 4)


def test_who_ends_has_nothing_in_flight_at_once_and_who_vanishes_soon(start: Start, server: RedisServer) -> None:
    a, b, c = start("a"), start("b"), start("c")
    work(b, 4)
    work(c, 5)
    until(lambda: others(a) == 9)
    number = b.segment.header[H_NUMBER]
    b.sync.stop()
    assert (b.segment.header[H_NUMBER], b.segment.header[H_MACHINES]) == (number, 0), "workers stay on their subset"
    until(lambda: others(a) == 5, 1.5)
    for running in c.sync._running:  # as with kill -9: nothing is taken back
        running.loop.stop()
    assert 0 < server.client().pttl("{t}:inflight:c") <= 3_000
    until(lambda: others(a) == 0 and a.segment.header[H_MACHINES] == 1)


def test_without_the_store_counts_are_local_and_with_it_they_come_back(start: Start, server: RedisServer) -> None:
    a, b = start("a"), start("b")
    work(b, 4)
    until(lambda: others(a) == 4)
    server.kill()
    until(lambda: others(a) == 0)
    server.start()
    assert until(lambda: others(a) == 4) < 5.0


def test_what_was_flushed_is_told_again(start: Start, server: RedisServer) -> None:
    a, b = start("a"), start("b")
    work(b, 4)
    until(lambda: others(a) == 4)
    client = server.client()
    client.flushall()
    until(lambda: client.hgetall("{t}:inflight:b") == {"web/b0@127.0.0.1:1": "4"}, 5.0)
    until(lambda: others(a) == 4, 5.0)


def test_junk_of_others_is_passed_over(start: Start, server: RedisServer) -> None:
    a, b = start("a"), start("b")
    until(lambda: a.segment.header[H_MACHINES] == 2)
    client = server.client()
    for name, fields in {"x": {"web/b0@127.0.0.1:1": "-5", "": "7"}, "y": {"web/b0@127.0.0.1:1": "1" * 40}}.items():
        client.zadd("{t}:machines", {name: (time.time() + 20) * 1000})
        client.hset(
            "{t}:machine:" + name,
            mapping={"version": "1", "generation": "1", "workers": "1", "pools": "{}", "keys": "{}"},
        )
        client.hset("{t}:inflight:" + name, mapping=fields)
    client.set("{t}:inflight:b", "not a hash")
    until(lambda: len(presence_of(a).others) == 3)
    client.delete("{t}:inflight:b")
    work(b, 2)
    until(lambda: others(a) == 2)


def test_the_same_name_for_another_process_is_not_added_up_and_said(start: Start) -> None:
    pool = pool_of(2)
    moved = replace(pool, backends=(replace(pool.backends[0], port=99), pool.backends[1]))
    a, b = start("a", [pool]), start("b", [moved])
    work(b, 4)
    work(b, 2, "web/b1")
    until(lambda: others(a, "web/b1") == 2)
    assert others(a) == 0
    until(lambda: presence_of(a).problems == ("machine b has other pools (different: web)",))
    assert presence_of(b).problems == ("machine a has other pools (different: web)",)


def test_two_of_one_name_are_said(start: Start, tmp_path: Path, server: RedisServer) -> None:
    a = start("a")
    until(lambda: a.segment.header[H_MACHINES] == 1)
    twin = machine(tmp_path / "twin", "a", server.url, _parts)
    try:
        until(lambda: bool(presence_of(a).problems) and bool(presence_of(twin).problems), 15.0)
        assert presence_of(a).problems[0].startswith("another machine is called a too")
    finally:
        twin.close()
    until(lambda: presence_of(a).problems == (), 15.0)
