"""One backend: how it is reached, which connections are kept, and what is remembered of it."""

from __future__ import annotations

import errno
import gc
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest

from lb.errors import AttemptError
from lb.model import Backend, BackendTls, Pool, PoolTimeouts
from lb.proxy import member as member_module
from lb.proxy.cells import private_cells
from lb.proxy.deadlines import NEVER, Deadline, Expired
from lb.proxy.member import IDLE_LIMIT_S, BackendConnection, Member, literal_address
from lb.resilience.outlier import BASE_EJECTION_S, CONSECUTIVE_ERRORS
from lb.state.layout import (
    BUCKET_BOUNDS_US,
    C_BAD_RESPONSE,
    C_CONNECT_FAILED,
    C_CONNECTS,
    C_COUNT,
    C_DURATION_US,
    C_RESET,
    C_REUSES,
    C_STATUS,
    C_TIMEOUT,
    SH_REFUSED_NS,
)
from tests.support.certificates import self_signed
from tests.support.fault_origin import fault_origin
from tests.support.scripted import black_hole
from tests.support.shared_state import bucket
from tests.unit.proxy.live import UNPROBED


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def member_of(backend: Backend, **settings: Any) -> Member:
    pool = Pool("web", (backend,), health=UNPROBED, **settings)
    member = Member(backend, pool, private_cells(), gevent.get_hub())
    member.addresses = literal_address(backend)
    return member


def at(sock: socket.socket, **settings: Any) -> Member:
    return member_of(Backend("b", host="127.0.0.1", port=sock.getsockname()[1]), **settings)


@pytest.fixture
def member(listening: socket.socket) -> Iterator[Member]:
    made = at(listening, max_idle_per_worker=2)
    yield made
    made.close()


def checkout(member: Member, deadline: Deadline, *, fresh_only: bool = False) -> BackendConnection:
    return member.checkout(deadline, NEVER, fresh_only=fresh_only)


def three(member: Member, deadline: Deadline) -> list[BackendConnection]:
    return [checkout(member, deadline) for _ in range(3)]


def let_the_hub_run(until: Any) -> None:
    end = monotonic() + 5
    while not until():
        assert monotonic() < end
        gevent.sleep(0.001)


# --- reaching it


@pytest.mark.parametrize(
    ("backend", "family", "address"),
    [
        (Backend("b", host="192.0.2.1", port=80), socket.AF_INET, ("192.0.2.1", 80)),
        (Backend("b", host="2001:db8::1", port=80), socket.AF_INET6, ("2001:db8::1", 80)),
        (Backend("b", unix_path="/run/b.sock"), socket.AF_UNIX, "/run/b.sock"),
    ],
)
def test_a_literal_address_needs_no_resolver(backend: Backend, family: int, address: object) -> None:
    assert literal_address(backend) == ((family, address),)


def test_a_name_does() -> None:
    assert literal_address(Backend("b", host="backend.test", port=80)) == ()


@pytest.mark.parametrize("kind", ["v4", "v6", "unix"])
def test_connects(kind: str, tmp_path: Path, deadline: Deadline) -> None:
    family = {"v4": socket.AF_INET, "v6": socket.AF_INET6, "unix": socket.AF_UNIX}[kind]
    path = str(tmp_path / "b.sock")
    with socket.socket(family) as listening:
        listening.bind({"v4": ("127.0.0.1", 0), "v6": ("::1", 0), "unix": path}[kind])
        listening.listen()
        host, port = ("", 0) if kind == "unix" else listening.getsockname()[:2]
        member = member_of(Backend("b", host=host, port=port, unix_path=path if kind == "unix" else ""))
        connection = checkout(member, deadline)
        accepted, _ = listening.accept()
        with accepted:
            connection.send(b"hello")
            assert accepted.recv(5) == b"hello"
        connection.close()
    assert (member.counters[C_CONNECTS], member.counters[C_REUSES]) == (1, 0)


def test_several_addresses_are_tried_in_turn_and_the_good_one_stays(
    listening: socket.socket, deadline: Deadline
) -> None:
    with fault_origin() as nobody:
        member = at(listening)
        member.addresses = ((socket.AF_INET, ("127.0.0.1", nobody.port)), *member.addresses)
        for _ in range(2):
            checkout(member, deadline).close()
        assert member._next_address == 1
    assert member.shared[SH_REFUSED_NS] == 0


