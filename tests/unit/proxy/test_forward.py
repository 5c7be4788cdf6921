"""The loop over backends of one request: what is tried again, what is not, and that every claim is released.

``b0`` is asked first, because a fresh round robin begins there; what it does is each row's subject.
"""

from __future__ import annotations

import gc
import socket
import threading
import time
from typing import Any

import gevent
import pytest

from lb.errors import AttemptError, NothingSent, RequestError
from lb.model import PoolTimeouts
from lb.proxy import member as member_module
from lb.proxy.deadlines import Deadline, Expired, Sweeper
from lb.proxy.forward import forward
from lb.proxy.member import BackendConnection
from lb.proxy.stream import Stream
from lb.resilience.outlier import CONSECUTIVE_ERRORS
from lb.state.layout import C_CONNECT_FAILED, C_RESET, C_RETRIES, C_TIMEOUT, SH_REFUSED_NS
from tests.support.behaviours import (
    OK,
    answering,
    closing_after,
)
from tests.support.fault_origin import Connection, fault_origin
from tests.support.scripted import black_hole
from tests.unit.proxy.attempts import HALF_A_HEAD, POLICY, UNAVAILABLE, Scene, leaving_at_the_second_request, scene
from tests.unit.proxy.live import backends, body_of, inflight, open_pool, request

BIG = bytes(200_000)
IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
OTHERS = ("POST", "PATCH", "BREW")


# --- which failure is tried again


@pytest.mark.parametrize("method", [*IDEMPOTENT, *OTHERS])
def test_a_refused_connect_is_tried_elsewhere_whatever_the_method(method: str, deadline: Deadline) -> None:
    with scene(deadline, "refused", "good", budget_min_per_s=0.0) as one:
        outcome = one.send(method, BIG[:1000] if method in ("POST", "PUT", "PATCH") else b"")
        assert (outcome.status, outcome.exchange.attempts, one.requests()) == (200, 2, [0, 1])
        assert one.pool.cells.counters[C_RETRIES] == 0
        assert one.pool.members[0].counters[C_CONNECT_FAILED] == 1


def test_after_a_refusal_the_backend_is_left_out(deadline: Deadline) -> None:
    with scene(deadline, "refused", "good", "good") as one:
        assert [one.send().exchange.attempts for _ in range(4)] == [2, 1, 1, 1]


@pytest.mark.parametrize(("connect_s", "total_s", "is_refused"), [(0.02, 60.0, True), (60.0, 0.02, False)])
def test_a_request_without_time_says_nothing_of_the_backend(
    connect_s: float, total_s: float, is_refused: bool, deadline: Deadline
) -> None:
    timeouts = PoolTimeouts(connect_s=connect_s, total_s=total_s)
    with black_hole() as port, open_pool(*backends(port), timeouts=timeouts) as pool:
        with request(deadline) as exchange, pytest.raises(AttemptError, match="connect_timeout"):
            forward(exchange, pool, POLICY)
        assert (pool.members[0].shared[SH_REFUSED_NS] > 0) is is_refused


@pytest.mark.parametrize("backends_of_it", [1, 3])
def test_refused_by_all(backends_of_it: int, deadline: Deadline) -> None:
    with scene(deadline, *["refused"] * backends_of_it) as one:
        outcome = one.send("POST", b"hello")
        assert (outcome.status, outcome.reason) == (503, "connect_failed")
        assert outcome.exchange.attempts == backends_of_it
        assert one.send().reason == "no_backend"


REPEATED = [("closed-at-once", True), ("reset-at-once", True), ("closed-unanswered", True), ("reset-unanswered", True),
            ("closed-in-the-head", True), ("silent", False), ("silent-in-the-head", False), ("garbage", False)]  # fmt: skip
REASONS = {"silent": (504, "backend_timeout"), "silent-in-the-head": (504, "backend_timeout"),
           "garbage": (502, "bad_response")}  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize(("fault", "is_repeated"), REPEATED)
