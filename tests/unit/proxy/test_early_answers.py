"""A backend that answers before it has the whole body: its connection must not carry another request, and what
is left of the body must not stay in memory."""

from __future__ import annotations

import gc
import socket as constants
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from lb.model import ListenerTimeouts, PoolTimeouts
from lb.proxy.attempt import attempt
from lb.proxy.body import WireBody
from lb.proxy.deadlines import PERIOD_S, Deadline, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.member import BackendConnection
from lb.proxy.stream import Stream
from lb.proxy.upload import Upload
from tests.support.fault_origin import Behaviour, Connection, fault_origin
from tests.support.scripted import head_of, pair
from tests.unit.proxy.live import backends, exchange_of, live_pool, open_pool
from tests.unit.proxy.serving import pool_route, serving

REQUESTS = 4
EARLY = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
FIRST_BYTES, BODY_BYTES, BUFFER_BYTES = 1_000, 100_000, 8_192


@pytest.mark.parametrize(("drains", "is_kept"), [(False, False), (True, True)])
def test_what_is_left_of_a_body_is_never_the_next_request(
    hub: Any, deadline: Deadline, monkeypatch: pytest.MonkeyPatch, drains: bool, is_kept: bool
) -> None:
    """The client's bytes have all been read, but the backend has not taken the last of them."""
    member = live_pool(*backends(1)).members[0]
    exchange = exchange_of(head_of("POST / HTTP/1.1", f"Content-Length: {BODY_BYTES}"), deadline)
    exchange.member = member
    with pair() as (client, client_peer), pair() as (ours, backend):
        ours.setsockopt(constants.SOL_SOCKET, constants.SO_SNDBUF, BUFFER_BYTES)
        connection = BackendConnection(ours, hub, member, member.addresses[0])
        monkeypatch.setattr(member, "checkout", lambda *_, **__: connection)
        exchange.body = body = WireBody(Stream(client, hub), exchange.head.fields)
        body.start(b"x" * FIRST_BYTES)
        client_peer.sendall(b"x" * (BODY_BYTES - FIRST_BYTES))
        answering = gevent.spawn(answer_early, backend, drains)
        answer = attempt(exchange, member)
        answering.get()
        assert (answer.status, answer.first, body.is_done) == (401, b"no", True)
        assert (connection in member.idle, connection.is_closed) == (is_kept, not is_kept)
        member.close()
        connection.close()
        body.stream.disarm()  # type: ignore[attr-defined]


def answer_early(backend: Any, drains: bool) -> None:
    """Once it has taken nothing for a while, or everything."""
    taken = b""
    while b"\r\n\r\n" not in taken or (drains and len(taken.partition(b"\r\n\r\n")[2]) < BODY_BYTES):
        taken += backend.recv(65536)
    gevent.sleep(0.05)
    backend.sendall(EARLY)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is freed now is freed by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def saying(reply: bytes, *, then_resets: bool = False) -> Behaviour:
    """To a request's head, and never reads its body."""

    def serve(connection: Connection) -> None:
        connection.sock.recv(FIRST_BYTES)
        connection.send(reply)
        if then_resets:
            connection.reset()

    return serve


BACKENDS = {
    "answers": saying(EARLY),
    "answers and resets": saying(EARLY, then_resets=True),
    "resets": saying(b"", then_resets=True),
    "sends garbage": saying(b"SSH-2.0-OpenSSH\r\n\r\n"),
}


@pytest.mark.parametrize("client_leaves", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_request_that_is_over_holds_no_memory(
    sweeper: Sweeper, no_collector: None, backend: str, client_leaves: bool
) -> None:
    """A ring of objects would: the collector looks once in 10,000 of them, each may have 128 KiB of a body."""
    head = b"POST / HTTP/1.1\r\nHost: lb.test\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES
    with (
        fault_origin(BACKENDS[backend]) as origin,
        open_pool(*backends(origin.port)) as pool,
        serving(sweeper, pool_route(pool)) as served,
    ):
        others = held()
        for _ in range(REQUESTS):
            with served.client() as sock:
                sock.sendall(head + b"x" * FIRST_BYTES)
                if client_leaves:
                    sock.close()
                else:
                    sock.recv(65536)
            with gevent.Timeout(5):
                while served.front.open:
                    gevent.sleep(0.002)
        assert len(served.log.exchanges) == REQUESTS
        served.log.exchanges.clear()
        assert [one for one in held() if not any(one is other for other in others)] == []


def held() -> list[Exchange | Upload]:
    """All there are, those of other tests too."""
    return [one for one in gc.get_objects() if isinstance(one, (Exchange, Upload))]


def test_a_pause_behind_the_whole_body_is_the_backends(sweeper: Sweeper) -> None:
    """An answer that began before the body had come may rest for ``idle``, and not only for what is left of the
    client's time for a piece."""

    def serve(connection: Connection) -> None:
        connection.sock.recv(FIRST_BYTES)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nno")
        taken = b""
        while not taken.endswith(b"end"):
            taken += connection.sock.recv(FIRST_BYTES)
        time.sleep(4 * PERIOD_S)
        connection.send(b"ne")

    with (
        fault_origin(serve) as origin,
        open_pool(*backends(origin.port), timeouts=PoolTimeouts(idle_s=10)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client(served.entrance(ListenerTimeouts(body_s=2 * PERIOD_S))) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: lb.test\r\nContent-Length: 3\r\n\r\n")
        got = b""
        while not got.endswith(b"no"):
            got += client.recv(FIRST_BYTES)
        client.sendall(b"end")
        assert client.recv(FIRST_BYTES) == b"ne"
