"""Two machines on a real Redis, as far as their controllers go: shares of a rate while demand and configurations change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic_ns

import gevent
import pytest

from lb.controller.limits import Limits
from lb.controller.sync import Part
from lb.model import RateLimit, Respond, Route
from lb.resilience.gcra import Gcra
from lb.state.bucket import Bucket
from lb.state.layout import SH_SLICE, SH_SLICE_UNTIL_NS
from lb.state.store.keys import Keys
from lb.state.store.link import Link
from lb.structs import replace
from tests.support.machines import Machine, machine, until
from tests.support.redis_server import RedisServer, redis_server

Start = Callable[[str], Machine]
RATE = RateLimit(50.0, 100)
KEYS = Keys("t")
COLUMN = "route:r"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    server.client().flushall()
    server.client().set(KEYS.born, "0 -")  # it has known everything for long
    running: list[Machine] = []

    def start(name: str) -> Machine:
        running.append(machine(tmp_path, name, server.url, _parts, on_store_loss="closed"))
        limit(running[-1], RATE)
        return running[-1]

    yield start
    for one in running:
        one.close()


def _parts(link: Link) -> Sequence[Part]:
    return (Limits(link),)


def limit(one: Machine, rate: RateLimit | None) -> None:
    route = Route("r", "respond", respond=Respond(), rate_limit=rate)
    one.publish(replace(one.snapshot.config, routes=(route,)))


def units(one: Machine) -> int:
    """-1: none are in force."""
    shared = one.segment.shared(one.column(COLUMN))
    return shared[SH_SLICE] if shared[SH_SLICE_UNTIL_NS] > monotonic_ns() else -1


def ask(one: Machine, times: int, rate: RateLimit = RATE) -> int:
    """How many of them are let through."""
    column = one.column(COLUMN)
    bucket = Bucket(
        one.segment.fd, column, one.segment.shared(column), Gcra(rate.rate_per_s, rate.burst), "closed", 1 << 62
    )
    return sum(bucket.take() == 0 for _ in range(times))


def test_one_alone_begins_full_and_a_second_gets_what_the_first_has_left(start: Start) -> None:
    a = start("a")
    until(lambda: units(a) == 100)
    began_ns = monotonic_ns()
    passed = ask(a, 200)
    assert passed >= 100
    b = start("b")
    until(lambda: min(units(a), units(b)) > 0)
    passed += ask(b, 100) + ask(a, 100)
    assert passed <= RATE.burst + RATE.rate_per_s * (monotonic_ns() - began_ns) / 1e9
    until(lambda: (units(a), units(b)) == (50, 50))


def test_a_whole_burst_can_be_had_where_it_is_asked_for_and_shares_go_back(start: Start) -> None:
    a, b = start("a"), start("b")
    until(lambda: (units(a), units(b)) == (50, 50))
    passed = 0

    def has_had_it() -> bool:
        nonlocal passed
        passed += ask(b, 30)
        return passed >= 90

    assert until(has_had_it) < 3.0
    assert units(b) > 60
    until(lambda: (units(a), units(b)) == (50, 50))


def test_another_rate_is_in_force_at_once_by_the_share_of_the_old_one(start: Start, server: RedisServer) -> None:
    a, b = start("a"), start("b")
    until(lambda: (units(a), units(b)) == (50, 50))
    other = RateLimit(500.0, 1000)
    limit(a, other)
    assert 500 <= units(a) <= 1000
    limit(b, other)
    assert 500 <= units(b) <= 1000
    until(lambda: set(server.client().hkeys(KEYS.limit("rate:r@500/s+1000"))) == {"a", "b", "+"})
    until(lambda: (units(a), units(b)) == (500, 500))
    assert server.client().get(KEYS.born).startswith("0 "), "nobody took it for a loss"
    assert server.client().exists(KEYS.limit("rate:r@50/s+100"))


def test_a_limit_that_is_taken_away_is_given_back_with_what_it_has_saved(start: Start, server: RedisServer) -> None:
    a = start("a")
    until(lambda: units(a) == 100)
    limit(a, None)
    key = KEYS.limit("rate:r@50/s+100")
    until(lambda: list(server.client().hgetall(key)) == ["+"])
    assert int(server.client().hget(key, "+").split()[0]) == 100_000_000_000
    assert server.client().pttl(key) > 3000, "until it would be full in any case"
    limit(a, RATE)
    until(lambda: units(a) == 100)
    assert ask(a, 200) >= 95


def test_who_ends_gives_back_what_it_has_saved(start: Start) -> None:
    a, b = start("a"), start("b")
    until(lambda: (units(a), units(b)) == (50, 50))
    a.sync.stop()
    until(lambda: units(b) == 100)
    passed = 0
    for _ in range(10):
        passed += ask(b, 100)
        gevent.sleep(0.01)
    assert passed >= 95
