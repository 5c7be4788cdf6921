"""A backend that answers before it has the whole body: its connection must not carry another request."""

from __future__ import annotations

import socket as constants
from typing import Any

import gevent
import pytest

from lb.proxy.attempt import attempt
from lb.proxy.body import WireBody
from lb.proxy.deadlines import Deadline
from lb.proxy.member import BackendConnection
from lb.proxy.stream import Stream
from tests.support.scripted import head_of, pair
from tests.unit.proxy.live import backends, exchange_of, live_pool

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
