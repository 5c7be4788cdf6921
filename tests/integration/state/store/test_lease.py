"""One holder at a time, and one that wakes late finds that it is none any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest

from lb.config.store_url import parse
from lb.state.store import lease as lease_module
from lb.state.store.errors import StoreDown
from lb.state.store.keys import Keys
from lb.state.store.lease import Lease
from lb.state.store.link import Link
from tests.support.machines import until
from tests.support.redis_server import RedisServer, redis_server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def pair(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Lease, Lease]]:
    monkeypatch.setattr(lease_module, "TTL_S", 0.5)
    monkeypatch.setattr(lease_module, "MARGIN_S", 0.1)
    with ExitStack() as stack:
        links = [Link(parse(server.url), Keys("t"), name) for name in ("a", "b")]
        for link in links:
            stack.callback(link.stop)
            link.start()
        until(lambda: all(link.is_up for link in links))
        yield Lease(links[0], "job"), Lease(links[1], "job")


def test_one_holds_it_until_it_gives_it_up(pair: tuple[Lease, Lease], server: RedisServer) -> None:
    a, b = pair
    assert a.renew() and a.is_held and not b.renew() and not b.is_held
    assert a.renew() and a.token == 1 and server.client().get("{t}:lease:job") == "a 1"
    a.give_up()
    assert not a.is_held and b.renew() and b.token == 2
    a.give_up()  # of what is not its own any more
    assert b.renew() and b.token == 2


def test_one_that_was_stopped_too_long_holds_nothing(pair: tuple[Lease, Lease]) -> None:
    a, b = pair
    a.renew()
    assert a.is_current()
    gevent.sleep(0.45)
    assert not a.is_held, "given up here before it is over there"
    until(b.renew)
    assert not a.is_current() and b.is_current() and b.token > a.token
    assert not a.renew()


def test_tokens_go_on_over_a_store_that_lost_everything(pair: tuple[Lease, Lease], server: RedisServer) -> None:
    a, b = pair
    a.renew()
    a.give_up()
    b.renew()
    server.client().flushall()
    assert b.renew() and b.token == 3


def test_without_the_store_it_runs_out(pair: tuple[Lease, Lease], server: RedisServer) -> None:
    a, _ = pair
    a.renew()
    server.kill()
    with pytest.raises(StoreDown):
        a.renew()
    gevent.sleep(0.45)
    assert not a.is_held
