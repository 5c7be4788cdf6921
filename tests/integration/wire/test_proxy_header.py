"""Row 23: a listener that wants a PROXY header, and one that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, exchange, request

V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([203, 0, 113, 9, 127, 0, 0, 1]) + b"\x12\x67\x01\xbb"
RAW = request("/", fields=["Connection: close"])


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(answering()) as opened:
        yield opened


@pytest.fixture(scope="module")
def balancer(origin: FaultOrigin) -> Iterator[Balancer]:
    listeners = {"traffic": {}, "behind": {"proxy_protocol": True, "timeouts": {"handshake": "1s"}}}
    with running_balancer({**simple_config([origin.port]), "listeners": listeners}) as running:
        yield running


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 443\r\n", "203.0.113.9"),
        (b"PROXY TCP6 2001:db8::9 ::1 4711 443\r\n", "2001:db8::9"),
        (V2, "203.0.113.9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_row_23_the_client_is_who_the_header_says(
    balancer: Balancer, origin: FaultOrigin, header: bytes, address: str, step: int
) -> None:
    origin.requests.clear()
    whole = header + RAW
    with RawClient(balancer.ports["behind"]) as client:
        client.send_pieces([whole[at : at + step] for at in range(0, len(whole), step)], 0.0005)
        assert client.receive(idle_s=5).answer().status == 200
    assert origin.requests[0].values("x-forwarded-for") == [address]


@pytest.mark.parametrize(
    "start", [b"", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", b"PROXY TCP4 1.2.3.4 ", V2[:20], b"\r\n\r\n"]
)
def test_row_23_without_a_good_header_nothing_is_served(balancer: Balancer, origin: FaultOrigin, start: bytes) -> None:
    origin.requests.clear()
    received = exchange(balancer.ports["behind"], start + (RAW if start != b"PROXY TCP4 1.2.3.4 " else b""), idle_s=5)
    assert received.is_closed
    assert b" 200 " not in received.data
    assert origin.requests == []


@pytest.mark.parametrize("header", [b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 443\r\n", V2])
def test_row_23_a_header_nobody_asked_for_is_400(balancer: Balancer, origin: FaultOrigin, header: bytes) -> None:
    origin.requests.clear()
    received = exchange(balancer.port, header + RAW, idle_s=5)
    assert received.answers()[0].status == 400
    assert received.is_closed
    assert origin.requests == []


def test_no_traceback(balancer: Balancer) -> None:
    assert "Traceback" not in balancer.log()
