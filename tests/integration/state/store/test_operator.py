"""Two machines on a real Redis, as far as their controllers go: what operators change on one is on the other."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest
from redis import RedisError

from lb.config import snapshot as snapshot_file
from lb.controller.attachment import Attachment
from lb.controller.changes import Changes, Operators
from lb.controller.sync import Part
from lb.model import Snapshot
from lb.state import operator_file
from lb.state.operator import Change, Refused
from lb.state.publish import snapshot_path
from lb.state.store.link import Link, StoreError
from lb.state.store.news import News
from tests.support.machines import Machine, machine, until
from tests.support.redis_server import RedisServer, redis_server

WITHIN_S = 1.0
"""Promised, on a machine that has nothing else to do; a crowded one gets three times that."""
SLACK = 3
NAME = "web/b0"


@dataclass
class Node:
    machine: Machine
    path: str
    changes: Changes

    @property
    def snapshot(self) -> Snapshot:
        return snapshot_file.read(self.path)

    @property
    def link(self) -> Link:
        assert self.machine.sync.link is not None
        return self.machine.sync.link

    def state(self, id: str = "b0") -> str:
        found = [one for one in self.snapshot.config.pools[0].backends if one.id == id]
        return found[0].state if found else "none"

    def set(self, state: str, id: str = "b0", scope: str = "", expected: int | None = None):  # type: ignore[no-untyped-def]
        return self.changes.make(Change("set", "web", id, state), scope, expected)  # type: ignore[arg-type]


Start = Callable[[str], Node]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(autouse=True)
def news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heard without waiting for it: sockets of a test are not gevent's, and would stop every other greenlet."""

    def run(self: News) -> None:
        while True:
            with contextlib.suppress(StoreError, RedisError, OSError), self._link.listener as listener:
                listener.subscribe(self._link.keys.news)
                while self._link.is_up:
                    self._hear(listener.get_message(timeout=0))
                    gevent.sleep(0.01)
            gevent.sleep(0.1)

    monkeypatch.setattr(News, "_run", run)


@pytest.fixture
def start(server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    server.client().flushall()
    running: list[Node] = []

    def start(name: str) -> Node:
        one = machine(tmp_path, name, server.url, _parts)
        path = snapshot_path(str(tmp_path / name))
        running.append(Node(one, path, Changes(lambda: Attachment(path), lambda: one.sync.link)))
        until(lambda: running[-1].link.is_up and operator_file.load(str(tmp_path / name)).overlay.store != "")
        return running[-1]

    yield start
    for node in running:
        node.machine.close()


def _parts(link: Link) -> Sequence[Part]:
    return [Operators(link)]


def test_what_one_changes_all_have_in_less_than_a_second(server: RedisServer, start: Start) -> None:
    one, two = start("one"), start("two")
    done = one.set("drain")
    assert (done.scope, done.warnings, one.state()) == ("cluster", (), "drain")
    assert until(lambda: two.state() == "drain") < WITHIN_S * SLACK
    assert server.client().get("{t}:operator:generation") == "1"
    assert json.loads(server.client().hgetall("{t}:operator")[NAME]) == {"generation": 1, "by": "one", "state": "drain"}
    two.set("ready")
    assert until(lambda: one.state() == "ready") < WITHIN_S * SLACK


def test_without_news_what_one_changes_is_found_by_looking(start: Start) -> None:
    """The channel may lose any message: whoever listens looks once a second as well."""
    one, two = start("one"), start("two")
    for node in (one, two):
        assert node.machine.sync._news is not None
        node.machine.sync._news.stop()
    for state in ("drain", "ready"):
        one.set(state)
        assert until(lambda: two.state() == state) < (Operators.interval_s + WITHIN_S) * SLACK  # noqa: B023  called at once


def test_of_two_who_saw_the_same_one_has_to_look_again(start: Start) -> None:
    one, two = start("one"), start("two")
    seen = two.snapshot.generation
    one.set("drain")
    with pytest.raises(Refused) as caught:
        two.set("disabled", expected=seen)
        two.set("disabled", expected=seen)
    assert (caught.value.status, caught.value.reason) == (412, "generation_changed")
    two.set("disabled", "b1")  # whoever expects nothing is not refused for what others do
    until(lambda: (one.state(), one.state("b1")) == ("drain", "disabled"))


def test_what_the_store_lost_is_told_again(server: RedisServer, start: Start) -> None:
    one, two = start("one"), start("two")
    for number, lose in enumerate((lambda c: c.flushall(), lambda c: c.delete("{t}:operator"), _make_junk)):
        state = ("drain", "disabled")[number % 2]
        one.set(state)
        until(lambda state=state: two.state() == state)  # type: ignore[misc]
        lose(server.client())
        until(lambda state=state: _stored(server).get("state") == state)  # type: ignore[misc]
        assert (one.state(), two.state()) == (state, state)
    assert int(server.client().get("{t}:operator:generation") or 0) >= 3


def _make_junk(client) -> None:  # type: ignore[no-untyped-def]
    client.delete("{t}:operator")
    client.set("{t}:operator", "junk")
    client.delete("{t}:operator:generation")
    client.rpush("{t}:operator:generation", "junk")


def _stored(server: RedisServer) -> dict[str, object]:
    client = server.client()
    if client.type("{t}:operator") != "hash":
        return {}
    with contextlib.suppress(ValueError):
        return dict(json.loads(client.hget("{t}:operator", NAME) or "{}"))
    return {}


def test_an_entry_that_cannot_be_read_is_left_out_and_said(server: RedisServer, start: Start) -> None:
    one = start("one")
    client = server.client()
    client.hset("{t}:operator", mapping={"web/b1": "{", "junk": "{}", NAME: '{"generation": 1, "state": "drain"}'})
    client.set("{t}:operator:generation", 1)
    client.publish("{t}:news", "operator 1")
    until(lambda: one.state() == "drain")
    assert (one.state("b1"), len(one.snapshot.problems)) == ("ready", 2)
    assert "'web/b1' in the store cannot be read" in one.snapshot.problems[1]
    client.hset("{t}:operator", NAME, "{")
    until(lambda: _stored(server).get("state") == "drain")  # what we know is told again
    client.hdel("{t}:operator", "junk", "web/b1")
    until(lambda: one.snapshot.problems == () and one.state() == "drain")


def test_without_the_store_a_change_is_the_machines_own(server: RedisServer, start: Start) -> None:
    one, two = start("one"), start("two")
    one.set("drain")
    until(lambda: two.state() == "drain")
    server.kill()
    done = one.set("ready")
    assert (done.scope, one.state(), two.state()) == ("machine", "ready", "drain")
    assert "changed on this machine only: the store" in done.warnings[0]
    with pytest.raises(Refused) as caught:
        one.set("disabled", scope="cluster")
    assert (caught.value.status, caught.value.reason) == (503, "store_down")
    server.start()
    until(lambda: one.link.is_up and two.link.is_up and _stored(server).get("state") == "drain")
    assert (one.state(), two.state()) == ("ready", "drain"), "its own stays its own"
    two.set("disabled")
    until(lambda: one.state() == "disabled")
    own = one.set("ready", scope="machine")
    assert (own.scope, own.warnings, one.state(), two.state()) == ("machine", (), "ready", "disabled")
