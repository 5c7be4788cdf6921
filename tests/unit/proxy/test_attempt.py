"""One try on one backend: the bytes it gets, what counts as its answer, and which connection is used again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from lb.errors import AttemptError
from lb.http1.forwarded import Caller
from lb.model import PoolTimeouts
from lb.proxy.answer import LENGTH, NO_BODY, UNKNOWN_LENGTH, Answer
from lb.proxy.attempt import MAX_INTERIM, attempt, request_bytes
from lb.proxy.deadlines import Deadline
from lb.proxy.exchange import Exchange
from lb.proxy.pool import LivePool
from tests.support.behaviours import closing_after
from tests.support.fault_origin import Connection, fault_origin
from tests.support.scripted import head_of
from tests.unit.proxy.live import CALLER, IDS, backends, body_of, exchange_of, live_pool, open_pool, request

OURS = b"X-Forwarded-For: 203.0.113.9\r\nX-Request-Id: %b\r\ntraceparent: 00-%b-%b-01\r\n" % (IDS[0], *IDS)


# --- what a backend gets


def sent_for(line: str, *fields: str, caller: Caller = CALLER, upgrade: bytes = b"", **settings: object) -> bytes:
    exchange = exchange_of(head_of(line, *fields, host="Shop.test:81"), Deadline(None), caller=caller)
    exchange.upgrade = upgrade
    pool = live_pool(*backends(5001), **settings)  # type: ignore[arg-type]
    return request_bytes(exchange, pool.members[0])


def test_the_clients_own_lines_and_then_ours() -> None:
    wire = sent_for("GET /a?b HTTP/1.1", "Accept: */*", "Connection: X-Gone", "X-Gone: 1", "X-Kept:2", "x_y: 3")
    assert wire == b"GET /a?b HTTP/1.1\r\nHost: shop.test:81\r\nAccept: */*\r\nX-Kept:2\r\n" + OURS + b"\r\n"


def test_the_backends_own_host() -> None:
    assert b"\r\nHost: 127.0.0.1:5001\r\n" in sent_for("GET / HTTP/1.1", host_header="backend")


def test_an_http_1_0_client_is_passed_on_in_1_1() -> None:
    assert sent_for("GET / HTTP/1.0").startswith(b"GET / HTTP/1.1\r\nHost: shop.test:81\r\n")


def test_a_length_of_nothing_is_passed_on() -> None:
    assert b"\r\nContent-Length: 0\r\n" in sent_for("POST / HTTP/1.1", "Content-Length: 0")
    assert b"Content-Length" not in sent_for("GET / HTTP/1.1")


def test_trailers_and_upgrades_are_asked_for_anew() -> None:
    assert b"\r\nTE: trailers\r\nConnection: TE\r\n" in sent_for("GET / HTTP/1.1", "TE: trailers, gzip")
    wire = sent_for("GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", upgrade=b"websocket")
    assert wire.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")


# --- what counts as its answer


@contextlib.contextmanager
def asked(
    deadline: Deadline, reply: bytes, line: str = "GET / HTTP/1.1", upgrade: bytes = b""
) -> Iterator[tuple[Exchange, LivePool, list[bytes]]]:
    """An exchange whose backend will say ``reply`` and keep the connection; what was passed on ahead is listed."""
    interims: list[bytes] = []

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(reply)
        connection.wait_for_end()

    with (
        fault_origin(serve) as origin,
        request(deadline, line) as exchange,
        open_pool(*backends(origin.port), timeouts=PoolTimeouts(first_byte_s=5.0)) as pool,
    ):
        exchange.interim = interims.append
        exchange.upgrade = upgrade
        exchange.total_at = exchange.started + 10
        exchange.member = pool.pick("random", b"", ())
        yield exchange, pool, interims


def answered(deadline: Deadline, reply: bytes, line: str = "GET / HTTP/1.1") -> tuple[Answer, bytes, bool]:
    """The answer, its body, and whether the connection is kept for the next request."""
    with asked(deadline, reply, line) as (exchange, pool, _):
        answer = attempt(exchange, pool.members[0])
        body = body_of(answer)
        return answer, body, bool(pool.members[0].idle)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("reply", "line", "body", "framing", "is_kept"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", "GET / HTTP/1.1", b"ok", LENGTH, True),
        (OK + b"Content-Length: 0\r\n\r\n", "GET / HTTP/1.1", b"", LENGTH, True),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", "GET / HTTP/1.1", b"ok", LENGTH, False),
        (OK + b"Content-Length: 2\r\n\r\nok!", "GET / HTTP/1.1", b"ok", LENGTH, False),
        (OK + b"Content-Length: 0\r\n\r\n!", "GET / HTTP/1.1", b"", LENGTH, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET / HTTP/1.1", b"ok", LENGTH, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", "GET / HTTP/1.1", b"ok", LENGTH,
         True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET / HTTP/1.1", b"ok", UNKNOWN_LENGTH, True),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1", b"",
         UNKNOWN_LENGTH, False),
        (OK + b"Content-Length: 9\r\n\r\n", "HEAD / HTTP/1.1", b"", NO_BODY, True),
        (OK + b"Content-Length: 2\r\n\r\nok", "HEAD / HTTP/1.1", b"", NO_BODY, False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", "HEAD / HTTP/1.1", b"", NO_BODY, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET / HTTP/1.1", b"", NO_BODY, True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "GET / HTTP/1.1", b"", NO_BODY, False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET / HTTP/1.1", b"", NO_BODY, True),
    ],
)  # fmt: skip
def test_bodies_and_the_connection_after_them(
    reply: bytes, line: str, body: bytes, framing: int, is_kept: bool, deadline: Deadline
) -> None:
    answer, got, kept = answered(deadline, reply, line)
    assert (got, answer.framing, kept) == (body, framing, is_kept)


@pytest.mark.parametrize(
    ("reply", "line", "length"),
    [
        (OK + b"Content-Length: 9\r\n\r\n", "HEAD / HTTP/1.1", b"\r\nContent-Length: 9\r\n"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET / HTTP/1.1", b"\r\nContent-Length: 9\r\n"),
    ],
)
def test_a_length_without_a_body_is_passed_on(reply: bytes, line: str, length: bytes, deadline: Deadline) -> None:
    assert length in answered(deadline, reply, line)[0].head


def test_no_length_on_204(deadline: Deadline) -> None:
    answer, _, _ = answered(deadline, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-Length" not in answer.head


def test_a_date_is_added_where_there_is_none(deadline: Deadline) -> None:
    assert answered(deadline, OK + b"Content-Length: 0\r\n\r\n")[0].head.count(b"\r\nDate: ") == 1
    dated = answered(deadline, OK + b"Date: then\r\nContent-Length: 0\r\n\r\n")[0].head
    assert b"\r\nDate: then\r\n" in dated and dated.count(b"Date: ") == 1


def test_interim_answers_are_passed_on_but_for_100(deadline: Deadline) -> None:
    reply = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    )
    with asked(deadline, reply) as (exchange, pool, interims):
        assert attempt(exchange, pool.members[0]).status == 200
        assert interims == [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"]


@pytest.mark.parametrize(("count", "passes"), [(MAX_INTERIM, True), (MAX_INTERIM + 1, False)])
def test_a_flood_of_interim_answers(count: int, passes: bool, deadline: Deadline) -> None:
    reply = b"HTTP/1.1 102 Processing\r\n\r\n" * count + OK + b"Content-Length: 0\r\n\r\n"
    with asked(deadline, reply) as (exchange, pool, _):
        if passes:
            assert attempt(exchange, pool.members[0]).status == 200
        else:
            with pytest.raises(AttemptError, match="bad_response"):
                attempt(exchange, pool.members[0])


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\nhello"


@pytest.mark.parametrize(
    ("wanted", "offered", "passes"),
    [(b"websocket", b"websocket", True), (b"websocket", b"WebSocket", True), (b"", b"websocket", False),
     (b"websocket", b"h2c", False), (b"websocket", b"", False)],
)  # fmt: skip
def test_a_tunnel_begins_only_with_what_we_asked_for(
    wanted: bytes, offered: bytes, passes: bool, deadline: Deadline
) -> None:
    with asked(deadline, SWITCH % offered, upgrade=wanted) as (exchange, pool, _):
        if not passes:
            with pytest.raises(AttemptError, match="bad_response"):
                attempt(exchange, pool.members[0])
            return
        answer = attempt(exchange, pool.members[0])
        assert answer.tunnel is not None
        assert (answer.first, pool.members[0].idle) == (b"hello", [])
        answer.tunnel.close()


def test_a_backend_that_answers_without_reading_is_heard(deadline: Deadline) -> None:
    """The rest of the body is not sent, and the connection not used again."""
    early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"

    def serve(connection: Connection) -> None:
        connection.reader.head()
        connection.send(early)
        connection.wait_for_end()

    with (
        fault_origin(serve) as origin,
        open_pool(*backends(origin.port)) as pool,
        request(deadline, "POST / HTTP/1.1", body=b"x", length=10_000_000) as exchange,
    ):
        exchange.total_at = exchange.started + 10
        exchange.member = pool.members[0]
        answer = attempt(exchange, pool.members[0])
        assert (answer.status, body_of(answer), pool.members[0].idle) == (413, b"no", [])


@pytest.mark.parametrize(
    "reply",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"X" * 70_000, b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"],
)
def test_what_is_no_answer_leaves_no_connection_open(reply: bytes, deadline: Deadline) -> None:
    with fault_origin(closing_after(reply)) as origin, open_pool(*backends(origin.port)) as pool:
        with request(deadline) as exchange:
            exchange.total_at = exchange.started + 10
            exchange.member = pool.members[0]
            with pytest.raises(AttemptError) as caught:
                attempt(exchange, pool.members[0])
            assert caught.value.answer.status == 502
            assert pool.members[0].idle == []
        assert origin.wait_until(lambda one: one.ended == 1)
