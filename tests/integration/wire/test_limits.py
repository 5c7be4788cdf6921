"""Rows 5, 17, 21, 30: what is too large, just before and just behind the line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, exchange, request

BODY_LIMIT = 1000
LINE_LIMIT = 8190
PER_CLIENT = 5


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(answering()) as opened:
        yield opened


@pytest.fixture(scope="module")
def balancer(origin: FaultOrigin) -> Iterator[Balancer]:
    capped = {"max_connections_per_client": PER_CLIENT}
    listeners = {
        "traffic": {"body_limit": BODY_LIMIT},
        "capped": capped,
        "capped_behind": {**capped, "proxy_protocol": True},
    }
    config = {**simple_config([origin.port]), "listeners": listeners}
    with running_balancer(config) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_seen(origin: FaultOrigin) -> None:
    origin.requests.clear()


def status(balancer: Balancer, raw: bytes) -> int:
    """Of the only answer, on a connection that must be closed after a refusal."""
    received = exchange(balancer.port, raw, idle_s=3)
    answer = received.answers(raw.split(b" ")[0].decode())[0]
    assert received.is_closed
    return answer.status


CLOSE = "Connection: close"
EMPTY_LINE = len("GET / HTTP/1.1")


@pytest.mark.parametrize(("size", "wanted"), [(LINE_LIMIT, 200), (LINE_LIMIT + 1, 414), (LINE_LIMIT * 20, 414)])
def test_row_21_the_request_line(balancer: Balancer, origin: FaultOrigin, size: int, wanted: int) -> None:
    assert status(balancer, request("/" + "a" * (size - EMPTY_LINE), fields=[CLOSE])) == wanted
    assert len(origin.requests) == (wanted == 200)


@pytest.mark.parametrize(("size", "wanted"), [(LINE_LIMIT, 200), (LINE_LIMIT + 1, 431), (70_000, 431)])
def test_row_21_a_field_line(balancer: Balancer, origin: FaultOrigin, size: int, wanted: int) -> None:
    assert status(balancer, request(fields=[CLOSE, "X-Long: ".ljust(size, "v")])) == wanted
    assert len(origin.requests) == (wanted == 200)


@pytest.mark.parametrize(("count", "wanted"), [(98, 200), (99, 431), (5000, 431)])
def test_row_21_the_number_of_fields(balancer: Balancer, origin: FaultOrigin, count: int, wanted: int) -> None:
    """With Host and Connection: 100 are taken."""
    assert status(balancer, request(fields=[CLOSE, *[f"X-{number}: v" for number in range(count)]])) == wanted
    assert len(origin.requests) == (wanted == 200)


@pytest.mark.parametrize(("count", "wanted"), [(7, 200), (9, 431)])
def test_row_21_all_fields_together(balancer: Balancer, count: int, wanted: int) -> None:
    """64 KiB of head, whatever each field takes."""
    assert (
        status(balancer, request(fields=[CLOSE, *[f"X-{number}: " + "v" * 8000 for number in range(count)]])) == wanted
    )


@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 2**31, 2**63 - 1, 2**63, 2**64 + 5, 10**390])
def test_row_05_a_length_over_the_limit_is_413_before_a_byte_is_read(
    balancer: Balancer, origin: FaultOrigin, length: int
) -> None:
    assert status(balancer, request(method="POST", fields=[f"Content-Length: {length}"])) == 413
    assert origin.requests == []


def test_row_05_chunks_over_the_limit_are_413_and_never_a_whole_request(
    balancer: Balancer, origin: FaultOrigin
) -> None:
    raw = request(method="POST", fields=["Transfer-Encoding: chunked"]) + b"1f4\r\n" + b"x" * 500 + b"\r\n"
    assert status(balancer, raw + b"1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n") == 413
    assert origin.complete() == []


def test_row_05_just_at_the_limit_is_fine(balancer: Balancer) -> None:
    assert status(balancer, request(method="POST", fields=[CLOSE], body=b"x" * BODY_LIMIT)) == 200
    chunked = request(method="POST", fields=[CLOSE, "Transfer-Encoding: chunked"])
    assert status(balancer, chunked + b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n") == 200


def test_row_17_a_body_that_is_too_large_is_refused_without_100(balancer: Balancer, origin: FaultOrigin) -> None:
    fields = ["Content-Length: 5000", "Expect: 100-continue"]
    with RawClient(balancer.port) as client:
        client.send(request(method="POST", fields=fields))
        received = client.receive(idle_s=3)
    assert (received.answer("POST").status, received.answer("POST").interim) == (413, [])
    assert received.is_closed
    assert origin.requests == []


def test_row_30_one_client_cannot_hold_all_connections(balancer: Balancer) -> None:
    hog, other = "127.4.0.1", "127.4.0.2"
    port = balancer.ports["capped"]
    with ExitStack() as held:
        clients = [held.enter_context(RawClient(port, source=hog)) for _ in range(PER_CLIENT)]
        for client in clients:
            client.send(request())
            assert client.receive_until(b"ok 0\n").answer().status == 200
        assert _first_status(port, hog) == 429
        assert _first_status(port, other) == 200
    deadline = time.monotonic() + 5
    while _first_status(port, hog) != 200:
        assert time.monotonic() < deadline


def test_row_30_behind_a_proxy_it_is_its_client_that_cannot(balancer: Balancer) -> None:
    hog, other = (b"PROXY TCP4 203.0.113.%d 127.0.0.1 4711 443\r\n" % last for last in (1, 2))
    port, proxy = balancer.ports["capped_behind"], "127.4.0.3"
    with ExitStack() as held:
        for header in (hog, other) * (PER_CLIENT - 1):
            client = held.enter_context(RawClient(port, source=proxy))
            client.send(header + request())
            assert client.receive_until(b"ok 0\n").answer().status == 200
        last = held.enter_context(RawClient(port, source=proxy))
        last.send(hog + request())
        assert last.receive_until(b"ok 0\n").answer().status == 200
        assert _first_status(port, proxy, hog) == 429
        assert _first_status(port, proxy, other) == 200
    deadline = time.monotonic() + 5
    while _first_status(port, proxy, hog) != 200:
        assert time.monotonic() < deadline


def _first_status(port: int, source: str, header: bytes = b"") -> int:
    with RawClient(port, source=source) as client:
        client.send_pieces([header + request(fields=[CLOSE])], 0.0)
        received = client.receive(idle_s=3)
    assert received.is_closed
    return received.answers()[0].status
