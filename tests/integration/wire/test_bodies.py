"""Rows 6, 15, 16, 22, 79: bodies and trailers through the balancer, exact, bounded and in order."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.wire.conftest import FIRST_BYTE_S, SLACK_S, Lane
from tests.support.behaviours import answering, plain
from tests.support.fault_origin import Behaviour, Connection
from tests.support.raw_client import RawClient, request
from tests.support.scale import MIB


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH"])
def test_row_06_any_method_may_have_a_body_and_it_arrives_exactly(lane: Lane, method: str) -> None:
    lane.serve(answering())
    inner = b"GET /smuggled HTTP/1.1\r\nHost: lb.test\r\n\r\n"
    assert lane.get(method=method, body=inner).status == 200
    assert [(one.method, one.body) for one in lane.complete()] == [(method, inner)]


def test_row_15_chunks_arrive_whole_however_they_are_cut(lane: Lane) -> None:
    lane.serve(answering())
    rng = random.Random(15)
    body = rng.randbytes(20_000)
    wire = chunks(*[body[at : at + 700] for at in range(0, len(body), 700)]) + b"0\r\n\r\n"
    raw = request(lane.path, method="POST", fields=["Transfer-Encoding: chunked", "Connection: close"]) + wire
    with RawClient(lane.balancer.port) as client:
        cuts = sorted(rng.sample(range(len(raw)), 40))
        client.send_pieces([raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)], 0.001)
        assert client.receive(idle_s=5).answer("POST").status == 200
    assert [one.body for one in lane.complete()] == [body]


def test_row_15_a_bad_chunk_late_in_a_body_aborts_the_backends_request(lane: Lane) -> None:
    lane.serve(answering())
    raw = request(lane.path, method="POST", fields=["Transfer-Encoding: chunked"]) + chunks(b"x" * 100_000)
    with RawClient(lane.balancer.port) as client:
        client.send(raw)
        assert lane.first.wait_until(lambda origin: bool(origin.requests))
        client.send(b"5 \r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: lb.test\r\n\r\n")
        received = client.receive(idle_s=5)
    assert received.is_closed
    assert received.answers("POST")[0].status == 400
    assert lane.is_free_within(SLACK_S)
    assert lane.complete() == []


def test_row_16_trailers_pass_both_ways(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.serve(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: down\r\n\r\n"))
    fields = ["Transfer-Encoding: chunked", "TE: trailers", "Connection: TE, close"]
    raw = request(lane.path, method="POST", fields=fields) + chunks(b"hello") + b"0\r\nX-Sum: up\r\n\r\n"
    with RawClient(lane.balancer.port) as client:
        client.send(raw)
        answer = client.receive(idle_s=5).answer("POST")
    assert answer.trailers == [("x-sum", "down")]
    assert [one.trailers for one in lane.complete()] == [[("x-sum", "up")]]
    assert "x-sum" not in dict(lane.complete()[0].fields)


@pytest.mark.parametrize("name", ["Transfer-Encoding", "Content-Length", "Host", "Authorization", "X-Forwarded-For"])
def test_row_16_trailers_that_would_be_believed_are_refused_or_dropped(worker_lane: Lane, name: str) -> None:
    lane = worker_lane
    lane.serve(
        answering(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{name}: 1\r\n\r\n".encode())
    )
    assert lane.get().trailers == []
    raw = request(lane.path, method="POST", fields=["Transfer-Encoding: chunked"]) + chunks(b"hello")
    with RawClient(lane.balancer.port) as client:
        client.send(raw + f"0\r\n{name}: 1\r\n\r\n".encode())
        received = client.receive(idle_s=5)
    assert (received.answer("POST").status, received.is_closed) == (400, True)
    assert [one.method for one in lane.complete()] == ["GET"]


def test_row_22_pipelined_requests_are_answered_in_order_and_the_bad_one_ends_it(lane: Lane) -> None:
    lane.serve(answering(lambda one: plain(one)[:-3] + one.target[-2:].encode() + b"\n"))
    raw = b"".join(request(f"{lane.path}/{number}") for number in range(10, 20))
    with RawClient(lane.balancer.port) as client:
        client.send(raw + b"BAD REQUEST LINE\r\n\r\n" + request(f"{lane.path}/99"))
        received = client.receive(idle_s=5)
    answers = received.answers(*["GET"] * 12)
    assert [one.body[-3:-1].decode() for one in answers[:10]] == [str(number) for number in range(10, 20)]
    assert [one.status for one in answers[10:]] == [400]
    assert received.is_closed
    assert len(lane.complete()) == 10


def test_row_22_1_0_is_answered_in_its_own_way(lane: Lane) -> None:
    """Keep-alive only when asked for, and never chunked."""
    lane.serve(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    with RawClient(lane.balancer.port) as client:
        client.send(f"GET {lane.path} HTTP/1.0\r\nHost: lb.test\r\n\r\n".encode())
        received = client.receive(idle_s=5)
    head, _, body = received.data.partition(b"\r\n\r\n")
    assert (body, received.is_closed) == (b"ok", True)
    assert b"transfer-encoding" not in head.lower()


def test_an_upload_may_take_longer_than_the_backend_has_for_its_first_byte(lane: Lane) -> None:
    """What the client takes to send is not the backend's fault."""
    lane.serve(answering())
    pieces = [b"x" * 64 * 1024] * 15
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path, method="POST", fields=[f"Content-Length: {len(b''.join(pieces))}"]))
        client.send_pieces(pieces, FIRST_BYTE_S / 5)
        assert client.receive_until(b"ok").answer("POST").status == 200


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_row_79_a_large_upload_streams_in_constant_memory(lane: Lane, is_chunked: bool) -> None:
    size = lane.stream_bytes(is_chunked=is_chunked)
    lane.serve(counting(size, is_chunked=is_chunked))
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
    piece = chunks(b"x" * MIB) if is_chunked else b"x" * MIB
    with RawClient(lane.balancer.port) as client, ThreadPoolExecutor(1) as reader:
        client.send(request(lane.path, method="POST", fields=["Connection: close", framing]))
        received = reader.submit(client.receive, 60.0, 60.0)
        client.send(piece)
        with lane.balancer.growing_less_than(40 * MIB):
            for _ in range(size // MIB - 1):
                client.sock.settimeout(20)
                client.send(piece)
            client.send(b"0\r\n\r\n" if is_chunked else b"")
            assert received.result().answer("POST").status == 200


def counting(size: int, *, is_chunked: bool) -> Behaviour:
    """Takes a body of this size, or in chunks, without keeping it: the test's own memory is not the question."""

    def serve(connection: Connection) -> None:
        connection.reader.head()
        took, end = len(connection.reader.buffer), connection.reader.buffer[-5:]
        while end != b"0\r\n\r\n" if is_chunked else took < size:
            data = connection.sock.recv(MIB)
            if not data:
                return
            took, end = took + len(data), (end + data[-5:])[-5:]
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return serve
