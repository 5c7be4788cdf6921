"""The machines' numbers on a real Redis: no gaps for long, and one that goes or comes changes little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lb.state.store.numbers import KEEP_MS, MOST, MOVE_AFTER_S, Number
from tests.support.redis_server import redis_server

KEY = "{t}:numbers"


class Fleet:
    """Machines ``m0``, ``m1``, ... that renew their numbers one after the other."""

    def __init__(self, client: Any, count: int) -> None:
        self.client = client
        self.now = 0.0
        self.machines = {f"m{i}": Number(lambda: self.now) for i in range(count)}

    def renew(self, rounds: int = 1) -> list[int]:
        for _ in range(rounds):
            self.now += 1.0
            for name, number in self.machines.items():
                number.renew(self.client, KEY, name)
        return [number.value for number in self.machines.values()]

    def lose(self, name: str) -> None:
        """As long ago as it takes to be forgotten."""
        number = self.machines.pop(name)
        seconds, _ = self.client.time()
        self.client.hset(KEY, name, f"{number.value} {seconds * 1000 - KEEP_MS - 1000}")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with redis_server() as server:
        yield server.client()


@pytest.fixture
def fleet(client: Any) -> Fleet:
    client.flushall()
    fleet = Fleet(client, 5)
    assert fleet.renew() == [0, 1, 2, 3, 4]
    return fleet


def test_of_those_that_stay_one_changes_for_one_that_goes_and_none_for_one_that_comes_back(fleet: Fleet) -> None:
    fleet.machines["m1"] = Number(lambda: fleet.now)
    assert fleet.renew() == [0, 1, 2, 3, 4], "restarted within a minute"
    fleet.lose("m1")
    assert fleet.renew(int(MOVE_AFTER_S) - 1) == [0, 2, 3, 4], "it may be the store that forgot"
    assert fleet.renew(3) == [0, 2, 3, 1]
    fleet.machines["new"] = Number(lambda: fleet.now)
    assert fleet.renew() == [0, 2, 3, 1, 4]


def test_a_store_that_lost_everything_is_told_the_same_again(fleet: Fleet) -> None:
    fleet.client.flushall()
    assert fleet.renew() == [0, 1, 2, 3, 4]
    fleet.client.flushall()
    fleet.machines = dict(reversed(fleet.machines.items()))
    assert fleet.renew(30) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "junk",
    [
        lambda client: (client.delete(KEY), client.rpush(KEY, "x")),
        lambda client: client.hset(KEY, mapping={"m0": "x", "": "0 1", "m3": "\xff" * 9, "m4": "9" * 400}),
        lambda client: client.hset(KEY, mapping={"m2": "999999 1", "z": "1 99999999999999999"}),
        lambda client: client.hset(KEY, mapping={f"junk{i}": "0 1" for i in range(2 * MOST + 1)}),
    ],
    ids=["another type", "no numbers", "beyond all", "too many"],
)
def test_junk_is_made_good(junk: Any, fleet: Fleet) -> None:
    junk(fleet.client)
    fleet.renew(20)
    assert sorted(fleet.renew()) == [0, 1, 2, 3, 4]
    assert sorted(fleet.client.hkeys(KEY)) == sorted(fleet.machines)


def test_of_two_with_one_number_one_takes_another(fleet: Fleet) -> None:
    fleet.client.hset(KEY, "m3", fleet.client.hget(KEY, "m0"))
    assert sorted(fleet.renew(2)) == [0, 1, 2, 3, 4]
