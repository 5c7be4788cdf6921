"""Rows 25 to 31 where the connections are a stock gunicorn's: what its timers and ours make of slow clients.

``docs/reliability.md`` says for each row what differs from our own worker.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.integration.wire.conftest import SLACK_S
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import LONG_HEAD, answering, repeating, stalling_after
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, get, request
from tests.support.scale import MIB
from tests.support.settings.impatient_wsgi import PIECE_TIMEOUT_S, WRITE_S
from tests.support.waiting import wait_for

GUNICORN = (sys.executable, "-m", "gunicorn", "-c", "python:tests.support.settings.impatient_wsgi")
KEEP_ALIVE_S = 2.0
"""gunicorn's own: between two requests, and for a head."""
FIRST_BYTE_S = 1.0
LATE_S = 0.8
"""Longer than any listener's ``half_close``, which a WSGI application never hears of."""
BEHAVIOURS = {
    "quick": answering(),
    "late": answering(delay_s=LATE_S),
    "silent": stalling_after(),
    "endless": repeating(LONG_HEAD.replace(b"1000000", b"9" * 12), b"x" * 65536),
}
IDLE_CLIENTS = 1_200
"""More than the 1,000 that a stock worker serves at a time."""

Leave = Callable[[RawClient], None]


@dataclass
class Stock:
    balancer: Balancer
    origins: dict[str, FaultOrigin]

    @property
    def port(self) -> int:
        return self.balancer.port


@pytest.fixture(scope="module")
def stock() -> Iterator[Stock]:
    """A pool for each behaviour, below its name."""
    with ExitStack() as stack:
        origins = {name: stack.enter_context(fault_origin(behave)) for name, behave in BEHAVIOURS.items()}
        timeouts = {"first_byte": f"{FIRST_BYTE_S:g}s"}
        pools = {name: simple_config([one.port], timeouts=timeouts)["pools"]["web"] for name, one in origins.items()}
        config = {"pools": pools, "routes": [{"path": f"/{name}", "pool": name} for name in pools]}
        yield Stock(stack.enter_context(running_balancer(config, "wsgi", gunicorn=GUNICORN)), origins)


@pytest.mark.parametrize("sent", [b"", b"GET /quick HTTP/1.1\r\nHost: lb.t"], ids=["nothing", "half a head"])
def test_row_25_the_server_ends_what_sends_no_head_without_a_word(stock: Stock, sent: bytes) -> None:
    with RawClient(stock.port) as client, ThreadPoolExecutor(1) as sender:
        sender.submit(client.send_pieces, [bytes((byte,)) for byte in sent], 0.08)
        received = client.receive(idle_s=10)
    assert (received.data, received.is_closed) == (b"", True)
    assert KEEP_ALIVE_S * 0.9 < received.elapsed_s < KEEP_ALIVE_S + SLACK_S


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_row_26_the_server_s_connection_ends_behind_the_408_too(stock: Stock, framing: str) -> None:
    """The application has no connection to close, but tells the server to, and ends what is read from it."""
    origin = stock.origins["quick"]
    whole = len(origin.complete())
    with RawClient(stock.port) as client:
        client.send(request("/quick", method="POST", fields=[framing]) + b"5\r\nhello\r\n")
        received = client.receive(idle_s=10)
    answer = received.answer("POST")
    assert (answer.status, answer.values("connection")) == (408, ["close"])
    assert (received.is_closed, received.was_reset) == (True, False)
    assert PIECE_TIMEOUT_S * 0.9 < received.elapsed_s < PIECE_TIMEOUT_S + SLACK_S
    assert origin.wait_until(lambda one: len(one.complete()) == whole)
    assert wait_for("nothing in flight", lambda: stock.balancer.inflight() == 0)
    assert len(origin.complete()) == whole


@pytest.mark.parametrize("leaves", [True, False])
def test_row_27_an_answer_nobody_reads_takes_no_memory_and_frees_its_backend(stock: Stock, leaves: bool) -> None:
    """When the client leaves, or has not read for ``timeouts.write``."""
    origin, path = stock.origins["endless"], f"/endless/{leaves}"
    ended = origin.ended
    with ExitStack() as held:
        with stock.balancer.growing_less_than(8 * MIB):
            client = held.enter_context(RawClient(stock.port, receive_buffer_bytes=1024))
            client.send(request(path))
            assert origin.wait_until(lambda one: bool(one.requests))
            assert [get(stock.port, "/quick").status for _ in range(50)] == [200] * 50
            assert origin.ended == ended
        if leaves:
            held.close()
        assert origin.wait_until(lambda one: one.ended > ended, WRITE_S + SLACK_S)
        line = stock.balancer.wait_for_access(path)
    assert (line["status"], line["reason"]) == (200, "client_gone")
    assert stock.balancer.inflight() == 0


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.half_close, RawClient.reset])
def test_row_29_what_a_client_left_behind_is_over_with_the_pools_timeout(stock: Stock, leave: Leave) -> None:
    """No WSGI server says that a client has left; its backend is free again when its time is up."""
    origin, path = stock.origins["silent"], f"/silent/{leave.__name__}"
    seen, ended = len(origin.requests), origin.ended
    with RawClient(stock.port) as client:
        client.send(request(path))
        assert origin.wait_until(lambda one: len(one.requests) > seen)
        leave(client)
        assert origin.wait_until(lambda one: one.ended > ended, FIRST_BYTE_S + SLACK_S)
    assert wait_for("nothing in flight", lambda: stock.balancer.inflight() == 0)
    assert stock.balancer.wait_for_access(path)["reason"] == "backend_timeout"


def test_row_30_more_idle_connections_than_a_stock_worker_serves_hold_nobody_for_long(stock: Stock) -> None:
    with ExitStack() as held:
        for number in range(IDLE_CLIENTS):
            client = held.enter_context(RawClient(stock.port))
            if number % 2:
                client.send(b"GET /")
        started = time.monotonic()
        assert get(stock.port, "/quick").status == 200
        assert time.monotonic() - started < KEEP_ALIVE_S + SLACK_S
    assert get(stock.port, "/quick").status == 200


def test_row_31_a_half_closed_client_gets_its_answer_however_late(stock: Stock) -> None:
    with RawClient(stock.port) as client:
        client.send(request("/late"))
        client.half_close()
        received = client.receive(idle_s=10)
    assert (received.answer().status, received.answer().body) == (200, b"ok 0\n")
    assert received.elapsed_s >= LATE_S * 0.9
    assert (received.is_closed, received.was_reset) == (True, False)


def test_a_refusal_reaches_a_client_that_still_sends_what_nobody_wants(stock: Stock) -> None:
    """More than both kernels keep: unless it is read, the connection's end is a reset that overtakes the answer."""
    with RawClient(stock.port) as client:
        client.send(request("/quick", method="BREW", body=bytes(16 * MIB)))
        received = client.receive(idle_s=10)
    assert received.answer("POST").status == 501
    assert (received.is_closed, received.was_reset) == (True, False)


def test_slow_clients_of_a_stock_server_leave_no_traceback(stock: Stock) -> None:
    assert get(stock.port, "/quick").status == 200
    assert "Traceback" not in stock.balancer.log()
