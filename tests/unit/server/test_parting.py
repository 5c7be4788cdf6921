"""The end of a WSGI server's connection: what the client still sends is read, for a moment."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import socket as green
from gevent.pywsgi import WSGIServer
from gunicorn.config import Config
from gunicorn.http.wsgi import Response

from lb.server import parting
from lb.server.parting import announce_end, ends_by_field, linger
from tests.support.scripted import tcp_pair

LINGER_S = 0.2
ANSWER = b"HTTP/1.1 400 Bad Request\r\n\r\n"
MORE = bytes(1 << 20)


@contextlib.contextmanager
def pair() -> Iterator[tuple[Any, Any]]:
    """A gevent server's end, and its client's."""
    with tcp_pair() as (server, client), contextlib.closing(green.socket(fileno=server.detach())) as ours:
        yield ours, client


def test_a_client_that_still_sends_gets_its_answer_and_no_reset() -> None:
    with pair() as (ours, client):
        sender = gevent.spawn(lambda: (client.sendall(MORE), client.shutdown(socket.SHUT_WR)))
        ours.sendall(ANSWER)
        assert linger(ours)
        ours.close()
        sender.get(timeout=10)
        assert client.recv(65536) == ANSWER
        assert client.recv(65536) == b""


def test_one_that_stays_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "LINGER_S", LINGER_S)
    with pair() as (ours, client):
        started = monotonic()
        assert linger(ours)
        assert LINGER_S * 0.9 < monotonic() - started < LINGER_S + 5
        assert client.recv(65536) == b"", "our side has ended"


def test_one_that_sends_without_end_has_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "LINGER_BYTES", len(MORE) // 2)
    with pair() as (ours, client):
        sender = gevent.spawn(client.sendall, 8 * MORE)
        with gevent.Timeout(10):
            assert linger(ours)
        sender.kill()


def test_one_that_is_gone_is_not_waited_for() -> None:
    with pair() as (ours, client):
        client.close()
        with gevent.Timeout(parting.LINGER_S / 2):
            assert linger(ours)


def test_servers_without_gevent_linger_themselves() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not linger(ours)
        assert not linger(None)
        ours.send(b"still open")
        assert theirs.recv(100) == b"still open"


def test_gunicorn_is_told_to_close_whatever_the_client_wants() -> None:
    request = SimpleNamespace(method="GET", version=(1, 1), should_close=lambda: False)
    response = Response(request, None, Config())
    response.start_response("400 Bad Request", [("Content-Length", "0"), ("Connection", "close")])
    assert "Connection: keep-alive\r\n" in response.default_headers(), "gunicorn drops an application's field"
    assert announce_end(response.start_response)
    assert "Connection: close\r\n" in response.default_headers()


def test_other_servers_cannot_be_told() -> None:
    assert not announce_end(lambda status, fields: None)


def test_of_those_only_gevents_own_takes_a_field() -> None:
    assert ends_by_field(WSGIServer.base_env)
    assert not ends_by_field({"SERVER_SOFTWARE": "WSGIServer/0.2"})
    assert not ends_by_field({})
