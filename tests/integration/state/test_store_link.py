"""The link to a real Redis: what takes it down, what it says then, and that it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lb.config.store_url import parse
from lb.state.store.errors import StoreDown, StoreError
from lb.state.store.keys import Keys
from lb.state.store.link import LAST_RETRY_S, Link
from tests.support.redis_server import RedisServer, redis_server

PATIENCE_S = 5.0
MANY = 12
AT_ONCE_S = 0.02
LONG_S = 2.5
"""By then all try as rarely as they ever do."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@contextmanager
def link_to(url: str) -> Iterator[Link]:
    link = Link(parse(url), Keys("t"), "here")
    try:
        yield link
    finally:
        link.stop()


def until(is_so: Callable[[], bool]) -> float:
    import gevent

    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < PATIENCE_S, "in vain"
        gevent.sleep(0.01)
    return time.monotonic() - started


def test_it_comes_up_and_tells_and_calls(server: RedisServer) -> None:
    told: list[str] = []
    with link_to(server.url) as link:
        with pytest.raises(StoreDown, match="has not been reached yet"):
            link.call(lambda client: client.ping())
        link.on_up.append(lambda: told.append("up"))
        link.start()
        until(lambda: link.is_up)
        assert link.call(lambda client: client.incr("n")) == 1
        assert told == ["up"] and link.problem == ""
        assert server.client().get("{t}:schema") == "1"


def test_who_asks_before_it_was_reached_waits_for_the_first_try_only(server: RedisServer) -> None:
    with link_to(server.url) as link:
        link.start()
        link.wait_for_first_try(PATIENCE_S)
        assert link.is_up
    server.kill()
    with link_to(server.url) as link:
        link.start()
        started = time.monotonic()
        link.wait_for_first_try(PATIENCE_S)
        link.wait_for_first_try(PATIENCE_S)
        assert not link.is_up and time.monotonic() - started < PATIENCE_S


def test_a_mistake_of_one_call_is_no_outage(server: RedisServer) -> None:
    with link_to(server.url) as link:
        link.start()
        until(lambda: link.is_up)
        link.call(lambda client: client.set("text", "x"))
        with pytest.raises(StoreError, match="WRONGTYPE") as caught:
            link.call(lambda client: client.hgetall("text"))
        assert not isinstance(caught.value, StoreDown) and link.is_up


def test_a_killed_server_takes_it_down_and_it_comes_back(server: RedisServer) -> None:
    with link_to(server.url) as link:
        link.start()
        until(lambda: link.is_up)
        server.kill()
        with pytest.raises(StoreDown, match=r"cannot be reached|does not answer"):
            link.call(lambda client: client.ping())
        assert not link.is_up
        server.start()
        assert until(lambda: link.is_up) < 3.0


def test_many_come_back_at_random_within_a_second_each_with_one_connection(server: RedisServer) -> None:
    """A store that is back after long is not met by all at once."""
    import gevent

    back: list[float] = []
    with ExitStack() as stack:
        links = [stack.enter_context(link_to(server.url)) for _ in range(MANY)]
        for link in links:
            link.start()
        until(lambda: all(link.is_up for link in links))
        server.kill()
        for link in links:
            with pytest.raises(StoreDown):
                link.call(lambda client: client.ping())
            link.on_up.append(lambda: back.append(time.monotonic()))
        gevent.sleep(LONG_S)
        server.start()
        since, most = time.monotonic(), 0
        counting = server.client()

        def all_are_back() -> bool:
            nonlocal most
            most = max(most, len(counting.client_list()) - 1)
            return len(back) == MANY

        until(all_are_back)
    assert most <= MANY and max(back) - since < 3 * LAST_RETRY_S
    assert max(back) - min(back) > LAST_RETRY_S / 4, sorted(at - since for at in back)
    together = max(sum(first <= at < first + AT_ONCE_S for at in back) for first in back)
    assert together < MANY / 2, sorted(at - since for at in back)


def test_a_stopped_server_costs_one_timeout_and_then_nothing(server: RedisServer) -> None:
    with link_to(server.url) as link:
        link.start()
        until(lambda: link.is_up)
        server.stop()
        started = time.monotonic()
        with pytest.raises(StoreDown, match="does not answer in time"):
            link.call(lambda client: client.ping())
        assert time.monotonic() - started < 1.5
        started = time.monotonic()
        with pytest.raises(StoreDown):
            link.call(lambda client: client.ping())
        assert time.monotonic() - started < 0.1
        server.go_on()
        assert until(lambda: link.is_up) < 3.0


def test_what_is_wrong_is_said_without_the_password(server: RedisServer) -> None:
    server.client().config_set("requirepass", "right")
    with link_to(f"redis://:hush@127.0.0.1:{server.port}") as link:
        link.start()
        until(lambda: "password" in link.problem)
        assert "hush" not in f"{link.problem} {link!r}" and not link.is_up
    with link_to(f"redis://:right@127.0.0.1:{server.port}") as link:
        link.start()
        until(lambda: link.is_up)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), "read-only replica"),
        (("CONFIG", "SET", "maxmemory", "1"), "is full"),
        (("ACL", "SETUSER", "default", "-@write"), "does not let our user"),
    ],
)
def test_a_store_that_takes_nothing_is_down_and_says_why(
    server: RedisServer, command: tuple[str, ...], text: str
) -> None:
    with link_to(server.url) as link:
        link.start()
        until(lambda: link.is_up)
        server.client().execute_command(*command)
        with pytest.raises(StoreDown, match=text):
            link.call(lambda client: client.incr("n"))


def test_keys_of_a_newer_program_are_left_alone(server: RedisServer) -> None:
    server.client().set("{t}:schema", "2")
    with link_to(server.url) as link:
        link.start()
        until(lambda: "update this machine" in link.problem)
        assert not link.is_up and server.client().get("{t}:schema") == "2"
