"""``{scheme: http, redirect: ...}`` on the wire: who speaks HTTP is sent on, who speaks HTTPS is served."""

from __future__ import annotations

from typing import Any

import pytest

from lb.model import Redirect, Route
from lb.proxy.deadlines import Sweeper
from lb.proxy.routes import LiveRoute, local_action
from lb.proxy.stream import Stream
from tests.support.raw_client import parse_answers
from tests.support.scripted import directory, raw, read_all
from tests.unit.proxy.serving import local_route, serving
from tests.unit.proxy.test_tls import NAME, Pair, certificate, everything

__all__ = ["certificate"]

RULE = Route("moved", "redirect", scheme="http", redirect=Redirect("https://{host}{path}{query}"))
MOVED = LiveRoute(RULE, directory([]).of("moved"), None, local_action(RULE), "", frozenset())
HELLO = local_route("hello")


@pytest.mark.parametrize(
    ("trusted", "said", "status"),
    [
        ((), b"", 308),
        ((), b"X-Forwarded-Proto: https\r\n", 308),
        (("192.0.2.7",), b"", 308),
        (("192.0.2.7",), b"X-Forwarded-Proto: http\r\n", 308),
        (("192.0.2.7",), b"X-Forwarded-Proto: https\r\n", 200),
    ],
)
def test_a_trusted_proxy_is_believed(sweeper: Sweeper, trusted: tuple[str, ...], said: bytes, status: int) -> None:
    request = b"GET /a?b=1 HTTP/1.1\r\nHost: lb.test:8080\r\n%bConnection: close\r\n\r\n" % said
    with serving(sweeper, MOVED, HELLO, trusted=trusted) as served, served.client() as sock:
        sock.sendall(request)
        heard = read_all(sock)
    [answer] = parse_answers(heard, ("GET",), is_closed=True)
    assert answer.status == status
    assert (b"\r\nLocation: https://lb.test/a?b=1\r\n" in heard) is (status == 308)
    assert [exchange.route.route.id for exchange in served.log.exchanges if exchange.route] == [
        "moved" if status == 308 else "hello"
    ]


def test_who_came_by_tls_is_served(sweeper: Sweeper, hub: Any, certificate: Pair) -> None:
    with serving(sweeper, MOVED, HELLO) as served, served.client(served.entrance(tls=certificate.server())) as sock:
        client = Stream(raw(sock), hub)
        client.start_tls(certificate.client(), NAME)
        client.send(b"GET /a HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n")
        [answer] = parse_answers(everything(client), ("GET",), is_closed=True)
        assert (answer.status, answer.body) == (200, b"hello")
        client.close()
