"""The probes of ``prequal`` against backends on the wire: kept connections, what is believed, and when they end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from lb.model import PrequalOptions
from lb.proxy.pool import LivePool
from lb.proxy.probing import FAILURES
from lb.state.layout import SH_EJECTED_UNTIL_NS, SH_REFUSED_NS
from tests.unit.proxy.live import backends, open_pool

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Inflight: %d\r\n\r\nok"
OPTIONS = PrequalOptions(path="/load?x=1", header="X-Inflight", timeout_s=0.5)


def wait_until(claim: Callable[[], object]) -> None:
    """The ``patience`` fixture ends one that never comes true."""
    while not claim():
        gevent.sleep(0.005)


class Backend:
    """Answers every request with ``answer()``; None: never."""

    def __init__(self, answer: Callable[[], bytes | None]) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.closed = 0
        self._answer = answer

    def serve(self, sock: Any, _: object) -> None:
        self.connections += 1
        try:
            while data := sock.recv(65536):
                self.heads.append(data)
                answer = self._answer()
                if answer is None:
                    gevent.sleep(60)
                sock.sendall(answer)
        except OSError:
            pass
        finally:
            self.closed += 1
            sock.close()


@contextmanager
def pool_of(*served: Backend, options: PrequalOptions = OPTIONS, dead: int = 0) -> Iterator[LivePool]:
    servers = [StreamServer(("127.0.0.1", 0), one.serve) for one in served]
    for server in servers:
        server.start()
    ports = [server.server_port for server in servers] + [1] * dead
    try:
        with open_pool(*backends(*ports), policy="prequal", prequal=options) as pool:
            yield pool
    finally:
        for server in servers:
            server.stop()


def pick(pool: LivePool) -> int:
    member = pool.pick("prequal", b"", ())
    member.inflight[member.slot] -= 1
    return pool.members.index(member)


def heard_of(pool: LivePool) -> set[int]:
    """One more request, and whose answers are at hand then."""
    pick(pool)
    gevent.sleep(0)
    return {probe.member for probe in pool.probes.probes}


def saying(inflight: int) -> Backend:
    return Backend(lambda: ANSWER % inflight)


def test_the_first_request_has_backends_probed_and_waits_for_none() -> None:
    busy, idle = saying(9), saying(0)
    with pool_of(busy, idle) as pool:
        for member in pool.members * 3:
            member.latency.observe(0.5, pool._clock())  # alike, however quick the probes are
        pick(pool)
        assert not busy.heads and not idle.heads
        wait_until(lambda: heard_of(pool) == {0, 1})
        # its own word decides, since we have sent neither anything; on a busy machine how long a probe took may, for a while
        wait_until(lambda: heard_of(pool) and {pick(pool) for _ in range(20)} == {1})
    head = idle.heads[0]
    assert head.startswith(b"GET /load?x=1 HTTP/1.1\r\nHost: 127.0.0.1:") and head.endswith(b"\r\n\r\n")


def test_a_pool_that_picks_by_something_else_probes_nobody() -> None:
    one = saying(0)
    with pool_of(one, saying(0)) as pool:
        for policy in ("peak_ewma", "random", "least_response_time"):
            member = pool.pick(policy, b"", ())
            member.inflight[member.slot] -= 1
        gevent.sleep(0.05)
        assert not one.heads and not pool.probes.is_probing


def test_connections_are_kept() -> None:
    one, two = saying(1), saying(2)
    with pool_of(one, two) as pool:
        wait_until(lambda: (heard_of(pool), len(one.heads) > 5 and len(two.heads) > 5)[1])
        assert one.connections == 1 == two.connections


def test_a_backend_that_ends_connections_or_sends_no_length_is_asked_on_new_ones() -> None:
    closing = Backend(lambda: b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    chunked = Backend(lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    with pool_of(closing, chunked) as pool:
        wait_until(lambda: heard_of(pool) == {0, 1})
        wait_until(lambda: (heard_of(pool), closing.connections > 2 and chunked.connections > 2)[1])


def test_who_fails_a_probe_is_forgotten_and_not_judged() -> None:
    fails = Backend(lambda: b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    garbage = Backend(lambda: b"220 smtp ready\r\n\r\n")
    silent = Backend(lambda: None)
    good, too = saying(0), saying(0)
    options = PrequalOptions(header="X-Inflight", timeout_s=0.05)
    with pool_of(fails, garbage, silent, good, too, options=options, dead=1) as pool:
        wait_until(lambda: (heard_of(pool), all(one.heads for one in (fails, garbage, silent)))[1])
        wait_until(lambda: heard_of(pool) == {3, 4})
        assert {pick(pool) for _ in range(20)} <= {3, 4}
        for member in pool.members:
            assert not member.shared[SH_REFUSED_NS] and not member.shared[SH_EJECTED_UNTIL_NS]
            assert not sum(member.counters), "probes are in no figure of the backend"


def test_it_is_said_that_a_backend_answers_no_probe_and_when_it_does_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lb.proxy")
    answers = [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]
    with pool_of(Backend(lambda: answers[0]), saying(0), saying(0)) as pool:
        wait_until(lambda: (heard_of(pool), pool.probes.failed.get(0, 0) > FAILURES)[1])
        answers[0] = ANSWER % 0
        wait_until(lambda: 0 in heard_of(pool))
        name = pool.members[0].name
        failed, answered = caplog.messages
        assert failed.startswith(f'backend={name} prequal_probes=failed path=/load?x=1 reason="status 500"')
        assert answered == f"backend={name} prequal_probes=answered"


def test_a_slow_backend_with_a_quick_probe_path_is_not_taken_for_fast() -> None:
    with pool_of(Backend(lambda: ANSWER % 0), Backend(lambda: ANSWER % 0)) as pool:
        for _ in range(3):
            pool.members[0].latency.observe(0.5, pool._clock())
        wait_until(lambda: heard_of(pool) == {0, 1})
        assert {pick(pool) for _ in range(20)} == {1}


def test_the_prober_ends_with_the_pool_and_closes_what_it_kept() -> None:
    one, two = saying(0), saying(0)
    with pool_of(one, two) as pool:
        wait_until(lambda: heard_of(pool) == {0, 1})
        pool.close()
        wait_until(lambda: one.closed == one.connections and two.closed == two.connections)