def test_a_failure_after_the_connect(fault: str, is_repeated: bool, method: str, deadline: Deadline) -> None:
    with scene(deadline, fault, "good") as one:
        outcome = one.send(method, b"" if method == "GET" else b"hello")
        if outcome.exchange.free_attempts:
            assert (fault, outcome.status) == ("reset-at-once", 200), "only that one may be over before it is connected"
        elif is_repeated and method != "POST":
            assert (outcome.status, outcome.exchange.attempts) == (200, 2)
            assert one.origins[1].requests[0].body == (b"" if method == "GET" else b"hello")
        else:
            assert (outcome.status, outcome.reason) == REASONS.get(fault, (502, "backend_reset"))
            assert one.requests()[1] == 0


@pytest.mark.parametrize("method", [*IDEMPOTENT, *OTHERS])
def test_only_what_may_be_repeated_is(method: str, deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered", "good") as one:
        assert one.send(method).status == (200 if method in IDEMPOTENT else 502)
        assert one.requests() == [1, int(method in IDEMPOTENT)]


@pytest.mark.parametrize(
    ("fault", "causes", "status"),
    [
        ("closed-unanswered", ("connect",), 502),
        ("silent", ("timeout",), 200),
        ("busy", ("503",), 200),
        ("busy", ("502", "504"), 503),
        ("garbage", ("reset", "timeout", "502"), 502),
    ],
)
def test_the_causes_that_the_configuration_names(
    fault: str, causes: tuple[str, ...], status: int, deadline: Deadline
) -> None:
    with scene(deadline, fault, "good", on=causes) as one:
        assert one.send().status == status


@pytest.mark.parametrize(("attempts", "status"), [(1, 502), (2, 502), (3, 200)])
def test_no_more_attempts_than_asked_for(attempts: int, status: int, deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered", "closed-unanswered", "good", attempts=attempts) as one:
        outcome = one.send()
        assert (outcome.status, outcome.exchange.attempts) == (status, attempts)


def test_refused_connects_do_not_use_up_the_attempts(deadline: Deadline) -> None:
    with scene(deadline, "refused", "refused", "closed-unanswered", "good", attempts=2) as one:
        outcome = one.send()
        assert (outcome.status, one.requests()) == (200, [0, 0, 1, 1])


def test_a_retry_costs_one_of_the_budget(deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered", "good", budget_percent=10.0, budget_min_per_s=0.0) as one:
        one.pool.requests += 9
        assert sorted(one.send().status for _ in range(3)) == [200, 200, 502]
        assert one.pool.cells.counters[C_RETRIES] == 1


def test_a_retry_that_nobody_is_left_for_costs_nothing(deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered") as one:
        assert one.send().reason == "backend_reset"
        assert one.pool.cells.counters[C_RETRIES] == 0


def test_without_budget_nothing_is_repeated(deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered", "good", budget_min_per_s=0.0) as one:
        assert one.send().reason == "backend_reset"


def test_a_body_too_large_to_keep_is_not_repeated(deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered", "good") as one:
        assert one.send("PUT", BIG).reason == "backend_reset"
        assert one.requests()[1] == 0


def test_a_body_that_never_left_is_sent_whole_whatever_its_size(deadline: Deadline) -> None:
    with scene(deadline, "refused", "good") as one:
        assert one.send("POST", BIG).status == 200
        assert one.origins[1].complete()[0].body == BIG


# --- a kept connection that the backend has closed meanwhile


def test_a_post_on_a_stale_connection_is_not_repeated_even_without_a_body(deadline: Deadline) -> None:
    """The backend may have worked on it before it closed."""
    with scene(deadline, leaving_at_the_second_request(), attempts=2) as one:
        one.send()
        assert one.send("POST").reason == "backend_reset"
        assert one.requests() == [2]


@pytest.mark.parametrize("method", IDEMPOTENT)
def test_a_stale_connection_costs_nothing(method: str, deadline: Deadline) -> None:
    """Repeated on a fresh connection to the same backend."""
    with scene(deadline, leaving_at_the_second_request(), attempts=1, budget_min_per_s=0.0) as one:
        one.send()
        outcome = one.send(method)
        assert (outcome.status, one.origins[0].connections) == (200, 2)
        assert one.pool.members[0].counters[C_RESET] == one.pool.members[0].errors.errors == 0


def test_a_stale_connection_and_a_body_that_can_be_repeated(deadline: Deadline) -> None:
    with scene(deadline, leaving_at_the_second_request(), attempts=1) as one:
        one.send()
        assert one.send("PUT", b"hello").status == 200
        assert [seen.body for seen in one.origins[0].complete()] == [b"", b"hello", b"hello"]


def test_a_stale_connection_and_a_body_that_may_have_been_worked_on(deadline: Deadline) -> None:
    with scene(deadline, leaving_at_the_second_request(), "good") as one:
        one.send()
        one.send()
        assert one.send("POST", b"hello").reason == "backend_reset"
        assert one.requests() == [2, 1]


@pytest.mark.parametrize("part", [HALF_A_HEAD, b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["half-a-head", "interim"])
def test_a_connection_is_not_stale_once_it_answers(part: bytes, deadline: Deadline) -> None:
    """The backend has worked on it: a POST must not be sent again."""
    with scene(deadline, leaving_at_the_second_request(part=part)) as one:
        one.send()
        assert one.send("POST").reason == "backend_reset"
        assert one.requests() == [2]


def test_a_fresh_connection_after_a_stale_one_is_judged_as_any(deadline: Deadline) -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        if one.origins[0].connections == 1:
            connection.send(OK)
            connection.request()

    with scene(deadline, serve, attempts=2) as one:
        one.send()
        outcome = one.send()
        assert (outcome.reason, one.origins[0].connections) == ("backend_reset", 2)


def ended_at_the_look(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An idle connection is taken for usable, and used when its end has come. Set when that is waited for."""
    is_looked_at = threading.Event()

    def look(idle: BackendConnection, *, thoroughly: bool) -> bool:
        is_looked_at.set()
        while idle.is_quiet():
            time.sleep(0.001)
        time.sleep(0.02)  # it may be a shutdown before it is a close
        return True

    monkeypatch.setattr(BackendConnection, "is_usable", look)
    return is_looked_at


# How the connection ends, and what goes out on it: a GET is sent again after an end too, but by another rule
# (``test_a_stale_connection_costs_nothing``).
OVER = [("reset", method, size) for method in ("GET", *OTHERS) for size in (0, 1000)]
OVER += [("closed", method, size) for method in OTHERS for size in (0, 1000, 60_000)]


@pytest.mark.parametrize(("end", "method", "size"), OVER)
def test_a_connection_that_is_over_before_its_first_byte_costs_nothing(
    end: str, method: str, size: int, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends between the look at it and the send, and any method may be sent again. Reset: nobody has seen a byte.
    Closed: the request crosses the end, and the backend's kernel says that nobody has read it, with a reset that
    acknowledges no byte."""
    is_looked_at = ended_at_the_look(monkeypatch)

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(OK)
        is_looked_at.wait(10)
        if end == "reset":
            connection.reset()

    with scene(deadline, serve, attempts=1, budget_min_per_s=0.0) as one:
        one.send()
        assert one.send(method, BIG[:size]).status == 200
        assert [len(seen.body) for seen in one.origins[0].complete()] == [0, size]
        assert one.pool.members[0].counters[C_RESET] == one.pool.members[0].errors.errors == 0


def test_a_body_that_is_not_kept_is_not_repeated_even_if_nothing_of_it_was_sent(
    deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def over(stream: Stream, data: Any) -> None:
        raise NothingSent

    monkeypatch.setattr(Stream, "send", over)
    with scene(deadline, "good", "good") as one:
        assert one.send("POST", BIG).reason == "backend_reset"


# --- answers that are thrown away


def test_a_bad_status_is_tried_elsewhere(deadline: Deadline) -> None:
    with scene(deadline, "busy", "good", on=("503",)) as one:
        outcome = one.send("PUT", b"hello")
        assert (outcome.status, outcome.body, one.requests()) == (200, b"ok", [1, 1])
        assert one.origins[1].requests[0].body == b"hello"


@pytest.mark.parametrize("method", OTHERS)
def test_a_bad_status_stands_where_repeating_is_not_safe(method: str, deadline: Deadline) -> None:
    with scene(deadline, "busy", "good", on=("503",)) as one:
        outcome = one.send(method)
        assert (outcome.status, outcome.body) == (503, b"busy")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_when_all_are_busy_the_client_gets_what_a_backend_said(count: int, deadline: Deadline) -> None:
    with scene(deadline, *["busy"] * count, on=("503",), attempts=9) as one:
        outcome = one.send()
        assert (outcome.status, outcome.body) == (503, b"busy")
        assert one.requests() == [1] * count


# --- deadlines, clients that leave, and what else can go wrong


def test_a_connect_that_hangs_is_tried_elsewhere(deadline: Deadline) -> None:
    with (
        black_hole() as port,
        fault_origin(answering(OK)) as good,
        open_pool(*backends(port, good.port), timeouts=PoolTimeouts(connect_s=0.02)) as pool,
    ):
        outcome = Scene(pool, [good], deadline).send("POST", b"hello")
        assert (outcome.status, outcome.exchange.attempts) == (200, 2)
        assert pool.eligible == (1,)


def test_connects_that_hang_end_with_the_requests_time(deadline: Deadline) -> None:
    timeouts = PoolTimeouts(connect_s=0.03, total_s=0.05)
    with black_hole() as port, open_pool(*backends(*[port] * 9), timeouts=timeouts) as pool:
        outcome = Scene(pool, [], deadline).send()
        assert (outcome.status, outcome.reason) == (504, "connect_timeout")
        assert 2 <= outcome.exchange.attempts < 9


def test_a_timeout_is_counted(deadline: Deadline) -> None:
    with scene(deadline, "silent") as one:
        assert one.send().reason == "backend_timeout"
        assert one.pool.members[0].counters[C_TIMEOUT] == 1


def test_retries_stay_within_the_requests_time(deadline: Deadline) -> None:
    timeouts = PoolTimeouts(first_byte_s=30.0, total_s=0.05)
    with scene(deadline, "silent", "good", timeouts=timeouts, on=("timeout",)) as one:
        assert one.send().reason == "backend_timeout"
        assert one.requests() == [1, 0]


def test_a_client_that_leaves_ends_the_backends_work(deadline: Deadline, sweeper: Sweeper) -> None:
    gone = Deadline(deadline.greenlet)
    with scene(deadline, "silent", "good", timeouts=PoolTimeouts(), on=("timeout", "reset")) as one:

        def leave(_now: float) -> None:
            """Once the backend works for it."""
            if one.origins[0].complete() and not one.outcomes:
                gone.set(0.0, "client_gone")
                sweeper.deadlines.add(gone)

        sweeper.every_sweep(leave)
        assert one.send().reason == "client_gone"
        assert one.origins[0].wait_until(lambda origin: origin.ended == 1)
        assert one.requests()[1] == 0
        assert one.pool.members[0].errors.errors == 0


def test_a_client_that_does_not_send_its_body(deadline: Deadline) -> None:
    with scene(deadline, "good", "good") as one:
        with request(deadline, "PUT / HTTP/1.1", body=b"hel", length=5) as exchange:
            exchange.body_timeout_s = 0.02
            with pytest.raises(Expired, match="body_timeout"):
                forward(exchange, one.pool, POLICY)
        assert inflight(one.pool) == 0
        assert one.origins[0].wait_until(lambda origin: origin.ended == 1)
        assert one.requests() == [0, 0]


def test_a_client_that_ends_inside_its_body(deadline: Deadline) -> None:
    with scene(deadline, "good", "good") as one:
        with request(deadline, "PUT / HTTP/1.1", body=b"hel", length=5) as exchange:
            assert exchange.body is not None and exchange.body.stream is not None
            exchange.body.stream.sock.shutdown(0)
            with pytest.raises(RequestError, match="body_truncated"):
                forward(exchange, one.pool, POLICY)
        assert inflight(one.pool) == 0
        assert one.requests() == [0, 0]


def test_a_fault_of_our_own_releases_too(deadline: Deadline) -> None:
    def broken(_: bytes) -> None:
        raise ZeroDivisionError

    with scene(deadline, closing_after(b"HTTP/1.1 103 Early Hints\r\n\r\n")) as one:
        with request(deadline) as exchange:
            exchange.interim = broken
            with pytest.raises(ZeroDivisionError):
                forward(exchange, one.pool, POLICY)
        assert inflight(one.pool) == 0


def test_five_failures_eject(deadline: Deadline) -> None:
    with scene(deadline, "closed-unanswered", "good", attempts=1) as one:
        statuses = [one.send().status for _ in range(2 * CONSECUTIVE_ERRORS + 4)]
        assert statuses.count(502) == CONSECUTIVE_ERRORS
        assert statuses[-5:] == [200] * 5
        assert one.pool.eligible == (1,)


def test_five_bad_answers_eject(deadline: Deadline) -> None:
    with scene(deadline, "busy", "good") as one:
        assert [one.send().status for _ in range(20)].count(503) == CONSECUTIVE_ERRORS


def test_nobody_is_an_attempt_error(deadline: Deadline) -> None:
    with scene(deadline) as one:
        outcome = one.send()
        assert isinstance(outcome.error, AttemptError)
        assert (outcome.reason, outcome.exchange.attempts) == ("no_backend", 0)


def test_what_a_busy_backend_did_not_take_of_a_body_is_not_left_over(
    deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole body is here, the backend answers without reading it, and the next one gets all of it."""

    def connect(*where: Any) -> Any:
        sock = usual(*where)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return sock

    def busy(connection: Connection) -> None:
        connection.reader.head()
        gate.wait(10)
        connection.send(UNAVAILABLE)
        connection.sock.shutdown(socket.SHUT_WR)

    usual, gate = member_module.connect, threading.Event()
    monkeypatch.setattr(member_module, "connect", connect)
    with scene(deadline, "refused", "good", on=("503",)) as one, request(deadline, length=60_000) as exchange:
        one.origins[0]._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        one.origins[0].serve(busy)
        assert exchange.body is not None
        exchange.body.start(bytes(1000))
        monkeypatch.setattr(exchange.body, "read", lambda: exchange.body.start(bytes(59_000)) or True)
        gevent.spawn_later(0.05, gate.set)
        answer = forward(exchange, one.pool, POLICY)
        assert (body_of(answer), len(one.origins[1].complete()[0].body)) == (b"ok", 60_000)
        exchange.release()


def test_an_error_that_another_backend_made_good_is_forgotten(deadline: Deadline) -> None:
    """At once, with the request in its traceback, and not when the collector comes by."""
    with scene(deadline, "closed-unanswered", "good") as one:
        gc.collect()
        gc.disable()
        try:
            before = errors_held()
            outcome = one.send()
            left = errors_held()
        finally:
            gc.enable()
        assert outcome.exchange.attempts == 2
        assert len(left) == len(before), left


def errors_held() -> list[AttemptError]:
    """All there are, those of other tests too."""
    return [held for held in gc.get_objects() if isinstance(held, AttemptError)]


# --- how long is waited before


@pytest.mark.parametrize("fault", ["closed-in-the-head", "busy"])
def test_before_a_retry_it_waits_at_random_and_longer_each_time(
    fault: str, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("lb.proxy.forward.sleep", waited.append)
    on = ("connect", "reset", "503")
    with scene(deadline, fault, fault, fault, "good", attempts=4, on=on, backoff_s=0.1, backoff_max_s=0.3) as one:
        monkeypatch.setattr(one.pool, "random", lambda: 0.5)
        assert one.send().status == 200
    assert waited == [pytest.approx(0.05), pytest.approx(0.1), pytest.approx(0.15)]


def test_nothing_is_waited_for_where_nothing_was_sent(deadline: Deadline, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("lb.proxy.forward.sleep", waited.append)
    with scene(deadline, "refused", "refused", "good", backoff_s=1.0, backoff_max_s=1.0) as one:
        assert one.send().status == 200
    assert waited == []


def test_who_has_no_time_left_does_not_wait(deadline: Deadline, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("lb.proxy.forward.sleep", waited.append)
    with scene(deadline, "closed-in-the-head", "good", backoff_s=900.0, backoff_max_s=900.0) as one:
        assert one.send().status == 200
    assert waited == []


def test_nobody_holds_a_place_while_it_waits(deadline: Deadline, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene(deadline, "closed-in-the-head", "good", backoff_s=0.1, backoff_max_s=0.1) as one:
        held: list[int] = []
        monkeypatch.setattr("lb.proxy.forward.sleep", lambda _: held.append(inflight(one.pool)))
        monkeypatch.setattr(one.pool, "random", lambda: 0.5)
        assert one.send().status == 200
    assert held == [0]
