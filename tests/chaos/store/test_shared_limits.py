"""Never above a limit that two balancers share, while workers, controllers and the store are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.asking import Asking
from tests.support.raw_client import get
from tests.support.redis_server import RedisServer, redis_server
from tests.support.sharing import Sharing, controller_of, held, lost, sharing
from tests.support.waiting import PATIENCE_S, wait_for

LIMIT = 3
SLACK = 3
"""Promises in seconds get three times their time on a machine that runs other things as well."""
KILLS = 300 if os.environ.get("LB_CHAOS") == "full" else 10


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def closed(server: RedisServer) -> Iterator[Sharing]:
    with sharing(server, LIMIT, rule="closed", queue={"size": 0}) as both:
        yield both


@contextlib.contextmanager
def load(shared: Sharing, seconds: float = 0.05) -> Iterator[list[Asking]]:
    """More than there are places, on both, and never above the limit."""
    with contextlib.ExitStack() as stack:
        shared.peak(LIMIT)
        yield [stack.enter_context(held(one, LIMIT, LIMIT + 2, seconds)) for one in shared.balancers]
        assert shared.peak(LIMIT).peak <= LIMIT


def serve(clients: list[Asking], count: int, deadline_s: float = PATIENCE_S) -> None:
    """So many requests more on each."""
    wanted = [one.passed + count for one in clients]
    look = lambda: all(one.passed >= least for one, least in zip(clients, wanted, strict=True))  # noqa: E731
    wait_for(f"{count} more on each", look, deadline_s)


def test_workers_killed_in_a_loop(closed: Sharing) -> None:
    choose = random.Random(67).choice
    with load(closed) as clients:
        for _ in range(KILLS):
            served = sum(one.passed for one in clients)
            victim = choose(choose([one for one in closed.balancers if one.workers()]).workers())
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
            wait_for("more requests", lambda served=served: sum(one.passed for one in clients) > served + 20)  # type: ignore[misc]
    wait_for("all places back", lambda: closed.inflight() == 0 and closed.is_shared(), 2.0 * SLACK)


def test_a_controller_is_killed_and_another_stands_still(closed: Sharing) -> None:
    killed, stopped = (controller_of(balancer) for balancer in closed.balancers)
    with load(closed) as clients:
        os.kill(killed, signal.SIGKILL)
        os.kill(stopped, signal.SIGSTOP)
        try:
            wait_for("its end", lambda: closed.slices(LIMIT)[1] == -1, 1.5 * SLACK)
            wait_for("another controller", lambda: controller_of(closed.balancers[0]) != killed)
            wait_for("all of it here", lambda: closed.slices(LIMIT)[0] == LIMIT)
            refused = get(closed.balancers[1].port, f"/k{LIMIT}/0")
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert (refused.status, b'"backend_full"' in refused.body) == (503, True)
        wait_for("a part of it there", lambda: closed.slices(LIMIT)[1] > 0)
        serve(clients, 1)
    closed.wait_until_shared()


def test_the_store_is_killed_closed(closed: Sharing, server: RedisServer) -> None:
    with load(closed) as clients:
        server.kill()
        wait_for("no slices", lambda: closed.slices(LIMIT) == [-1, -1], 1.5 * SLACK)
        for balancer in closed.balancers:
            started = time.monotonic()
            refused = get(balancer.port, f"/k{LIMIT}/0")
            assert (refused.status, b'"backend_full"' in refused.body) == (503, True)
            assert time.monotonic() - started < 0.3 * SLACK
        server.start()
        serve(clients, 1, 5.0 * SLACK)
    closed.wait_until_shared()


def test_all_is_flushed(closed: Sharing, server: RedisServer) -> None:
    with load(closed) as clients:
        for _ in range(3):
            server.client().flushall()
            serve(clients, 5, 2.0 * SLACK)


def test_the_store_is_killed_open() -> None:
    with redis_server() as server, sharing(server, LIMIT, rule="open") as shared:
        with load(shared) as clients:
            wait_for("what holds without it", lambda: [lost(one, LIMIT) for one in shared.balancers] == [1, 1])
            server.kill()
            wait_for("no slices", lambda: shared.slices(LIMIT) == [-1, -1], 1.5 * SLACK)
            serve(clients, 5)  # what the slices let in has ended
            shared.peak(LIMIT)
            serve(clients, 20)
            assert shared.peak(LIMIT).peak <= 2 * (LIMIT // 2)
            server.start()
            shared.wait_until_shared(5.0 * SLACK)
            shared.peak(LIMIT)
            serve(clients, 20)
        assert [one.refused for one in clients] == [b"", b""], "who found no place has waited for one"
