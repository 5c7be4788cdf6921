"""What answers say of a backend's load: heard where a policy wants to know, passed on only where that is configured."""

from __future__ import annotations

from time import monotonic_ns

import pytest

from lb.proxy.attempt import attempt
from lb.proxy.deadlines import Deadline
from lb.proxy.member import Member
from lb.proxy.pool import LivePool
from lb.state.layout import (
    C_LOAD_REPORTS,
    C_LOAD_REPORTS_JUNK,
    SH_CPU_MILLI,
    SH_LATENCY_US,
    SH_MEMORY_MILLI,
    SH_METRICS_NS,
)
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.unit.proxy.live import backends, open_pool, request

TEXT = b"endpoint-load-metrics: TEXT cpu_utilization=0.5,mem_utilization=0.25"


def answer_with(
    deadline: Deadline, *lines: bytes, hears: bool = True, **settings: object
) -> tuple[Member, bytes, LivePool]:
    """The member after one answer with these lines, the head that the client would get, and the pool."""
    raw = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 2", b"", b"ok"])
    with fault_origin(answering(raw)) as origin, open_pool(*backends(origin.port), **settings) as pool:
        member = pool.members[0]
        member.hears_load = hears
        return member, send(pool, deadline), pool


def send(pool: LivePool, deadline: Deadline) -> bytes:
    with request(deadline) as exchange:
        exchange.member = pool.pick("random", b"", ())
        exchange.is_answering = True
        answer = attempt(exchange, exchange.member)
        exchange.release()
        return answer.head


def heard(member: Member) -> tuple[int, int, bool]:
    shared = member.shared
    return shared[SH_CPU_MILLI], shared[SH_MEMORY_MILLI], bool(shared[SH_METRICS_NS])


def counted(member: Member) -> tuple[int, int]:
    return member.counters[C_LOAD_REPORTS], member.counters[C_LOAD_REPORTS_JUNK]


def test_a_report_is_the_backends_load_from_then_on(deadline: Deadline) -> None:
    before_ns = monotonic_ns()
    member, head, pool = answer_with(deadline, TEXT)
    assert heard(member) == (50_000, 25_000, True)
    assert member.shared[SH_METRICS_NS] >= before_ns
    assert counted(member) == (1, 0)
    assert b"load" not in head
    assert pool.score(0) == pytest.approx(0.4 * 0.5 + 0.2 * 0.75 + 0.2 + 0.2)


def test_clients_get_it_only_if_the_pool_says_so(deadline: Deadline) -> None:
    _, head, _ = answer_with(deadline, TEXT, forward_load_reports=True)
    assert TEXT + b"\r\n" in head


def test_where_nobody_wants_to_know_it_is_not_read(deadline: Deadline) -> None:
    member, head, _ = answer_with(deadline, TEXT, hears=False)
    assert (heard(member), counted(member)) == ((0, 0, False), (0, 0))
    assert b"load" not in head


def test_junk_is_counted_and_changes_nothing(deadline: Deadline) -> None:
    member, head, _ = answer_with(deadline, b"endpoint-load-metrics: TEXT cpu_utilization=much")
    assert (heard(member), counted(member)) == ((0, 0, False), (0, 1))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_report_of_other_things_is_none_of_load(deadline: Deadline) -> None:
    member, _, _ = answer_with(deadline, b"endpoint-load-metrics: TEXT named_metrics.queue=7")
    assert (heard(member), counted(member)) == ((0, 0, False), (1, 0))


def test_what_a_report_leaves_out_stays_as_it_was_polled(deadline: Deadline) -> None:
    raw = b"HTTP/1.1 200 OK\r\nendpoint-load-metrics: TEXT cpu_utilization=0.5\r\nContent-Length: 2\r\n\r\nok"
    with fault_origin(answering(raw)) as origin, open_pool(*backends(origin.port)) as pool:
        (member,) = pool.members
        member.hears_load = True
        shared = member.shared
        shared[SH_CPU_MILLI], shared[SH_MEMORY_MILLI], shared[SH_METRICS_NS] = 10_000, 60_000, 1
        send(pool, deadline)
        assert heard(member) == (50_000, 60_000, True)
        shared[SH_METRICS_NS] = 0  # nobody has polled for long: what is left of it says nothing
        send(pool, deadline)
        assert heard(member) == (50_000, 0, True)


def test_the_last_word_counts_whoever_has_it(deadline: Deadline) -> None:
    raw = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\nok" % TEXT
    with fault_origin(answering(raw)) as origin, open_pool(*backends(origin.port)) as pool:
        (member,) = pool.members
        member.hears_load = True
        send(pool, deadline)
        member.shared[SH_CPU_MILLI] = 90_000  # a poll
        assert heard(member)[0] == 90_000
        send(pool, deadline)  # the same words again are news
        assert heard(member)[0] == 50_000
        assert counted(member) == (2, 0)


def test_latency_is_what_the_worker_has_measured(deadline: Deadline) -> None:
    raw = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\nok" % TEXT
    with fault_origin(answering(raw, delay_s=0.02)) as origin, open_pool(*backends(origin.port)) as pool:
        (member,) = pool.members
        member.hears_load = True
        for _ in range(4):
            send(pool, deadline)
        assert 15_000 < member.shared[SH_LATENCY_US] < 1_000_000
