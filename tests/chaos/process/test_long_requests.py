"""Row 62: TERM while requests take their time, and with clients that keep connections open and say nothing."""

from __future__ import annotations

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from lb.server.worker import DRAIN_IDLE_S
from tests.chaos.process.running import Run
from tests.support.raw_client import RawClient, Received, request
from tests.support.waiting import wait_for

REQUESTS = 12
LONG_S = 5.0
GRACEFUL_S = 10.0
"""What a run's configuration says."""
SLACK_S = 5.0


def test_row_62_requests_of_five_seconds_end_and_idle_connections_have_one_more(run: Run) -> None:
    with contextlib.ExitStack() as held, ThreadPoolExecutor(REQUESTS) as clients:
        idle, late, silent = (kept_alive(run.port, held) for _ in range(3))
        asked = [clients.submit(exchanged, run.port, f"/slow/{LONG_S:g}") for _ in range(REQUESTS)]
        wait_for("all in flight", lambda: run.inflight() == REQUESTS)
        began = time.monotonic()
        run.signal(signal.SIGTERM)
        run.wait_for_event("stopping")
        time.sleep(DRAIN_IDLE_S / 5)  # not a wait: this is when its next request comes
        check_is_the_last(answered(late, "/"))
        wait_for("no word on an idle connection but its end", lambda: idle.receive(idle_s=20).is_closed)
        assert time.monotonic() - began < DRAIN_IDLE_S + SLACK_S
        assert silent.receive(idle_s=20).data == b""
        for answer in asked:
            check_is_the_last(answer.result(30))
        assert run.wait_for_end() == 0
        assert LONG_S * 0.8 < time.monotonic() - began < GRACEFUL_S + SLACK_S
    assert "cut after graceful_timeout" not in run.log()
    assert run.descendants() == []


def test_row_62_what_takes_longer_than_graceful_timeout_is_cut(idle: Run) -> None:
    graceful_s = 2.0
    idle.configure(graceful_timeout=f"{graceful_s:g}s")
    idle.start()
    idle.wait_until_ready()
    idle.wait_for_workers()
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(exchanged, idle.port, "/slow/30")
        wait_for("a request in flight", lambda: idle.inflight() == 1)
        began = time.monotonic()
        idle.signal(signal.SIGTERM)
        assert idle.wait_for_end() == 0
        assert graceful_s * 0.8 < time.monotonic() - began < graceful_s + SLACK_S
        received = answer.result(30)
    assert (received.data, received.is_closed) == (b"", True)
    assert idle.descendants() == []


def kept_alive(port: int, held: contextlib.ExitStack) -> RawClient:
    """A connection that has carried one request and may carry more."""
    client = held.enter_context(RawClient(port))
    client.send(request("/"))
    received = client.receive_until(b"hello")
    assert received.answer().value("connection") != "close"
    return client


def exchanged(port: int, path: str) -> Received:
    with RawClient(port) as client:
        return answered(client, path)


def answered(client: RawClient, path: str) -> Received:
    client.send(request(path))
    return client.receive(idle_s=20, deadline_s=25)


def check_is_the_last(received: Received) -> None:
    """Whole, says that the connection ends, and it does, without a reset."""
    answer = received.answer()
    assert (answer.status, answer.body, answer.is_complete) == (200, b"hello", True)
    assert answer.value("connection") == "close"
    assert (received.is_closed, received.was_reset) == (True, False)
