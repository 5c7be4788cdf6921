"""A route's rate limit as a worker composes it, and over reloads."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

import pytest

from lb.errors import RateLimited
from lb.model import Config, RateLimit, Respond, Route
from lb.proxy.deadlines import Deadline
from lb.server.runtime import Runtime
from lb.state.layout import C_RATE_LIMITED, SH_SLICE, SH_SLICE_UNTIL_NS
from lb.structs import replace
from tests.support.scripted import head_of
from tests.unit.proxy.live import body_of, exchange_of
from tests.unit.server.test_runtime import config, origin, put_in_force, runtime, total, wait_until

__all__ = ["config", "origin", "put_in_force", "runtime"]

HOUR = 3600
Put = Callable[[Config], object]


@pytest.fixture
def limited(config: Config) -> Config:
    """Five at once and one an hour to ``/few``; the same for an answer of our own."""
    few = Route("few", "pool", path="/few", pool="web", rate_limit=RateLimit(1 / HOUR, 5))
    own = Route("own", "respond", path="/own", respond=Respond(body="x"), rate_limit=RateLimit(1 / HOUR, 1))
    return replace(config, routes=(few, own, *config.routes))


def put(runtime: Runtime, put_in_force: Put, config: Config) -> None:
    before = runtime.traffic.generation
    put_in_force(config)
    wait_until(lambda: runtime.traffic.generation > before)


def ask(runtime: Runtime, deadline: Deadline, path: str) -> tuple[int, str]:
    """The status and Retry-After; recorded."""
    exchange = exchange_of(head_of(f"GET {path} HTTP/1.1"), deadline)
    runtime.traffic.match(exchange)
    try:
        answer = runtime.traffic.answer(exchange)
    except RateLimited as error:
        answer = runtime.traffic.error(exchange, error)
    exchange.status = answer.status
    body_of(answer)
    runtime.traffic.count(exchange)
    runtime.traffic.record(exchange)
    after = [line[13:] for line in answer.head.decode().split("\r\n") if line.startswith("Retry-After")]
    return answer.status, "".join(after)


def passed(runtime: Runtime, deadline: Deadline, path: str = "/few", times: int = 9) -> int:
    return sum(ask(runtime, deadline, path)[0] == 200 for _ in range(times))


def test_who_is_refused_reaches_no_backend_and_is_told_when(
    runtime: Runtime, limited: Config, put_in_force: Put, deadline: Deadline
) -> None:
    put(runtime, put_in_force, limited)
    assert passed(runtime, deadline) == 5
    status, after = ask(runtime, deadline, "/few/x")
    assert status == 429 and HOUR - 10 <= int(after) <= HOUR
    assert total(runtime, "route:few", C_RATE_LIMITED) == 5
    assert runtime.segment.inflight(runtime.snapshot.columns["route:few"]) == 0
    assert total(runtime, "backend:web/a") + total(runtime, "backend:web/b") == 5
    assert ask(runtime, deadline, "/other")[0] == 200
    assert passed(runtime, deadline, "/own") == 1


def test_a_new_limit_that_machines_share_is_in_force_when_they_have_divided_it(
    runtime: Runtime, limited: Config, put_in_force: Put, deadline: Deadline
) -> None:
    """On this machine nobody divides: there is no controller."""
    shared = replace(limited, state=replace(limited.state, redis="redis://127.0.0.1:1", on_store_loss="closed"))
    free = tuple(replace(route, rate_limit=None) for route in limited.routes)
    put(runtime, put_in_force, replace(shared, routes=free))
    put(runtime, put_in_force, shared)
    assert passed(runtime, deadline) == 9
    runtime.segment.shared(runtime.snapshot.columns["route:few"])[SH_SLICE_UNTIL_NS] = 1
    assert passed(runtime, deadline) == 0
    put(runtime, put_in_force, replace(shared, routes=(replace(shared.routes[0], id="other"), *shared.routes[1:])))
    assert passed(runtime, deadline) == 0, "a route that was not there before had no other rule"


def test_a_machine_that_starts_lets_requests_through_until_it_has_its_part_unless_closed(
    runtime: Runtime, limited: Config, put_in_force: Put, deadline: Deadline
) -> None:
    """A store that has just begun grants nothing for two seconds, and nobody is to be refused for that."""
    for rule, through in (("open", 9), ("closed", 0)):
        shared = replace(limited, state=replace(limited.state, redis="redis://127.0.0.1:1", on_store_loss=rule))
        put_in_force(shared)
        started = Runtime(runtime.snapshot_path, runtime.hub, runtime.sweeper)
        try:
            cells = started.segment.shared(started.snapshot.columns["route:few"])
            assert passed(started, deadline) == through
            cells[SH_SLICE], cells[SH_SLICE_UNTIL_NS] = 0, monotonic_ns() + 10**9
            assert passed(started, deadline) == through
            cells[SH_SLICE_UNTIL_NS] = 1
            assert passed(started, deadline) == (5 if rule == "open" else 0)
            cells[SH_SLICE_UNTIL_NS] = 0
        finally:
            started.close()


def test_a_reload_keeps_what_a_limit_has_had_and_another_rate_begins_with_no_more_than_that(
    runtime: Runtime, limited: Config, put_in_force: Put, deadline: Deadline
) -> None:
    put(runtime, put_in_force, limited)
    assert passed(runtime, deadline, times=3) == 3
    put(runtime, put_in_force, replace(limited, routes=tuple(reversed(limited.routes[:2])) + limited.routes[2:]))
    assert passed(runtime, deadline) == 2
    other = replace(limited.routes[0], rate_limit=RateLimit(1 / HOUR, 50))
    put(runtime, put_in_force, replace(limited, routes=(other, *limited.routes[1:])))
    assert passed(runtime, deadline) == 0
    none = replace(limited.routes[0], rate_limit=None)
    put(runtime, put_in_force, replace(limited, routes=(none, *limited.routes[1:])))
    assert passed(runtime, deadline) == 9
