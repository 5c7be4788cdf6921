"""Clients that leave at awkward moments: nothing they held stays held, and no backend is blamed for it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering, stalling_after
from tests.support.fault_origin import Connection, FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, request
from tests.support.waiting import wait_for

GET = b"GET /x HTTP/1.1\r\nHost: lb.test\r\n\r\n"


@pytest.fixture
def origins() -> Iterator[tuple[FaultOrigin, FaultOrigin]]:
    with fault_origin() as one, fault_origin() as two:
        yield one, two


@pytest.fixture
def balancer(origins: tuple[FaultOrigin, FaultOrigin]) -> Iterator[Balancer]:
    with running_balancer(simple_config([one.port for one in origins], policy="round_robin")) as running:
        yield running


def connected(balancer: Balancer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", balancer.port), 5)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_clients_that_reset_after_100_continue_cost_no_backend_its_place(
    balancer: Balancer, origins: tuple[FaultOrigin, FaultOrigin]
) -> None:
    for origin in origins:
        origin.serve(answering())
    for _ in range(20):
        sock = connected(balancer)
        sock.sendall(b"POST /gone HTTP/1.1\r\nHost: lb.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        reset(sock)
    assert balancer.wait_for_access("/gone")["status"] in (400, 499)
    before = [len(origin.complete()) for origin in origins]
    for _ in range(20):
        with RawClient(balancer.port) as client:
            client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert client.receive(idle_s=5).answer().status == 200
    shares = [len(origin.complete()) - count for origin, count in zip(origins, before, strict=True)]
    assert min(shares) >= 5, shares


def test_a_client_that_left_is_noticed_behind_bytes_nobody_has_read(
    balancer: Balancer, origins: tuple[FaultOrigin, FaultOrigin]
) -> None:
    """The backend's request is given up long before its answer could come."""
    for origin in origins:
        origin.serve(stalling_after())
    sock = connected(balancer)
    sock.sendall(GET)
    wait_for("the request", lambda: any(origin.requests for origin in origins))
    sock.sendall(b"G")
    sock.close()
    wait_for("the end of the backend's request", lambda: any(origin.ended for origin in origins))


def test_a_half_close_while_the_answer_streams_cuts_nothing(
    balancer: Balancer, origins: tuple[FaultOrigin, FaultOrigin]
) -> None:
    def slow(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        connection.dribble(b"0123456789", 0.15)

    for origin in origins:
        origin.serve(slow)
    with RawClient(balancer.port) as client:
        client.send(request("/x"))
        begun = client.receive_until(b"0")
        client.half_close()
        rest = client.receive(idle_s=5)
    assert (begun.data + rest.data).endswith(b"\r\n\r\n0123456789")
