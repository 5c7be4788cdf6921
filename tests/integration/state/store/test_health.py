"""What the machine that probes for all tells the others, on a real Redis that loses, or takes back, what it was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

from lb.controller.board import FRESH_S, Board
from lb.controller.sync import Part
from lb.controller.verdicts import Verdicts
from lb.model import Backend, Health, Pool
from lb.state.layout import DOWN, UP
from lb.state.store.errors import StoreError
from lb.state.store.health import Told, hear, tell
from lb.state.store.keys import Keys
from lb.state.store.link import Link
from tests.support.machines import Machine, machine, until
from tests.support.redis_server import RedisServer, redis_server

KEYS = Keys("t")
FENCE = KEYS.fence("health")
POOL = Pool("web", (Backend("a", host="127.0.0.1", port=9),), health=Health(scope="cluster"))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def test_changes_are_told_only_on_top_of_what_they_are_changes_of(server: RedisServer) -> None:
    """Otherwise a mark would stand for what it is not, and those who have heard of it ask no more."""
    client = server.client()
    client.set(FENCE, 5)

    def said(mark: str, verdicts: Mapping[str, int], since: str, token: int = 5) -> Told:
        return tell(client, KEYS, FENCE, token, mark, verdicts, since=since, news=False)

    assert said("5 1 a", {"x": UP, "y": UP}, "") is Told.TOLD
    assert said("4 9 b", {"x": DOWN}, "", token=4) is Told.NOT_OURS
    assert said("5 2 a", {"x": DOWN}, "5 1 a") is Told.TOLD
    assert said("5 4 a", {"y": DOWN}, "5 3 a") is Told.CHANGES_OF_WHAT
    heard = hear(client, KEYS, "")
    assert heard is not None and (heard.mark, heard.verdicts) == ("5 2 a", {"x": DOWN, "y": UP})
    client.delete(KEYS.health)
    assert said("5 5 a", {"y": DOWN}, "5 4 a") is Told.CHANGES_OF_WHAT
    assert not client.exists(KEYS.health)
    client.set(KEYS.health, "junk")
    assert said("5 5 a", {"y": DOWN}, "5 4 a") is Told.CHANGES_OF_WHAT
    assert said("5 6 a", {"y": DOWN}, "") is Told.TOLD


@pytest.mark.parametrize("fence", ["6", "", "junk", None], ids=str)
@pytest.mark.parametrize("since", ["", "5 1 a"])
def test_who_lost_the_lease_without_knowing_changes_nothing_and_tells_nobody(
    server: RedisServer, fence: str | None, since: str
) -> None:
    client = server.client()
    client.set(FENCE, 5)
    assert tell(client, KEYS, FENCE, 5, "5 1 a", {"x": UP}, since="", news=True) is Told.TOLD
    before = client.hgetall(KEYS.health)
    client.delete(FENCE)
    if fence is not None:
        client.set(FENCE, fence)
    listening = client.pubsub(ignore_subscribe_messages=True)
    listening.subscribe(KEYS.news)
    assert listening.get_message(timeout=1) is None, "only that it listens"
    assert tell(client, KEYS, FENCE, 5, "5 2 a", {"x": DOWN}, since=since, news=True) is Told.NOT_OURS
    assert client.hgetall(KEYS.health) == before
    assert listening.get_message(timeout=0.1) is None
    listening.close()


class Two:
    """Machine ``a`` probes for all, ``b`` hears it; their boards."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.running: list[Machine] = []
        self.a, self.b = Board(), Board()
        for name, board in (("a", self.a), ("b", self.b)):
            self.running.append(machine(folder, name, server.url, partial(_parts, board), (POOL,)))
            board.on_told = partial(self.running[-1].sync.wake, "verdicts")
            until(lambda: self.a.is_prober)

    def tell(self, **verdicts: int) -> None:
        for name, verdict in verdicts.items():
            self.a.tell(name, verdict)

    def wait(self, **verdicts: int) -> None:
        """Until ``b`` has heard these."""
        until(lambda: all(self.b.heard(name) == verdict for name, verdict in verdicts.items()))


def _parts(board: Board, link: Link) -> Sequence[Part]:
    return [Verdicts(link, board)]


@pytest.fixture
def two(server: RedisServer, tmp_path: Path) -> Iterator[Two]:
    both = Two(tmp_path, server)
    yield both
    for one in both.running:
        one.close()


def test_a_failover_that_lost_the_last_word_leaves_nobody_with_the_one_before(two: Two, server: RedisServer) -> None:
    client = server.client()
    two.tell(x=UP, y=UP)
    two.wait(x=UP, y=UP)
    before = client.hgetall(KEYS.health)
    two.tell(x=DOWN)
    two.wait(x=DOWN, y=UP)
    client.hset(KEYS.health, mapping=before)
    two.tell(y=DOWN)
    two.wait(x=DOWN, y=DOWN)


def test_of_what_was_lost_all_is_told_again(two: Two, server: RedisServer) -> None:
    two.tell(x=UP, y=UP)
    two.wait(x=UP, y=UP)
    server.client().delete(KEYS.health)
    two.tell(y=DOWN)
    two.wait(x=UP, y=DOWN)
    gevent.sleep(FRESH_S)
    two.wait(x=UP, y=DOWN)


def test_a_word_of_which_nobody_knows_whether_it_was_heard_is_not_the_last(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store did what it was told, and its answer did not come."""
    two.tell(x=UP)
    two.wait(x=UP)

    def unanswered(*args: Any, **options: Any) -> Told:
        monkeypatch.undo()
        tell(*args, **options)
        two.wait(x=DOWN)
        two.tell(x=UP)
        raise StoreError("no answer")

    monkeypatch.setattr("lb.state.store.health.tell", unanswered)
    two.tell(x=DOWN)
    until(lambda: two.a.verdicts["x"] == UP)
    two.wait(x=UP)
