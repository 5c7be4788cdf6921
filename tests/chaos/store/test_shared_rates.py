"""Never above a rate that two balancers share, and nearly all of it used, while machines and the store are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from lb.config import snapshot as snapshot_file
from lb.state.layout import SH_SLICE, SH_SLICE_LOST, SH_SLICE_UNTIL_NS
from lb.state.segment import Segment
from lb.state.store.keys import Keys
from tests.support.asking import Asking, Limit, Watch
from tests.support.balancer import Balancer, running_balancer
from tests.support.redis_server import RedisServer, redis_server
from tests.support.scale import IS_FULL
from tests.support.sharing import controller_of
from tests.support.waiting import wait_for

LIMIT = Limit(120.0, 80)
SLACK = 3
"""Promises in seconds get three times their time on a machine that runs other things as well."""
ROUNDS = 20 if IS_FULL else 1


@dataclass
class Pair:
    balancers: list[Balancer]
    server: RedisServer

    def cells(self, i: int) -> list[int]:
        snapshot = snapshot_file.read(str(self.balancers[i].state_dir / "snapshot.json"))
        segment = Segment.open(snapshot.segment)
        try:
            return list(segment.shared(snapshot.columns["route:/rate"]))
        finally:
            segment.close()

    def units(self, i: int) -> int:
        """In force now; -1: none are."""
        cells = self.cells(i)
        return cells[SH_SLICE] if cells[SH_SLICE_UNTIL_NS] > time.monotonic_ns() else -1

    def is_shared(self) -> bool:
        units = [self.units(i) for i in range(2)]
        return min(units) >= 0 and sum(units) == LIMIT.burst

    @contextlib.contextmanager
    def load(self, *machines: int) -> Iterator[tuple[Watch, list[Asking]]]:
        """More than may pass, on these; never too many."""
        with contextlib.ExitStack() as stack:
            asking = [stack.enter_context(Asking(self.balancers[i], "/rate")) for i in machines]
            watch = Watch(LIMIT, *asking)
            yield watch, asking
            watch.check()

    def is_used(self, watch: Watch, asking: list[Asking]) -> None:
        """The burst is gone; of the rate nearly all is let through."""
        again = Watch(LIMIT, *asking)
        again.let_pass(150)
        assert again.use > 0.9, again.use
        watch.check()


@contextlib.contextmanager
def pair(server: RedisServer, rule: str) -> Iterator[Pair]:
    server.client().set(Keys("lb").born, "0 -")  # it has known everything for long
    limit = {"rate": f"{LIMIT.rate_per_s:g}/s", "burst": LIMIT.burst}
    config = {
        "workers": 2,
        "state": {"redis": server.url, "on_store_loss": rule},
        "routes": [{"path": "/rate", "respond": {"status": 200, "body": "ok"}, "rate_limit": limit}],
    }
    with contextlib.ExitStack() as stack:
        balancers = [stack.enter_context(running_balancer(config, with_controller=True)) for _ in range(2)]
        both = Pair(balancers, server)
        wait_for("slices of all", both.is_shared)
        yield both


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def closed(server: RedisServer) -> Iterator[Pair]:
    with pair(server, "closed") as both:
        yield both


def test_both_together_and_demand_moves_the_shares(closed: Pair) -> None:
    for _ in range(ROUNDS):
        with closed.load(0, 1) as (watch, asking):
            closed.is_used(watch, asking)
            assert min(one.passed for one in asking) > 20, "both have a part"
            refused = max(one.refused for one in asking)  # a machine that has all it asks for refuses nobody
            assert refused.startswith(b"HTTP/1.1 429 ") and b"\r\nRetry-After: 1\r\n" in refused
        with closed.load(1) as (watch, asking):
            wait_for("nearly all of it there", lambda: closed.units(1) > 0.9 * LIMIT.burst)
            closed.is_used(watch, asking)


def test_workers_and_a_controller_are_killed(closed: Pair) -> None:
    killed = controller_of(closed.balancers[0])
    with closed.load(0, 1) as (watch, asking):
        os.kill(killed, signal.SIGKILL)
        for balancer in closed.balancers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(balancer.workers()[0].pid, signal.SIGKILL)
            watch.let_pass(20)
        wait_for("another controller", lambda: controller_of(closed.balancers[0]) != killed)
        wait_for("all of it shared", closed.is_shared)
        closed.is_used(watch, asking)


def test_the_store_is_flushed_and_killed_closed(closed: Pair) -> None:
    with closed.load(0, 1) as (watch, asking):
        closed.server.client().flushall()
        watch.let_pass(80)
        closed.server.kill()
        wait_for("the slices' end", lambda: [closed.units(0), closed.units(1)] == [-1, -1], 1.5 * SLACK)
        passed = watch.passed
        time.sleep(0.3)
        assert watch.passed <= passed + 8, "nothing but what was on its way"
        closed.server.start()
        wait_for("all of it shared", closed.is_shared)
        closed.is_used(watch, asking)


def test_the_store_is_killed_open_and_then_a_machine() -> None:
    with redis_server() as server, pair(server, "open") as both:
        wait_for("what holds without it", lambda: [both.cells(i)[SH_SLICE_LOST] for i in range(2)] == [40, 40])
        with both.load(0, 1) as (watch, asking):
            server.kill()
            wait_for("the slices' end", lambda: [both.units(0), both.units(1)] == [-1, -1], 1.5 * SLACK)
            half = [Watch(Limit(LIMIT.rate_per_s / 2, LIMIT.burst // 2), one) for one in asking]
            for one in half:
                one.let_pass(60)
            server.start()
            wait_for("all of it shared", both.is_shared)
            both.is_used(watch, asking)
            _kill(both.balancers[0])
            wait_for("all of it on the other", lambda: both.units(1) == LIMIT.burst, 2.0 * SLACK)
            both.is_used(watch, asking)


def _kill(balancer: Balancer) -> None:
    """Everything that runs there, at once."""
    controller = psutil.Process(controller_of(balancer))
    arbiters = [psutil.Process(balancer.pid), controller.parent()]
    every = [one for arbiter in arbiters if arbiter for one in (arbiter, *arbiter.children())]
    for one in every:
        one.kill()
