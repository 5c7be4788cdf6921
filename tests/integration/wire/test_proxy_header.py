"""Row 23: what comes before HTTP, or in its place: PROXY headers where they are wanted and where they are not, and junk."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.certificates import self_signed
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, exchange, request

V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([203, 0, 113, 9, 127, 0, 0, 1]) + b"\x12\x67\x01\xbb"
RAW = request("/", fields=["Connection: close"])
TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200))
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
JUNK = {
    "PROXY": (b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 443\r\n" + RAW, "traffic"),
    "PROXY v2": (V2 + RAW, "traffic"),
    "TLS": (TLS_HELLO, "traffic"),
    "HTTP/2": (H2_PREFACE, "traffic"),
    "bytes": (bytes(range(256)) * 4, "traffic"),
    "lines": (b"\r\n".join([b"*1", b"$4", b"PING", b"", b""]), "traffic"),
    "an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "traffic"),
    "half a head": (b"GET / HTTP/1.1\r\nHost: lb", "traffic"),
    "no PROXY": (RAW, "behind"),
    "half a PROXY": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n" + RAW, "behind"),
    "clear text for TLS": (RAW, "secure"),
}


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(answering()) as opened:
        yield opened


@pytest.fixture(scope="module")
def balancer(origin: FaultOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    cert, key = self_signed(tmp_path_factory.mktemp("certificate"), "lb.test")
    listeners = {
        "traffic": {},
        "behind": {"proxy_protocol": True, "timeouts": {"handshake": "1s"}},
        "secure": {"tls": {"cert": cert, "key": key}},
    }
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


def test_row_23_each_junk_connection_is_one_line_and_no_traceback(balancer: Balancer, origin: FaultOrigin) -> None:
    origin.requests.clear()
    told_before = balancer.log()
    senders = {name: f"127.3.0.{number}" for number, name in enumerate(JUNK, 1)}
    for name, (raw, listener) in JUNK.items():
        send(balancer.ports[listener], raw, senders[name])
    send(balancer.port, request("/after", fields=["Connection: close"]), "127.3.1.1")
    balancer.wait_for_access("/after")  # lines are written in the order of their ends
    lines = balancer.access_log()
    said = {name: [line["status"] for line in lines if line["client"] == sender] for name, sender in senders.items()}
    assert {name: len(statuses) for name, statuses in said.items()} == dict.fromkeys(JUNK, 1)
    assert {status for statuses in said.values() for status in statuses} <= {400, 501, 505}
    assert balancer.log() == told_before
    assert [one.target for one in origin.requests] == ["/after"]


def test_row_23_what_a_tls_listener_hangs_up_on_is_one_line_of_the_error_log(balancer: Balancer) -> None:
    """One a second at most, however many there are: who sends such bytes does not fill the disk."""
    lines_before = balancer.log().splitlines()
    began = time.monotonic()
    for number in range(1, 21):
        send(balancer.ports["secure"], b"\x00\x01\x02 no TLS at all", f"127.3.2.{number}")
    seconds = time.monotonic() - began
    send(balancer.port, request("/later", fields=["Connection: close"]), "127.3.1.2")
    balancer.wait_for_access("/later")
    told = balancer.log().splitlines()[len(lines_before) :]
    assert 1 <= len(told) <= 1 + seconds
    assert all(" listener=secure tls=" in line and "peer=127.3.2." in line for line in told)
    assert not [line for line in balancer.access_log() if line["client"].startswith("127.3.2.")]


def send(port: int, raw: bytes, source: str) -> None:
    """All of it and no more, and waits for the end."""
    with RawClient(port, source=source) as client:
        client.send(raw)
        client.half_close()
        assert client.receive(idle_s=10).is_closed


def test_no_traceback(balancer: Balancer) -> None:
    assert "Traceback" not in balancer.log()
