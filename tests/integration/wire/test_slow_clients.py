"""Rows 25 to 31: clients that are slow, greedy, or gone. Timeouts of a second where ten are the default."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.integration.wire.conftest import CLIENT_TIMEOUT_S, HALF_CLOSE_S, KEEP_ALIVE_S, SLACK_S, Lane
from tests.support.behaviours import answering, repeating, stalling_after
from tests.support.raw_client import RawClient, request
from tests.support.waiting import wait_for

MIB = 1024 * 1024


def test_row_25_a_head_that_dribbles_in_is_408_after_the_head_timeout(impatient_lane: Lane) -> None:
    raw = request(impatient_lane.path, fields=["X-Pad: " + "x" * 200])
    with RawClient(impatient_lane.balancer.port) as client, ThreadPoolExecutor(1) as sender:
        sender.submit(client.send_pieces, [raw[at : at + 1] for at in range(60)], 0.05)
        received = client.receive(idle_s=10)
    assert received.answer().status == 408
    assert received.is_closed
    assert CLIENT_TIMEOUT_S * 0.9 < received.elapsed_s < CLIENT_TIMEOUT_S + SLACK_S


def test_row_25_long_heads_that_dribble_slow_nobody_else(worker_lane: Lane) -> None:
    """Each byte must cost what a byte costs, not another look at the 60 KB before it."""
    worker_lane.serve(answering())
    port = worker_lane.balancer.port
    usual_s = max(_took_s(worker_lane) for _ in range(50))
    with ExitStack() as held, ThreadPoolExecutor(1) as sender:
        slow = [held.enter_context(RawClient(port)) for _ in range(16)]
        for client in slow:
            client.send(request(worker_lane.path, fields=["X-Pad: " + "x" * 600] * 95)[:-2])
        dribbled = sender.submit(_dribble, slow, 1.5)
        took = []
        while not dribbled.done():
            took.append(_took_s(worker_lane))
    assert sorted(took)[len(took) // 2] < max(0.05, 3 * usual_s)


def _took_s(lane: Lane) -> float:
    started = time.monotonic()
    assert lane.get().status == 200
    return time.monotonic() - started


def _dribble(clients: list[RawClient], seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        for client in clients:
            client.send(b"X")
        time.sleep(0.002)


def test_row_25_a_silent_connection_is_closed_without_a_word(impatient_lane: Lane) -> None:
    with RawClient(impatient_lane.balancer.port) as client:
        received = client.receive(idle_s=10)
    assert (received.data, received.is_closed) == (b"", True)


def test_row_25_an_idle_connection_is_closed_without_a_word(impatient_lane: Lane) -> None:
    impatient_lane.serve(answering())
    with RawClient(impatient_lane.balancer.port) as client:
        client.send(request(impatient_lane.path))
        assert client.receive_until(b"ok 0\n").answer().status == 200
        received = client.receive(idle_s=10)
    assert (received.data, received.is_closed) == (b"", True)
    assert KEEP_ALIVE_S * 0.9 < received.elapsed_s < KEEP_ALIVE_S + SLACK_S


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_row_26_a_body_that_stops_is_408_and_the_backend_never_gets_it(impatient_lane: Lane, framing: str) -> None:
    impatient_lane.serve(answering())
    with RawClient(impatient_lane.balancer.port) as client:
        client.send(request(impatient_lane.path, method="POST", fields=[framing]) + b"5\r\nhello\r\n")
        received = client.receive(idle_s=10)
    assert received.answer("POST").status == 408
    assert received.is_closed
    assert impatient_lane.is_free_within(SLACK_S)
    assert impatient_lane.complete() == []


def test_row_26_a_body_that_dribbles_below_the_rate_is_408(impatient_lane: Lane) -> None:
    """Never silent for long, but under 1 KB/s over 10 s."""
    impatient_lane.serve(answering())
    with RawClient(impatient_lane.balancer.port) as client, ThreadPoolExecutor(1) as sender:
        client.send(request(impatient_lane.path, method="POST", fields=["Content-Length: 100000"]))
        sender.submit(client.send_pieces, [b"x"] * 46, 0.25)
        received = client.receive(idle_s=16, deadline_s=17)
    assert received.answer("POST").status == 408
    assert 9 < received.elapsed_s < 15
    assert impatient_lane.is_free_within(SLACK_S)
    assert impatient_lane.complete() == []


def test_row_27_a_client_that_does_not_read_is_cut_and_frees_the_backend(impatient_lane: Lane) -> None:
    impatient_lane.serve(repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * 65536))
    before = impatient_lane.balancer.memory_bytes()
    with RawClient(impatient_lane.balancer.port, receive_buffer_bytes=1024) as client:
        client.send(request(impatient_lane.path))
        assert impatient_lane.first.wait_until(lambda origin: bool(origin.requests))
        assert impatient_lane.is_free_within(CLIENT_TIMEOUT_S + SLACK_S)
        assert impatient_lane.balancer.memory_bytes() < before + 8 * MIB


def test_row_27_a_slow_client_that_goes_on_reading_is_not_cut(impatient_lane: Lane) -> None:
    """100 KB/s is progress, however large the pieces are in which we send. A client that a crowded machine
    kept from reading was not that client: it goes again."""
    impatient_lane.serve(repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * 65536))
    for _ in range(5):
        is_cut, pause_s = _reads_slowly(impatient_lane)
        if not is_cut:
            return
        assert pause_s > CLIENT_TIMEOUT_S / 2, "cut, though it read all the time"
    pytest.fail("this machine never let the client read for four seconds")


def _reads_slowly(lane: Lane) -> tuple[bool, float]:
    """Whether it was cut, and its longest pause between two reads."""
    with RawClient(lane.balancer.port, receive_buffer_bytes=4096) as client:
        client.send(request(lane.path))
        read_at = time.monotonic()
        ends_at, pause_s = read_at + 4 * CLIENT_TIMEOUT_S, 0.0
        while read_at < ends_at:
            try:
                is_cut = not client.sock.recv(4096)
            except ConnectionResetError:
                is_cut = True
            now = time.monotonic()
            pause_s, read_at = max(pause_s, now - read_at), now
            if is_cut:
                return True, pause_s
            time.sleep(0.04)  # not a wait: this is how slow the client is
    return False, pause_s


def test_row_28_the_kernel_probes_idle_clients(impatient_lane: Lane, requires: Callable[[str], str]) -> None:
    """A client that vanished without a FIN is found out: the keep-alive timer of its connection runs."""
    impatient_lane.serve(answering())
    with RawClient(impatient_lane.balancer.port) as client:
        client.send(request(impatient_lane.path))
        client.receive_until(b"ok 0\n")
        to_client = f"dport = :{client.sock.getsockname()[1]}"
        command = [requires("ss"), "-Htno", "state", "established", to_client]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "timer:(keepalive" in shown


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.half_close, RawClient.reset])
def test_row_29_a_client_that_left_frees_the_backend(impatient_lane: Lane, leave: Callable[[RawClient], None]) -> None:
    impatient_lane.serve(stalling_after())
    with RawClient(impatient_lane.balancer.port) as client:
        client.send(request(impatient_lane.path + "/left"))
        assert impatient_lane.first.wait_until(lambda origin: bool(origin.requests))
        leave(client)
        assert impatient_lane.is_free_within(HALF_CLOSE_S + SLACK_S)
        wait_for("nothing in flight", lambda: impatient_lane.balancer.inflight() == 0, SLACK_S)
    line = impatient_lane.balancer.wait_for_access(impatient_lane.path + "/left")
    assert (line["status"], line["reason"]) == (499, "client_gone")


def test_row_29_a_client_that_leaves_in_mid_upload_aborts_the_backends_request(impatient_lane: Lane) -> None:
    impatient_lane.serve(answering())
    with RawClient(impatient_lane.balancer.port) as client:
        client.send(request(impatient_lane.path, method="POST", fields=["Content-Length: 1000000"]) + b"x" * 300_000)
        assert impatient_lane.first.wait_until(lambda origin: bool(origin.requests))
    assert impatient_lane.is_free_within(HALF_CLOSE_S + SLACK_S)
    assert impatient_lane.complete() == []


def test_row_30_a_thousand_idle_connections_are_in_nobodys_way(impatient_lane: Lane) -> None:
    impatient_lane.serve(answering())
    with ExitStack() as held:
        for number in range(1000):
            client = RawClient(impatient_lane.balancer.port, source=f"127.2.0.{number % 200 + 1}")
            held.enter_context(client)
            if number % 2:
                client.send(b"GET /")
        started = time.monotonic()
        assert impatient_lane.get().status == 200
        assert time.monotonic() - started < SLACK_S
    assert impatient_lane.get().status == 200


def test_row_31_a_half_closed_client_gets_an_answer_that_comes_soon(impatient_lane: Lane) -> None:
    impatient_lane.serve(answering(delay_s=HALF_CLOSE_S / 5))
    with RawClient(impatient_lane.balancer.port) as client:
        client.send(request(impatient_lane.path))
        client.half_close()
        received = client.receive(idle_s=10)
    assert received.answer().status == 200
    assert received.is_closed


def test_slow_clients_leave_no_traceback(impatient_lane: Lane) -> None:
    assert "Traceback" not in impatient_lane.balancer.log()
