"""Three machines that share a rate: never above ``burst + rate x t`` in any window, and nearly all of it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from lb.controller.limits import limits_of
from lb.model import Config, RateLimit, Route, Snapshot, State, StoreLoss
from lb.resilience.gcra import Gcra
from lb.state.bucket import Bucket
from lb.state.layout import SR_BUCKETS, SR_TURN
from lb.state.locks import BUCKETS
from lb.state.store import slices
from tests.chaos.store.troubles import failover, flush, jump, lossy, outage, pause, replace
from tests.chaos.store.world import TICK_MS, Machine, World
from tests.support.redis_server import RedisServer, redis_server
from tests.support.scale import IS_FULL
from tests.support.slices import KEYS, SCRIPT, START_MS, SlicesStore

RUNS, LONG_MS = (300, 20_000) if IS_FULL else (5, 4000)
STEPS, STEP_MS = 8, 700
Make = Callable[..., "RateWorld"]
LIMITS = [RateLimit(100.0, 100), RateLimit(100.0, 1), RateLimit(20.0, 7), RateLimit(2.0, 1), RateLimit(5.0, 200)]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def store(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlicesStore]:
    monkeypatch.setattr(slices, "SCRIPT", SCRIPT)
    store = SlicesStore(server.client())
    store.client.set(KEYS.born, f"{START_MS - 10_000_000} aa")
    yield store
    store.client.connection_pool.disconnect()


@pytest.fixture
def make(store: SlicesStore, tmp_path: Path) -> Iterator[Make]:
    worlds: list[RateWorld] = []

    def make(random: Random, limit: RateLimit, rule: StoreLoss = "closed") -> RateWorld:
        worlds.append(RateWorld(store, tmp_path, random, limit, rule))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


class RateWorld(World):
    """``passed``: when requests were let through, on any machine, in milliseconds."""

    def __init__(self, store: SlicesStore, folder: Path, random: Random, limit: RateLimit, rule: StoreLoss) -> None:
        self.rate = limit
        self.passed: list[int] = []
        self._news = store.client.pubsub(ignore_subscribe_messages=True)
        self._news.subscribe(KEYS.news)
        super().__init__(store, folder, random, limit.burst, rule)

    @staticmethod
    def machine(world: World, name: str, boot_ms: int) -> Machine:
        return RateMachine(world, name, boot_ms)

    @property
    def key(self) -> str:
        return KEYS.limit(next(iter(limits_of(self.machines[0].snapshot))))

    def tell_news(self) -> None:
        while message := self._news.get_message():
            words = message["data"].split(" ")[1:]
            for machine in cast("list[RateMachine]", self.machines):
                self.after(self.random.randrange(1, 5), lambda machine=machine, words=words: machine.hear(words))  # type: ignore[misc]

    def excess(self, since: int = 0, by: int = 1) -> float:
        """By how much the limit, ``by`` times, was exceeded in the worst window after ``since`` requests."""
        least, worst = float("inf"), float("-inf")
        for count, at_ms in enumerate(self.passed[since:]):
            base = count - by * self.rate.rate_per_s * at_ms / 1000
            least = min(least, base)
            worst = max(worst, base + 1 - least - by * self.rate.burst)
        return worst

    def used(self, time_ms: int) -> float:
        """The share of the rate that is let through in that time."""
        before = len(self.passed)
        self.run(time_ms)
        return (len(self.passed) - before) / (self.rate.rate_per_s * time_ms / 1000)

    def close(self) -> None:
        self._news.close()
        for machine in cast("list[RateMachine]", self.machines):
            machine.close()

    def demand(self, *shares: float) -> None:
        for machine, share in zip(self.machines, shares, strict=True):
            machine.demand = share


class RateMachine(Machine):
    """Its workers ask ``demand`` x rate in all; more where few tokens are kept for who comes late."""

    def _snapshot(self, limit: int) -> Snapshot:
        world = cast(RateWorld, self.world)
        folder = world.folder / self.name
        folder.mkdir(exist_ok=True)
        self.fd = os.open(folder / "segment", os.O_RDWR | os.O_CREAT)
        state = State(str(folder), redis="x", on_store_loss=world.rule)
        route = Route("r", "respond", rate_limit=world.rate)
        gcra = Gcra(world.rate.rate_per_s, world.rate.burst)
        self.bucket = Bucket(self.fd, 0, self.cells, gcra, world.rule, self.clock() + 3_000_000_000, self.clock)
        return Snapshot(1, Config("", (), (), (route,), state), "", {"route:r": 0})

    def _work(self, worker: int) -> None:
        world, next_ms = cast(RateWorld, self.world), 20.0
        if self.demand:
            per_s = self.demand * world.rate.rate_per_s * max(1, 20 // world.rate.burst)
            next_ms = world.random.expovariate(per_s / len(self.inflight) / 1000)
            if self.bucket.take() == 0:
                world.passed.append(world.now_ms)
        world.after(max(1, round(next_ms)), lambda: self._work(worker))

    def call(self, step: Callable[[Any], Any]) -> Any:
        try:
            return super().call(step)
        finally:
            cast(RateWorld, self.world).tell_news()

    def hear(self, words: list[str]) -> None:
        is_free = not self.is_asking and self.world.now_ms >= self.paused_until_ms
        if self.is_up and self.part.hear(words) and is_free:
            self.world.start(self._round)

    def kill_worker(self, worker: int) -> None:
        """Right behind the first of the two cells that it writes."""
        self.cells[SR_BUCKETS + 2 * (self.cells[SR_TURN] % BUCKETS)] = self.clock()

    def close(self) -> None:
        self.part._turn.give_up()
        os.close(self.fd)


Trouble = Callable[[RateWorld], None]


def kill(world: RateWorld) -> None:
    world.random.choice(world.machines).kill_worker(0)


def demand(world: RateWorld) -> None:
    world.random.choice(world.machines).demand = world.random.choice((0.0, 0.3, 3.0))


def nonsense(world: RateWorld) -> None:
    world.store.client.hset(world.key, world.random.choice(("m0", "m1", "m2", "m9", "+")), "junk")


TROUBLES: tuple[Trouble, ...] = (pause, replace, kill, demand, lossy, flush, failover, nonsense, outage)


@pytest.mark.parametrize("run", range(RUNS))
def test_closed_is_never_above_the_limit_and_recovers(make: Make, run: int) -> None:
    random = Random(run)
    world = make(random, random.choice(LIMITS))
    world.demand(3.0, 3.0, 3.0)
    for _ in range(STEPS):
        random.choice(TROUBLES)(world)
        world.run(random.randrange(STEP_MS))
    assert world.excess() <= 1e-6
    world.is_lossy = False
    world.demand(3.0, 3.0, 3.0)
    world.run(5000)
    used = world.used(LONG_MS)
    assert world.excess() <= 1e-6
    assert used >= (0.85 if world.rate.burst > 1 else 0.7), (
        used,
        world.rate,
    )  # one token: for who asks while it is there


@pytest.mark.parametrize("run", range(RUNS // 3))
def test_a_store_whose_clock_jumps_does_not_lead_above_it(make: Make, run: int) -> None:
    """While all machines renew in time."""
    random = Random(run)
    world = make(random, random.choice(LIMITS))
    world.demand(3.0, 3.0, 3.0)
    world.run(1000)
    for _ in range(STEPS):
        random.choice((jump, kill, demand))(world)
        world.run(random.randrange(STEP_MS))
    world.demand(3.0, 3.0, 3.0)
    world.run(5000)
    assert world.used(LONG_MS) > 0.5 and world.excess() <= 1e-6


EVEN, ONE, SOME, FEW = (3.0, 3.0, 3.0), (3.0, 0.0, 0.0), (0.5, 0.0, 2.0), (6.0, 0.1, 0.1)
USES = [(LIMITS[0], EVEN), (LIMITS[0], ONE), (LIMITS[0], SOME), (LIMITS[0], FEW), (LIMITS[1], EVEN), (LIMITS[2], ONE), (LIMITS[3], EVEN)]  # fmt: skip


@pytest.mark.parametrize(("limit", "shares"), USES, ids=str)
def test_nearly_all_of_it_is_used_wherever_it_is_asked_for(
    make: Make, limit: RateLimit, shares: tuple[float, float, float]
) -> None:
    """A token of a burst of one is only used by who asks when it is there, and on the one machine that has it."""
    world = make(Random(7), limit)
    world.demand(*shares)
    world.run(2000)
    used = world.used(LONG_MS)
    assert world.excess() <= 1e-6
    assert used >= 0.9, used


def test_a_burst_comes_whole_where_it_is_asked_for(make: Make) -> None:
    """What the others' idle units have saved comes with them."""
    world = make(Random(7), RateLimit(1.0, 90))
    world.demand(0.0, 0.0, 0.0)
    world.run(1000)
    for machine in world.machines:
        machine.cells[SR_BUCKETS] -= 120 * 1_000_000_000  # as if so long nobody had asked
    world.demand(2000.0, 0.0, 0.0)
    world.run(20 * TICK_MS)
    assert 85 <= len(world.passed) <= 90


def test_open_divides_without_the_store_and_is_exact_again_with_it(make: Make) -> None:
    world = make(Random(3), RateLimit(90.0, 30), "open")
    world.demand(3.0, 3.0, 3.0)
    world.run(5000)
    assert world.excess() <= 1e-6
    world.is_reachable = False
    world.run(2000)
    assert 0.9 <= world.used(2000) <= 1.02
    world.is_reachable = True
    world.run(3000)
    again = len(world.passed)
    assert world.used(2000) >= 0.9
    assert world.excess(again) <= 1e-6
    assert world.excess(by=2) <= 1e-6
