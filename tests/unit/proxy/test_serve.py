"""Requests on a client's connection: kept, pipelined, refused, left alone, and counted."""

from __future__ import annotations

import json
import re
import ssl
from dataclasses import replace
from typing import Any

import gevent
import pytest

from lb.model import Listener, ListenerTimeouts, PoolTimeouts
from lb.proxy import date
from lb.proxy.answer import Answer
from lb.proxy.deadlines import Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.front import MAX_IDLE_RUNNERS
from lb.proxy.local import local_answer
from lb.proxy.stream import Stream
from lb.state.layout import (
    W_ACCEPTED,
    W_CLOSED,
    W_HEAD_ERRORS,
    W_HEAD_TIMEOUTS,
    W_REFUSED,
    W_TLS_FAILED,
    W_UNDERSCORE_DROPPED,
)
from tests.support.behaviours import OK, answering, answering_then, repeating, stalling_after
from tests.support.fault_origin import Connection, fault_origin
from tests.support.raw_client import Answer as Heard
from tests.support.raw_client import parse_answers
from tests.support.scripted import cut, raw, read_all
from tests.unit.proxy.live import backends, inflight, open_pool
from tests.unit.proxy.serving import Served, local_route, pool_route, serving
from tests.unit.proxy.test_tls import NAME, Pair, certificate, everything

__all__ = ["certificate"]

HELLO = local_route("hello")
GET = b"GET / HTTP/1.1\r\nHost: lb.test\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n"


def heard(sock: Any, *methods: str) -> list[Heard]:
    """All answers until the balancer ends the connection."""
    return parse_answers(read_all(sock), methods or ("GET",), is_closed=True)


def statuses(sock: Any, count: int = 1) -> list[int]:
    return [answer.status for answer in heard(sock, *["GET"] * count)]


