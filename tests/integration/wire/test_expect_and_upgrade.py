"""Rows 13, 17, 18 and fact 13: expectations, tunnels, and methods that must not open one."""

from __future__ import annotations

import pytest

from tests.integration.wire.conftest import Lane
from tests.support.behaviours import OK, answering, closing_after, echoing_websocket
from tests.support.raw_client import RawClient, request

HANDSHAKE = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def test_row_17_a_client_that_waits_gets_one_100_and_then_its_answer(lane: Lane) -> None:
    lane.serve(answering())
    head = request(lane.path, method="POST", fields=["Content-Length: 5", "Expect: 100-continue", "Connection: close"])
    with RawClient(lane.balancer.port) as client:
        client.send(head)
        first = client.receive_until(b"\r\n\r\n").data
        assert first.startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        rest = client.receive(idle_s=5)
    assert rest.answer("POST").body == b"ok 5\n"
    assert rest.data.count(b"HTTP/1.1 100") == 0


def test_row_17_a_refused_request_is_refused_without_100(worker_lane: Lane) -> None:
    """No backend, so nobody reads the body: a 100 would make the client send it for nothing."""
    lane = worker_lane
    head = request(lane.path + "/", method="POST", fields=["Content-Length: 5", "Expect: 100-continue"])
    with RawClient(lane.balancer.port) as client:
        client.send(head)
        received = client.receive(idle_s=1)
    assert received.answer("POST").interim == []
    assert received.answer("POST").status == 503


def test_row_17_expectations_do_not_reach_the_backend_twice(lane: Lane) -> None:
    lane.serve(answering())
    lane.get("/expect", method="POST", body=b"hello", fields=["Expect: 100-continue"])
    seen = lane.complete()
    assert [one.body for one in seen] == [b"hello"]


def test_row_18_a_websocket_is_a_tunnel_both_ways(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.serve(echoing_websocket())
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path + "/ws", fields=HANDSHAKE) + b"early")
        received = client.receive_until(b"early").data
        assert received.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in received
        for piece in (b"\x81\x05hello", bytes(range(256)), b"x" * 300_000):
            client.send(piece)
            echoed = b""
            while len(echoed) < len(piece):
                echoed += client.sock.recv(65536)
            assert echoed == piece
        client.half_close()
        assert client.receive(idle_s=5).is_closed
    origin = lane.first if lane.first.requests else lane.second
    seen = origin.requests[0]
    assert seen.value("upgrade").lower() == "websocket"
    assert seen.value("connection").lower() == "upgrade"
    assert origin.wait_until(lambda one: one.ended == one.connections)


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden", b"426 Upgrade Required"])
def test_row_18_a_refused_websocket_is_a_plain_answer_and_no_tunnel(worker_lane: Lane, status: bytes) -> None:
    lane = worker_lane
    lane.serve(answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok"))
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path + "/ws", fields=HANDSHAKE) + request(lane.path + "/next"))
        received = client.receive(idle_s=1)
    assert [one.status for one in received.answers("GET", "GET")] == [int(status[:3])] * 2
    assert all(one.target.startswith(lane.path) for one in lane.requests)


def test_row_18_a_101_for_another_protocol_is_502(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.serve(closing_after(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + OK))
    received = lane.exchange("/ws", fields=[*HANDSHAKE[1:], "Connection: Upgrade"])
    assert received.answer().status == 502


@pytest.mark.parametrize(
    "fields",
    [
        ["Upgrade: websocket"],
        ["Connection: Upgrade", "Upgrade: h2c"],
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
        ["Connection: Upgrade", "Upgrade: TLS/1.0"],
    ],
)
def test_row_18_every_other_upgrade_is_dropped(lane: Lane, fields: list[str]) -> None:
    lane.serve(answering())
    assert lane.get("/", fields=fields).status == 200
    seen = lane.complete()[0]
    assert seen.values("upgrade") == seen.values("http2-settings") == []


def test_row_18_a_websocket_in_1_0_is_none(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.serve(answering())
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path + "/ws", fields=HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert client.receive(idle_s=2).answer().status == 200
    assert lane.complete()[0].values("upgrade") == []


@pytest.mark.parametrize("line", [b"CONNECT lb.test:443", b"CONNECT /", b"TRACE /"])
def test_row_13_connect_and_trace_are_405(lane: Lane, line: bytes) -> None:
    lane.serve(answering())
    with RawClient(lane.balancer.port) as client:
        client.send(line + b" HTTP/1.1\r\nHost: lb.test\r\n\r\n")
        received = client.receive(idle_s=2)
    assert received.answer().status == 405
    assert "GET" in received.answer().value("allow")
    assert received.is_closed or not line.startswith(b"CONNECT")
    assert lane.requests == []
