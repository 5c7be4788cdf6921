"""Never above the limit, whatever happens to the store, to what is sent to it, and to those who send."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from lb.state.store import slices
from tests.chaos.store.troubles import failover, flush, jump, lossy, outage, pause, replace
from tests.chaos.store.world import World
from tests.support.redis_server import RedisServer, redis_server
from tests.support.slices import SCRIPT, SlicesStore

RUNS = 300 if os.environ.get("LB_CHAOS") == "full" else 12
STEPS, STEP_MS = 12, 700


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def store(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> SlicesStore:
    monkeypatch.setattr(slices, "SCRIPT", SCRIPT)
    return SlicesStore(server.client())


Trouble = Callable[[World], None]


def kill(world: World) -> None:
    world.random.choice(world.machines).kill_worker(world.random.randrange(2))


def demand(world: World) -> None:
    world.random.choice(world.machines).demand = world.random.choice((0.0, 0.1, 1.0))


def nonsense(world: World) -> None:
    world.store.client.hset(world.key, world.random.choice(("m0", "m1", "m2", "m9")), "junk")


TROUBLES: tuple[Trouble, ...] = (pause, replace, kill, demand, lossy, flush, failover, nonsense, outage)


@pytest.mark.parametrize("run", range(RUNS))
def test_closed_is_never_above_the_limit_and_recovers(store: SlicesStore, tmp_path: Path, run: int) -> None:
    random = Random(run)
    world = World(store, tmp_path, random, random.choice((1, 2, 3, 7, 20)), "closed")
    for _ in range(STEPS):
        random.choice(TROUBLES)(world)
        world.run(random.randrange(STEP_MS))
        assert world.peak <= world.limit
    world.is_lossy = False
    for machine in world.machines:
        machine.demand = 1.0
    world.run(5000)
    done = world.done
    world.run(8000)
    assert world.peak <= world.limit
    assert world.done - done > 0.6 * world.limit * 8000 / 200, "all of it is used again"


@pytest.mark.parametrize("run", range(RUNS // 3))
def test_a_store_whose_clock_jumps_does_not_lead_above_it(store: SlicesStore, tmp_path: Path, run: int) -> None:
    """While all machines renew in time."""
    random = Random(run)
    world = World(store, tmp_path, random, random.choice((1, 3, 7)), "closed")
    for _ in range(STEPS):
        random.choice((jump, kill, demand))(world)
        world.run(random.randrange(STEP_MS))
    assert world.peak <= world.limit
    world.run(5000)
    done = world.done
    for machine in world.machines:
        machine.demand = 1.0
    world.run(2000)
    assert world.done > done and world.peak <= world.limit


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_open_divides_without_the_store_and_is_exact_again_with_it(
    store: SlicesStore, tmp_path: Path, limit: int
) -> None:
    world = World(store, tmp_path, Random(limit), limit, "open")
    world.run(3000)
    assert world.done and world.peak <= limit
    world.is_reachable = False
    world.run(3000)
    assert world.peak <= max(limit, 3 * max(1, limit // 3))
    world.is_reachable = True
    world.run(2000)
    world.peak = 0
    world.run(5000)
    assert 0 < world.peak <= limit


def test_requests_of_any_length_while_all_machines_renew_in_time(
    store: SlicesStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.store.world.LONGEST_REQUEST_MS", 8000)
    world = World(store, tmp_path, Random(5), 4, "closed")
    for _ in range(20):
        demand(world)
        world.run(1500)
    assert 0 < world.peak <= 4