def one_answer(sock: Any) -> bytes:
    """Head and body of one answer of known length; the connection goes on."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"\r\nContent-Length: ([0-9]+)", head)
    assert found
    while len(body) < int(found[1]):
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def wait_until(claim: Any) -> None:
    with gevent.Timeout(5):
        while not claim():
            gevent.sleep(0.002)


def client_hello(certificate: Pair) -> bytes:
    """The first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificate.client().wrap_bio(incoming, outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def cell(served: Served, which: int) -> int:
    return served.worker_cells.counters[which]


# --- one after the other


def test_requests_one_after_the_other(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as client:
        for _ in range(3):
            client.sendall(GET)
            assert one_answer(client).endswith(b"\r\n\r\nhello")
        assert len(served.front.open) == 1
        assert [exchange.status for exchange in served.log.exchanges] == [200] * 3


def test_requests_at_once_are_answered_in_order(sweeper: Sweeper) -> None:
    with serving(sweeper, local_route("a", path="/a"), HELLO) as served, served.client() as client:
        client.sendall(GET + GET.replace(b"/ ", b"/a ", 1) + LAST)
        assert [answer.body for answer in heard(client, "GET", "GET", "GET")] == [b"hello", b"a", b"hello"]


@pytest.mark.parametrize("records", [1, 2])
def test_requests_at_once_over_tls(records: int, sweeper: Sweeper, hub: Any, certificate: Pair) -> None:
    """In one record or in two that arrive together: what is decrypted already is not waited for on the socket."""
    with serving(sweeper, HELLO) as served, served.client(served.entrance(tls=certificate.server())) as sock:
        client = Stream(raw(sock), hub)
        client.start_tls(certificate.client(), NAME)
        for record in [GET + LAST] if records == 1 else [GET, LAST]:
            client.send(record)
        assert [answer.status for answer in parse_answers(everything(client), ("GET", "GET"), is_closed=True)] == [
            200,
            200,
        ]
        client.close()


def test_a_byte_at_a_time(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as client:
        for at in range(len(LAST)):
            client.sendall(LAST[at : at + 1])
            gevent.sleep(0)
        assert statuses(client) == [200]


@pytest.mark.parametrize(
    ("line", "fields", "ends"),
    [("HTTP/1.1", "", False), ("HTTP/1.1", "Connection: close\r\n", True), ("HTTP/1.0", "", True),
     ("HTTP/1.0", "Connection: keep-alive\r\n", False)],
)  # fmt: skip
def test_which_connections_are_kept(line: str, fields: str, ends: bool, sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as client:
        client.sendall(f"GET / {line}\r\nHost: lb.test\r\n{fields}\r\n".encode())
        answer = one_answer(client)
        assert (b"\r\nConnection: close\r\n" in answer) is ends
        assert (b"\r\nConnection: keep-alive\r\n" in answer) is (line == "HTTP/1.0" and not ends)
        gevent.sleep(0.005)
        assert bool(served.front.open) is not ends


def test_a_refused_body_is_not_the_next_request(sweeper: Sweeper) -> None:
    """No route: the body is never asked for, and what it says is never done."""
    inner = b"GET /inner HTTP/1.1\r\nHost: lb.test\r\n\r\n"
    with serving(sweeper, local_route("inner", path="/inner")) as served, served.client() as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: lb.test\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner + LAST)
        assert statuses(client, 3) == [404, 404]


# --- what is no request


@pytest.mark.parametrize(
    ("junk", "status"),
    [
        (b"JUNK\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
    ],
)
def test_is_refused_and_the_connection_ends(junk: bytes, status: int, sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as client:
        client.sendall(junk)
        client.shutdown(1)
        assert statuses(client) == [status]
        assert cell(served, W_HEAD_ERRORS) == 1
        wait_until(lambda: served.log.exchanges)
        assert served.log.exchanges[0].status == status


@pytest.mark.parametrize(
    ("raw_head", "status"),
    [(b"HEAD / HTTP/1.1\r\n\r\n", 400), (b"HEAD / HTTP/1.1\r\nX: a\nb", 400), (b"\r\nHEAD /", 408)],
    ids=["whole", "broken", "slow"],
)
def test_a_refused_head_request_has_no_body_either(raw_head: bytes, status: int, sweeper: Sweeper) -> None:
    """RFC 9110 section 9.3.2, also where the rest of the head cannot be read."""
    with serving(sweeper, HELLO) as served, served.client(served.entrance(ListenerTimeouts(head_s=0.05))) as client:
        client.sendall(raw_head)
        data = read_all(client)
    (answer,) = parse_answers(data, ["HEAD"], is_closed=True)
    assert (answer.status, int(answer.value("content-length")) > 0) == (status, True)
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(("request_", "status"), [(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501), (GET, 404)])
def test_what_has_no_route(request_: bytes, status: int, sweeper: Sweeper) -> None:
    with serving(sweeper, local_route("x", path="/x")) as served, served.client() as client:
        client.sendall(request_)
        assert b"HTTP/1.1 %d " % status in one_answer(client)


def test_a_fault_of_ours_is_a_500_and_nobody_elses(sweeper: Sweeper, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Exchange) -> Answer:
        raise ZeroDivisionError

    with (
        serving(sweeper, local_route("broken", broken, path="/broken"), HELLO) as served,
        served.client() as client,
        served.client() as other,
    ):
        client.sendall(GET.replace(b"/ ", b"/broken ", 1))
        assert statuses(client) == [500]
        other.sendall(GET)
        assert b"hello" in one_answer(other)
    assert "ZeroDivisionError" in caplog.text


# --- connections that wait


def test_a_silent_connection_is_closed_without_a_word(sweeper: Sweeper) -> None:
    with (
        serving(sweeper, HELLO) as served,
        served.client(served.entrance(ListenerTimeouts(keep_alive_s=0.02))) as client,
    ):
        assert read_all(client) == b""
        wait_until(lambda: not served.front.open)
        assert (cell(served, W_ACCEPTED), cell(served, W_CLOSED)) == (1, 1)


def test_a_head_that_does_not_end_is_timed_from_its_first_byte(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client(served.entrance(ListenerTimeouts(head_s=0.03))) as client:
        gevent.sleep(0.04)
        client.sendall(GET[:20])
        assert statuses(client) == [408]
        assert cell(served, W_HEAD_TIMEOUTS) == 1


def test_waiting_connections_have_no_greenlet(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as one, served.client() as two, served.client():
        for client in (one, two, one):
            client.sendall(GET)
            one_answer(client)
        gevent.sleep(0)
        assert (len(served.front.open), len(served.front._idle)) == (3, 1)
        assert MAX_IDLE_RUNNERS > 1


def test_a_drain_lets_one_more_request_through(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as busy, served.client() as idle:
        gevent.sleep(0.01)
        served.is_draining = True
        served.front.drain(0.05)
        busy.sendall(GET)
        assert statuses(busy) == [200]
        assert read_all(idle) == b""


def test_a_drain_waits_no_longer_for_those_that_are_served_as_it_begins(sweeper: Sweeper) -> None:
    """Their answers had begun, and so do not say that the connection ends."""
    with serving(sweeper, HELLO) as served, served.client() as client:
        served.front.drain(0.02)
        client.sendall(GET)
        assert one_answer(client).startswith(b"HTTP/1.1 200")
        assert read_all(client) == b""


def test_idle_connections_follow_a_reload_that_keeps_them_less_long(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served:
        entrance = served.entrance(ListenerTimeouts(keep_alive_s=60.0))
        with served.client(entrance) as silent, served.client(entrance) as served_once:
            served_once.sendall(GET)
            one_answer(served_once)
            entrance.follow(Listener("traffic", "traffic", (), timeouts=ListenerTimeouts(keep_alive_s=0.01)))
            assert (read_all(silent), read_all(served_once)) == (b"", b"")


def test_a_listener_that_keeps_its_connections_longer_holds_back_nobody_elses(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served:
        other = replace(served.entrance(ListenerTimeouts(keep_alive_s=0.02)), id="other")
        with served.client(), served.client(other) as client:
            assert read_all(client) == b""
            assert len(served.front.open) == 1


# --- who may come in


def test_one_client_too_often(sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(date, "time", lambda: 1.0)
    with serving(sweeper, HELLO) as served:
        entrance = served.entrance(most=1)
        with served.client(entrance) as first, served.client(entrance) as second:
            (refused,) = heard(second)
            assert (refused.status, refused.value("retry-after"), refused.value("connection")) == (429, "1", "close")
            assert refused.value("date") == "Thu, 01 Jan 1970 00:00:01 GMT"
            (logged,) = served.log.exchanges
            assert (logged.status, logged.reason, logged.told_id.decode()) == (
                429,
                "too_many_connections",
                told_id(refused),
            )
            first.sendall(LAST)
            assert statuses(first) == [200]
            wait_until(lambda: not served.front.open)
            with served.client(entrance) as third:
                third.sendall(LAST)
                assert statuses(third) == [200]
        assert (cell(served, W_ACCEPTED), cell(served, W_REFUSED)) == (2, 1)


def told_id(refused: Heard) -> str:
    """In the body and in the fields."""
    found: str = json.loads(refused.body)["request_id"]
    assert refused.values("x-request-id") == [found]
    return found


def test_a_limit_that_comes_and_goes_counts_right(sweeper: Sweeper) -> None:
    """As reloads make it: connections opened under one limit end under another."""
    with serving(sweeper, HELLO) as served:
        entrance = served.entrance(most=2)
        with served.client(entrance), served.client(entrance):
            entrance.max_per_client = None
            with served.client(entrance):
                assert len(served.front.open) == 3
        wait_until(lambda: not served.front.open)
        entrance.max_per_client = 1
        with served.client(entrance) as only, served.client(entrance) as other:
            assert statuses(other) == [429]
            only.sendall(LAST)
            assert statuses(only) == [200]


def test_another_listener_has_a_limit_of_its_own(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served:
        free, limited = served.entrance(), served.entrance(most=1)
        limited.id = "limited"
        with served.client(free), served.client(free), served.client(limited) as only:
            only.sendall(LAST)
            assert statuses(only) == [200]


def test_another_client_is_another(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served:
        entrance = served.entrance(most=1)
        with served.client(entrance, b"192.0.2.1"), served.client(entrance, b"192.0.2.2") as second:
            second.sendall(LAST)
            assert statuses(second) == [200]


def test_a_proxy_header_says_who_it_is(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client(served.entrance(proxy_protocol=True)) as client:
        client.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 5555 80\r\n" + LAST)
        assert statuses(client) == [200]
        wait_until(lambda: served.log.exchanges)
        assert served.log.exchanges[0].caller.address == b"203.0.113.9"


@pytest.mark.parametrize("is_tls", [False, True])
def test_behind_a_proxy_header_its_client_is_counted_and_not_the_proxy(
    is_tls: bool, sweeper: Sweeper, certificate: Pair
) -> None:
    one, other = (b"PROXY TCP4 203.0.113.%d 192.0.2.1 5555 80\r\n" % last for last in (9, 10))
    with serving(sweeper, HELLO) as served:
        entrance = served.entrance(proxy_protocol=True, most=1, tls=certificate.server() if is_tls else None)
        with served.client(entrance) as first, served.client(entrance) as second, served.client(entrance) as third:
            first.sendall(one)
            wait_until(lambda: served.front._of_client)
            second.sendall(one + GET)
            answered = [] if is_tls else [429]
            assert statuses(second) == answered
            third.sendall(other)
            wait_until(lambda: len(served.front._of_client) == 2)
            wait_until(lambda: [exchange.status for exchange in served.log.exchanges] == answered)
        wait_until(lambda: not served.front.open)
        assert not served.front._of_client
        assert (cell(served, W_ACCEPTED), cell(served, W_CLOSED), cell(served, W_REFUSED)) == (3, 3, 1)


def test_without_its_proxy_header_nobody_is_served(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client(served.entrance(proxy_protocol=True)) as client:
        client.sendall(GET)
        assert statuses(client) == [400]


def test_what_is_no_tls_is_dropped_and_counted(sweeper: Sweeper, certificate: Pair) -> None:
    with serving(sweeper, HELLO) as served, served.client(served.entrance(tls=certificate.server())) as client:
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        wait_until(lambda: cell(served, W_TLS_FAILED) == 1)
        wait_until(lambda: not served.front.open)
        assert served.log.exchanges == []


@pytest.mark.parametrize("sent", [GET, b"OPTIONS * HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
@pytest.mark.parametrize("pieces", [1, 3], ids=["at-once", "in-pieces"])
def test_a_request_in_clear_text_where_tls_is_spoken_is_told_so(
    pieces: int, sent: bytes, sweeper: Sweeper, certificate: Pair
) -> None:
    with serving(sweeper, HELLO) as served, served.client(served.entrance(tls=certificate.server())) as client:
        for piece in cut(sent, range(1, pieces)):
            client.sendall(piece)
            gevent.sleep(0.01)
        (answer,) = heard(client)
        assert (answer.status, json.loads(answer.body)["reason"]) == (400, "not_tls")
        wait_until(lambda: not served.front.open)
        assert [(one.status, one.reason) for one in served.log.exchanges] == [(400, "not_tls")]
        assert cell(served, W_TLS_FAILED) == 1


def test_a_bad_proxy_header_where_tls_is_spoken_is_told_so(
    sweeper: Sweeper, certificate: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(sweeper, HELLO) as served:
        entrance = served.entrance(tls=certificate.server(), proxy_protocol=True)
        with served.client(entrance) as client:
            client.sendall(GET)
            assert statuses(client) == [400]
    assert "Traceback" not in caplog.text


def test_a_tls_hello_is_never_taken_for_clear_text(sweeper: Sweeper, hub: Any, certificate: Pair) -> None:
    """However it is cut."""
    hello = client_hello(certificate)
    assert hello[0] == 22
    with serving(sweeper, HELLO) as served, served.client(served.entrance(tls=certificate.server())) as client:
        for piece in cut(hello, (1, 2, 5, 40)):
            client.sendall(piece)
            gevent.sleep(0.01)
        assert client.recv(1) == b"\x16", "the server's own hello"


# --- with a backend


def test_a_client_that_leaves_ends_the_backends_work(sweeper: Sweeper) -> None:
    with (
        fault_origin(stalling_after()) as origin,
        open_pool(*backends(origin.port)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client(served.entrance(ListenerTimeouts(half_close_s=0.01))) as client,
    ):
        client.sendall(GET)
        wait_until(lambda: origin.requests)
        assert inflight(pool) == 1
        client.close()
        wait_until(lambda: served.log.exchanges)
        (exchange,) = served.log.exchanges
        assert (exchange.status, exchange.reason, inflight(pool)) == (499, "client_gone", 0)
        assert origin.wait_until(lambda one: one.ended == 1)


def test_a_client_that_has_only_said_all_it_wanted_is_answered(sweeper: Sweeper) -> None:
    with (
        fault_origin(answering(OK, delay_s=0.02)) as origin,
        open_pool(*backends(origin.port)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client() as client,
    ):
        client.sendall(GET)
        client.shutdown(1)
        assert statuses(client) == [200]


def test_half_an_answer_never_looks_whole(sweeper: Sweeper) -> None:
    part = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"
    with (
        fault_origin(answering_then(part)) as origin,
        open_pool(*backends(origin.port)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client() as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: lb.test\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(client)
        wait_until(lambda: served.log.exchanges)
        assert (served.log.exchanges[0].reason, inflight(pool)) == ("upstream_truncated", 0)


def test_a_client_that_does_not_read_is_cut_off_and_frees_its_backend(sweeper: Sweeper) -> None:
    endless = repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b"x" * 1000)
    with (
        fault_origin(endless) as origin,
        open_pool(*backends(origin.port)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client(served.entrance(ListenerTimeouts(write_s=0.05))) as client,
    ):
        client.sendall(GET)
        wait_until(lambda: served.log.exchanges)
        assert (served.log.exchanges[0].reason, inflight(pool)) == ("client_gone", 0)
        assert origin.wait_until(lambda one: one.ended == 1)


def test_a_big_local_answer_to_one_who_does_not_read_is_logged_as_what_it_was(sweeper: Sweeper) -> None:
    def big(_: Exchange) -> Answer:
        return local_answer(200, "text/plain", bytes(20_000_000))

    with (
        serving(sweeper, local_route("big", big)) as served,
        served.client(served.entrance(ListenerTimeouts(write_s=0.05))) as client,
    ):
        client.sendall(GET)
        wait_until(lambda: served.log.exchanges)
        assert served.log.exchanges[0].reason == "client_gone"


def test_a_body_streams_through(sweeper: Sweeper) -> None:
    body = bytes(range(256)) * 8000

    def serve(connection: Connection) -> None:
        got = connection.request().body
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(got), got)
        connection.wait_for_end()

    with (
        fault_origin(serve) as origin,
        open_pool(*backends(origin.port), timeouts=PoolTimeouts(idle_s=5)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client() as client,
    ):
        head = b"PUT / HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(body) // 8, body[i::8]) for i in range(8))
        writer = gevent.spawn(client.sendall, head + chunks + b"0\r\n\r\n")
        (answer,) = heard(client, "PUT")
        writer.get()
        client.close()
        assert answer.body == b"".join(body[i::8] for i in range(8))
        wait_until(lambda: served.log.exchanges)
        assert (served.log.exchanges[0].bytes_in, served.log.exchanges[0].bytes_out) == (len(body), len(body))


def test_underscored_fields_and_trailers_are_counted(sweeper: Sweeper) -> None:
    with (
        fault_origin(answering(OK)) as origin,
        open_pool(*backends(origin.port)) as pool,
        serving(sweeper, pool_route(pool)) as served,
        served.client() as client,
    ):
        head = b"POST / HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\nX_A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head + b"1\r\nx\r\n0\r\nX_B: 1\r\nX-C: 1\r\nx_d: 1\r\n\r\n")
        assert statuses(client) == [200]
        wait_until(lambda: served.log.exchanges)
        assert cell(served, W_UNDERSCORE_DROPPED) == 3


def test_an_idle_connection_forgets_a_large_head_and_remembers_a_usual_one(sweeper: Sweeper) -> None:
    with serving(sweeper, HELLO) as served, served.client() as client:
        for fill, is_kept in ((b"", True), (b"".join(b"X-%d: %b\r\n" % (i, b"y" * 4000) for i in range(10)), False)):
            client.sendall(b"GET / HTTP/1.1\r\nHost: lb.test\r\n" + fill + b"\r\n")
            assert one_answer(client).startswith(b"HTTP/1.1 200")
            (idle,) = served.front.open
            wait_until(lambda: idle.is_parked)  # noqa: B023
            assert (idle.fields is not None) is is_kept
