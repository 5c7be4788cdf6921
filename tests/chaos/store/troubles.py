"""What may happen to machines that share a limit, and to their store."""

from __future__ import annotations

from tests.chaos.store.world import World


def pause(world: World) -> None:
    world.random.choice(world.machines).pause(world.random.randrange(50, 5000))


def replace(world: World) -> None:
    world.random.choice(world.machines).replace_controller()


def lossy(world: World) -> None:
    world.is_lossy = not world.is_lossy


def flush(world: World) -> None:
    world.store.flush()


def failover(world: World) -> None:
    """To a replica that lacks the last quarter of a second."""
    kept = world.store.client.hgetall(world.key)
    world.run(250)
    world.store.client.delete(world.key)
    if kept:
        world.store.client.hset(world.key, mapping=kept)
    world.store.is_now("b" + str(world.random.randrange(10**6)))


def outage(world: World) -> None:
    world.is_reachable = False
    world.run(world.random.randrange(100, 4000))
    world.is_reachable = True


def jump(world: World) -> None:
    world.store.pass_ms(world.random.choice((-3_600_000, -700, 700, 5_000, 3_600_000)))