def test_an_address_that_does_not_answer_is_left_for_the_next(listening: socket.socket, deadline: Deadline) -> None:
    """One connect has only so much time; the next begins with another address."""
    member = at(listening, timeouts=PoolTimeouts(connect_s=0.02))
    with black_hole() as port:
        member.addresses = ((socket.AF_INET, ("127.0.0.1", port)), *member.addresses)
        with pytest.raises(Expired, match="connect_timeout"):
            checkout(member, deadline)
        checkout(member, deadline).close()


def test_a_connect_has_no_more_time_than_the_request(deadline: Deadline) -> None:
    started = monotonic()
    with black_hole() as port, pytest.raises(Expired, match="connect_timeout"):
        member = member_of(Backend("b", host="127.0.0.1", port=port), timeouts=PoolTimeouts(connect_s=60.0))
        member.checkout(deadline, started + 0.02, fresh_only=False)
    assert monotonic() - started < 5.0


def test_a_refused_connect_leaves_nothing_for_the_collector(deadline: Deadline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        member = at(gone)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            with suppress(AttemptError):
                checkout(member, deadline)
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_a_refused_connect_is_told_to_all_workers(deadline: Deadline) -> None:
    with fault_origin() as nobody:
        member = member_of(Backend("b", host="127.0.0.1", port=nobody.port))
        with pytest.raises(AttemptError) as caught:
            checkout(member, deadline)
    assert caught.value.reason == "connect_failed"
    assert caught.value.retry.nothing_sent
    assert member.shared[SH_REFUSED_NS] > 0


def test_a_name_without_address_is_no_refusal(deadline: Deadline) -> None:
    member = member_of(Backend("b", host="backend.test", port=80))
    with pytest.raises(AttemptError, match=r"connect_failed: backend\.test"):
        checkout(member, deadline)
    assert member.shared[SH_REFUSED_NS] == 0


@pytest.mark.parametrize(
    ("code", "is_its_fault"),
    [
        (errno.ECONNREFUSED, True),
        (errno.EHOSTUNREACH, True),
        (errno.ENETUNREACH, True),
        (errno.EMFILE, False),
        (errno.ENFILE, False),
        (errno.EADDRNOTAVAIL, False),
        (errno.ENOBUFS, False),
    ],
    ids=lambda value: "" if isinstance(value, bool) else errno.errorcode[value],
)
def test_what_we_have_run_out_of_is_not_the_backends_fault(
    code: int, is_its_fault: bool, member: Member, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(member_module, "connect", fail)
    with pytest.raises(AttemptError, match="connect_failed"):
        checkout(member, deadline)
    assert bool(member.shared[SH_REFUSED_NS]) is is_its_fault


# --- connections that are kept


def test_the_connection_used_last_is_used_next(member: Member, deadline: Deadline) -> None:
    first, second, third = three(member, deadline)
    third.close()
    member.give_back(first, 1.0)
    member.give_back(second, 2.0)
    gevent.sleep(0.001)
    assert checkout(member, deadline) is second
    assert checkout(member, deadline) is first
    assert member.counters[C_REUSES] == 2
    assert first.is_reused
    assert not first.is_idle
    first.close()
    second.close()


def test_one_that_was_given_back_in_this_turn_of_the_hub_rests(member: Member, deadline: Deadline) -> None:
    """What its backend says behind its answer has no time to come before the next request goes out."""
    first, second, third = three(member, deadline)
    third.close()
    member.give_back(first, 1.0)
    gevent.sleep(0.001)
    member.give_back(second, 2.0)
    assert checkout(member, deadline) is first
    fresh = checkout(member, deadline)
    assert (fresh.is_reused, member.idle) == (False, [second])
    gevent.sleep(0.001)
    assert checkout(member, deadline) is second
    for connection in (first, second, fresh):
        connection.close()


def test_no_more_are_kept_than_asked_for(member: Member, deadline: Deadline) -> None:
    connections = three(member, deadline)
    for connection in connections:
        member.give_back(connection, 1.0)
    assert member.idle == connections[:2]
    assert connections[2].is_closed


def test_a_fresh_one_can_be_asked_for(member: Member, deadline: Deadline) -> None:
    kept = checkout(member, deadline)
    member.give_back(kept, 1.0)
    fresh = checkout(member, deadline, fresh_only=True)
    assert fresh is not kept and not fresh.is_reused
    fresh.close()


def test_what_has_been_idle_for_long_is_closed(member: Member, deadline: Deadline) -> None:
    first, second, third = three(member, deadline)
    third.close()
    member.give_back(first, 100.0)
    member.give_back(second, 101.0)
    member.close_old(100.0 + IDLE_LIMIT_S + 0.5)
    assert member.idle == [second]
    assert first.is_closed and not second.is_closed


@pytest.mark.parametrize("says", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", b""], ids=["bytes", "end"])
def test_an_idle_connection_that_can_be_read_is_thrown_away(
    says: bytes, member: Member, listening: socket.socket, deadline: Deadline
) -> None:
    connection = checkout(member, deadline)
    accepted, _ = listening.accept()
    member.give_back(connection, 1.0)
    accepted.sendall(says)
    if not says:
        accepted.close()
    let_the_hub_run(lambda: connection.is_closed)
    assert member.idle == []
    accepted.close()


def test_one_that_spoke_out_of_turn_is_not_kept(member: Member, listening: socket.socket, deadline: Deadline) -> None:
    connection = checkout(member, deadline)
    accepted, _ = listening.accept()
    with accepted:
        accepted.sendall(b"more than was asked for")
        let_the_hub_run(lambda: connection.sock.recv(1, socket.MSG_PEEK))
        member.give_back(connection, 1.0)
    assert connection.is_closed and not member.idle


def test_closing_closes_the_idle_ones_and_those_that_come_back(member: Member, deadline: Deadline) -> None:
    """A reload drops a member while one of its connections is still answering."""
    idle, busy, other = three(member, deadline)
    other.close()
    member.give_back(idle, 1.0)
    member.close()
    assert idle.is_closed and not busy.is_closed
    member.give_back(busy, 2.0)
    assert busy.is_closed and not member.idle


# --- what is remembered


@pytest.mark.parametrize("status", [200, 304, 404, 500, 503])
def test_an_answer_is_counted_by_class_and_time(status: int, member: Member) -> None:
    assert member.observe(status, 0.003, 1.0) == 0.0
    counters = member.counters
    assert counters[C_COUNT] == counters[C_STATUS + status // 100] == counters[bucket(3000)] == 1
    assert counters[C_DURATION_US] == 3000
    assert sum(counters[bucket(0) : bucket(10**12) + 1]) == 1


@pytest.mark.parametrize("microseconds", [*BUCKET_BOUNDS_US, 10**9])
def test_a_bucket_includes_its_bound(microseconds: int, member: Member) -> None:
    member.observe(200, microseconds / 1e6, 1.0)
    assert member.counters[bucket(microseconds)] == 1


@pytest.mark.parametrize(
    ("reason", "cell"),
    [
        ("connect_failed", C_CONNECT_FAILED),
        ("connect_timeout", C_CONNECT_FAILED),
        ("backend_reset", C_RESET),
        ("backend_timeout", C_TIMEOUT),
        ("bad_response", C_BAD_RESPONSE),
        ("backend_tls", C_BAD_RESPONSE),
    ],
)
def test_a_failure_is_counted_by_its_kind(reason: str, cell: int, member: Member) -> None:
    member.observe_failure(reason, 0.1)
    assert member.counters[C_COUNT] == member.counters[cell] == 1


@pytest.mark.parametrize("fails", ["backend_reset", "backend_timeout", "bad_response", "connect_timeout", "500", "503"])
def test_five_failures_in_a_row_eject(fails: str, member: Member) -> None:
    def fail() -> float:
        return member.observe(int(fails), 0.1, 1.0) if fails.isdigit() else member.observe_failure(fails, 0.1)

    assert [fail() for _ in range(CONSECUTIVE_ERRORS - 1)] == [0.0] * (CONSECUTIVE_ERRORS - 1)
    member.observe(200, 0.1, 1.0)
    assert [fail() for _ in range(CONSECUTIVE_ERRORS)] == [*[0.0] * (CONSECUTIVE_ERRORS - 1), 30.0]


def test_refused_connects_never_eject(member: Member) -> None:
    assert {member.observe_failure("connect_failed", 0.1) for _ in range(10)} == {0.0}


def test_one_that_fails_fast_does_not_look_fast(member: Member) -> None:
    for _ in range(3):
        member.observe(503, 0.001, 1.0)
    assert member.latency.value(1.0) >= 1.0
    for _ in range(3):
        member.observe_failure("backend_reset", 0.001)
    assert member.latency.value(monotonic()) >= 0.9


def test_what_is_in_flight_moves_to_new_cells(member: Member) -> None:
    old, new = member.inflight, private_cells()
    old[member.slot] = 3
    member.use_cells(new)
    assert (sum(old), member.load()) == (0, 3)
    assert member.counters is new.counters


def test_connections_to_an_address_that_is_the_backends_no_more_are_not_kept(
    member: Member, deadline: Deadline
) -> None:
    idle, in_use = checkout(member, deadline), checkout(member, deadline)
    member.give_back(idle, 1.0)
    member.move(((socket.AF_INET, ("192.0.2.1", 80)),))
    assert (member.idle, idle.is_closed) == ([], True)
    member.give_back(in_use, 2.0)
    assert (member.idle, in_use.is_closed) == ([], True)


def test_connections_to_an_address_that_is_still_the_backends_are_kept(member: Member, deadline: Deadline) -> None:
    idle, in_use = checkout(member, deadline), checkout(member, deadline)
    member.give_back(idle, 1.0)
    member.move((*member.addresses, (socket.AF_INET, ("192.0.2.1", 80))))
    member.give_back(in_use, 2.0)
    assert member.idle == [idle, in_use]


# --- what a backend that ends without an answer has taken

REQUEST = b"POST / HTTP/1.1\r\n\r\n"


def reads(backend: socket.socket) -> None:
    assert backend.recv(1000) == REQUEST


def half_closes(backend: socket.socket) -> None:
    backend.shutdown(socket.SHUT_WR)


def closes(backend: socket.socket) -> None:
    backend.close()


@pytest.mark.parametrize(
    ("before", "after", "never_took"),
    [
        ([closes], [], True),
        ([], [reads, closes], False),
        ([half_closes], [reads], False),
        ([half_closes], [reads, closes], False),
        ([half_closes], [], False),
    ],
    ids=["closed-before", "read-and-closed", "half-closed-and-read", "half-closed-read-closed", "half-closed"],
)
def test_what_never_reached_a_process_is_told_from_what_did(
    before: list[Any], after: list[Any], never_took: bool, member: Member, listening: socket.socket, deadline: Deadline
) -> None:
    connection = checkout(member, deadline)
    backend, _ = listening.accept()
    with backend:
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        backend.recv(1000)
        backend.send(b"an answer")
        assert connection.recv() == b"an answer"
        for step in before:
            step(backend)
        connection.send(REQUEST)
        for step in after:
            step(backend)
        assert connection.recv() == b""
        assert connection.never_took(len(REQUEST)) is never_took
    connection.close()


def test_of_a_unix_socket_it_cannot_be_told(tmp_path: Path, deadline: Deadline) -> None:
    path = str(tmp_path / "b.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        member = member_of(Backend("b", unix_path=path))
        connection = checkout(member, deadline)
        listening.accept()[0].close()
        assert connection.recv() == b""
        assert connection.never_took(10) is False
        connection.close()
        member.close()


@pytest.mark.parametrize("status", [501, 505])
def test_what_is_said_of_the_request_is_no_error_of_the_backend(status: int) -> None:
    """Nor does it hide one: a client could otherwise eject backends that are well, or keep broken ones."""
    member = member_of(Backend("b", host="127.0.0.1", port=1))
    assert {member.observe(status, 0.001, 1.0) for _ in range(20)} == {0.0}
    said = [member.observe(one, 0.001, 1.0) for one in (500, status, 502, status, 500, 599, 500)]
    assert said == [0.0] * 6 + [BASE_EJECTION_S]


def test_a_hundred_tls_members_share_one_context() -> None:
    """One takes tens of milliseconds and most of a megabyte: a reload that adds a hundred must not stop a worker."""
    started = time.monotonic()
    members = [member_of(Backend(str(port), scheme="https", host="127.0.0.1", port=port)) for port in range(1, 101)]
    assert len({id(member._context()) for member in members}) == 1
    assert time.monotonic() - started < 1.0


def test_a_ca_file_that_changes_is_read_again_and_one_that_goes_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = self_signed(tmp_path / "a", "a.test")[0], self_signed(tmp_path / "b", "b.test")[0]
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Path(first).read_bytes())
    member = member_of(Backend("b", scheme="https", host="127.0.0.1", port=1), tls=BackendTls(ca=str(ca)))
    before = member._context()
    ca.write_bytes(Path(second).read_bytes())
    os.utime(ca, ns=(1, 1))
    after = member._context()
    assert before is not after and before.get_ca_certs() != after.get_ca_certs()
    ca.unlink()
    assert member._context() is after
