"""Row 70: whatever somebody writes under every key that lb has in the store, no request fails, nobody restarts, it is said, and
all is shared again; keys of another version are left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from lb.state.layout import H_CONTROLLER_PID
from lb.state.segment import Segment
from lb.state.store.keys import TABLE
from tests.chaos.process.running import SLACK, Run
from tests.chaos.store.pair import BACK_S, Pair, pair
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import wait_for

IS_FULL = os.environ.get("LB_CHAOS") == "full"
HUGE_BYTES, MANY = (8 << 20, 100_000) if IS_FULL else (2 << 20, 10_000)
Write = Callable[[Any, str, str], None]
"""On a client, under a key, which is of this type."""


def other_type(client: Any, key: str, kind: str) -> None:
    client.delete(key)
    if kind == "list":
        client.set(key, "junk")
    else:
        client.rpush(key, "junk", "")


def stream(client: Any, key: str, kind: str) -> None:
    client.delete(key)
    client.xadd(key, {"field": "junk"})


def corrupt(client: Any, key: str, kind: str) -> None:
    """Of the right type, with everything in it spoilt, and no end."""
    junk = ['{"generation": 1, "state": ', "-1", "1e400", "\u00b2", "9" * 40, "\r\n{} x 1", "[" * 5000, "0 0 0 0 0 0"]
    if kind == "string":
        client.set(key, junk[0])
    elif kind == "sorted set":
        client.zadd(key, {"": 9e18, "x" * 300: 9e18, "a\nb": -1, "two": 9e18, "\u00e9": 9e18})
    else:
        fields = [*client.hkeys(key), "", "web/A", "web/\u00e9", "junk", "pools", "by one", "one", "two"]
        client.hset(key, mapping={field: junk[place % len(junk)] for place, field in enumerate(fields)})
    client.persist(key)


def raw_bytes(client: Any, key: str, kind: str) -> None:
    """No UTF-8."""
    if kind == "string":
        client.set(key, b"\xff\xfe 1")
    elif kind == "sorted set":
        client.zadd(key, {b"\xff": 9e18})
    else:
        client.hset(key, mapping={field: b"\xff\x00" for field in [*client.hkeys(key), b"\xff\xfe/\xff"]})


def huge(client: Any, key: str, kind: str) -> None:
    value = "7" * HUGE_BYTES
    if kind == "string":
        client.set(key, value)
    elif kind == "sorted set":
        client.zadd(key, {value: 9e18})
    else:
        client.hset(key, mapping={field: value for field in client.hkeys(key)[:2]} | {value[:100_000]: value})


def many(client: Any, key: str, kind: str) -> None:
    if kind == "string":
        return
    if kind == "sorted set":
        client.zadd(key, {f"machine-{number}": 9e18 for number in range(MANY)})
    else:
        client.hset(key, mapping={f"junk/{number}": "{" for number in range(MANY)})


WRITES: tuple[Write, ...] = (other_type, stream, corrupt, raw_bytes, huge, many)
GROUPS = [[one] for one in WRITES] if IS_FULL else [[other_type, corrupt, raw_bytes]]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def both(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("hostile"), [server.url, server.url]) as running:
        running.change()
        running.wait_until_shared()
        yield running


def keys_now(server: RedisServer) -> dict[str, str]:
    """Every key of the table, by an example where there is one, with the type it should have."""
    client, found = server.client(), {}
    for documented in TABLE:
        if documented.type == "channel" or documented.pattern == "{P}:schema":
            continue
        begin = documented.pattern.replace("{P}", "{lb}")
        for word in ("MACHINE", "POOL", "NAME", "ROUTE"):
            begin = begin.partition(word)[0]
        exact = begin if begin == documented.pattern.replace("{P}", "{lb}") else ""
        names = [exact] if exact else [key for key in client.keys("*") if key.startswith(begin)] or [begin + "x"]
        found |= dict.fromkeys(names, documented.type)
    return found


def types_are_right(server: RedisServer) -> bool:
    """But for leases, which nobody holds here."""
    names = {"string": "string", "hash": "hash", "sorted set": "zset"}
    client = server.client()
    wanted = {
        key: names[kind] for key, kind in keys_now(server).items() if ":lease:" not in key and ":fence:" not in key
    }
    return all(client.type(key) == kind for key, kind in wanted.items() if client.exists(key))


def forget_junk(server: RedisServer) -> None:
    """What nobody knows of stays in the operators' hash, and is said, until an operator takes it out."""
    client = Redis(port=server.port)
    junk = [name for name in client.hkeys("{lb}:operator") if name != b"web/A"]
    if junk:
        client.hdel("{lb}:operator", *junk)


def controller(run: Run) -> int:
    segment = Segment.open(run.snapshot().segment)
    try:
        return segment.header[H_CONTROLLER_PID]
    finally:
        segment.close()


@pytest.mark.parametrize("writes", GROUPS, ids=lambda writes: ",".join(one.__name__ for one in writes))
def test_whatever_stands_there_no_request_fails_and_it_is_made_good(
    writes: list[Write], both: Pair, server: RedisServer
) -> None:
    controllers, before = [controller(run) for run in both.runs], len(both.runs[0].log())
    with both.counted(",".join(one.__name__ for one in writes)):
        for write in writes:
            for key, kind in keys_now(server).items():
                write(server.client(), key, kind)
            server.client().publish("{lb}:news", "order x\u00b2 1")
            server.client().publish("{lb}:news", b"limit \xff " + b"x" * 100_000)
            server.client().publish("{lb}:news", "operator 99999999999999999999999999")
            wrote = time.monotonic()
            wait_for("keys of the right types", lambda: types_are_right(server), BACK_S * SLACK)
            right_s = time.monotonic() - wrote
            took = both.wait_until_shared(wrote, deadline_s=2 * BACK_S * SLACK)
            print(f"{write.__name__}: types right after {right_s:.2f} s, shared again after {took} s")
        wait_for("a word of it", lambda: is_said(both.runs[0].log()[before:]))
        forget_junk(server)
        both.change(by=1)
    both.wait_for_problem("")
    assert [controller(run) for run in both.runs] == controllers, "nobody has restarted"
    said = both.runs[0].log()[before:]
    assert "failed, next try" not in said and len(said) < 50_000, said[-5000:]
    assert is_said(said), said


def is_said(log: str) -> bool:
    return any(word in log for word in ("dropped", "made anew", "cannot be read", "underst", "lost", "entries"))


def test_keys_of_another_version_are_left_alone(both: Pair, server: RedisServer) -> None:
    client = server.client()
    for schema in ("2", "junk", "9" * 5000, None) if IS_FULL else ("2", None):
        if schema is None:
            client.delete("{lb}:schema")
            client.rpush("{lb}:schema", "2")
        else:
            client.set("{lb}:schema", schema)
        with both.counted(f"schema {str(schema)[:10]}"):
            both.wait_for_problem("has keys of a version that this program does not know")
            left = client.zrange("{lb}:machines", 0, -1, withscores=True)
            wait_for("what they had in flight to run out", lambda: not client.exists("{lb}:inflight:one"))
            assert client.zrange("{lb}:machines", 0, -1, withscores=True) == left, "nobody writes"
            client.delete("{lb}:schema")
            both.wait_for_problem("")
    both.wait_until_shared(deadline_s=BACK_S * SLACK)
