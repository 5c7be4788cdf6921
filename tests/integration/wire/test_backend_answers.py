"""Rows 37 to 45: answers that are cut, stall, are no answers, or never end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration.wire.conftest import FIRST_BYTE_S, IDLE_S, SLACK_S, Lane
from tests.support.behaviours import (
    CHUNKED_HEAD,
    LONG_HEAD,
    OK,
    answering,
    closing_after,
    dribbling,
    repeating,
    resetting_after,
    stalling_after,
)
from tests.support.fault_origin import Behaviour
from tests.support.raw_client import RawClient, request
from tests.support.scale import MIB

WARM_UP_BYTES = 32 * MIB


@pytest.mark.parametrize(
    "part", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"]
)
def test_row_37_reset_in_the_head_is_502(lane: Lane, part: bytes) -> None:
    lane.serve(resetting_after(part))
    assert lane.get().status == 502
    assert lane.get(method="POST", body=b"once").status == 502
    assert len(lane.requests) <= 3


@pytest.mark.parametrize("end", [resetting_after, closing_after], ids=["reset", "close"])
@pytest.mark.parametrize("part", [LONG_HEAD + b"part", CHUNKED_HEAD + b"4\r\npart\r\n", CHUNKED_HEAD + b"9\r\npart"])
def test_row_38_a_cut_body_never_looks_whole_and_is_not_retried(
    lane: Lane, part: bytes, end: Callable[[bytes], Behaviour]
) -> None:
    lane.serve(end(part))
    received = lane.exchange("/cut")
    answers = received.answers()
    assert received.is_closed
    assert [(one.status, one.is_complete) for one in answers] in ([(200, False)], [])
    assert len(lane.requests) == 1
    assert lane.balancer.wait_for_access(f"{lane.path}/cut")["reason"] == "upstream_truncated"


def test_row_39_stall_before_the_head_is_504(lane: Lane) -> None:
    lane.serve(stalling_after())
    started = time.monotonic()
    assert lane.get().status == 504
    assert FIRST_BYTE_S * 0.9 < time.monotonic() - started < 2 * FIRST_BYTE_S + SLACK_S


def test_row_39_stall_inside_the_head_is_504(lane: Lane) -> None:
    lane.serve(stalling_after(b"HTTP/1.1 200 OK\r\nContent-"))
    assert lane.get().status == 504


def test_row_39_a_dribbled_head_is_504(lane: Lane) -> None:
    """A byte now and then must not count as progress for ever."""
    lane.serve(dribbling(b"HTTP/1.1 200 OK\r\nX-Pad: " + b"x" * 400 + b"\r\nContent-Length: 2\r\n\r\nok", 0.02))
    assert lane.get().status == 504


@pytest.mark.parametrize("part", [LONG_HEAD + b"part", CHUNKED_HEAD + b"4\r\npart\r\n"])
def test_row_39_stall_inside_the_body_is_cut(lane: Lane, part: bytes) -> None:
    lane.serve(stalling_after(part))
    received = lane.exchange()
    assert received.is_closed
    assert [(one.status, one.is_complete) for one in received.answers()] == [(200, False)]
    assert IDLE_S * 0.9 < received.elapsed_s < IDLE_S + SLACK_S
    assert lane.is_free_within(SLACK_S)


def test_row_39_a_slow_body_that_goes_on_is_whole(lane: Lane) -> None:
    lane.serve(dribbling(OK[:-2] + b"ok", 0.005))
    assert lane.get().body == b"ok"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00" + bytes(60),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 0200 OK\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"\x00" * 100_000,
    ],
)
def test_row_40_garbage_is_502_and_none_of_it_gets_through(lane: Lane, garbage: bytes) -> None:
    lane.serve(closing_after(garbage))
    received = lane.exchange()
    assert received.answer().status == 502
    assert garbage[:12] not in received.data
    assert not [one for one in received.data if one < 9]


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok"])
def test_row_40_a_backend_that_speaks_garbage_loses_its_connection(lane: Lane, garbage: bytes) -> None:
    """At once, although it would keep it open, and it may be whole by its own lengths."""
    lane.serve(stalling_after(garbage))
    assert [lane.get(method="POST", body=b"once").status for _ in range(4)] == [502] * 4
    assert lane.is_free_within(SLACK_S)
    assert lane.first.connections + lane.second.connections == 4


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: 2, 3",
        b"Content-Length: 0x2",
        b"Content-Length: 2 2",
        b"Content-Length: ",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: identity",
    ],
)
def test_row_41_framing_nobody_can_be_sure_of_is_502(lane: Lane, framing: bytes) -> None:
    lane.serve(closing_after(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    assert lane.get().status == 502


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        (b"HTTP/1.1 200 ", b"O"),
        (b"", b"H"),
        (b"", b"\r\n"),
    ],
    ids=["fields", "value", "reason", "letters", "empty-lines"],
)
def test_row_42_an_endless_head_is_502(lane: Lane, start: bytes, piece: bytes) -> None:
    lane.serve(repeating(start, piece))
    assert lane.get().status == 502
    assert lane.is_free_within(SLACK_S)


@pytest.mark.parametrize("count", [201, 3000])
def test_row_42_too_many_fields_is_502(lane: Lane, count: int) -> None:
    lane.serve(closing_after(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * count + b"Content-Length: 2\r\n\r\nok"))
    assert lane.get().status == 502


@pytest.mark.parametrize("more", [b"X-A: b\r\n" * 199, b"X-A: " + b"b" * 60_000 + b"\r\n"], ids=["200-fields", "60-kB"])
def test_row_42_a_large_head_within_its_bounds_is_passed_on(lane: Lane, more: bytes) -> None:
    lane.serve(closing_after(b"HTTP/1.1 200 OK\r\n" + more + b"Content-Length: 2\r\n\r\nok"))
    answer = lane.get()
    assert (answer.status, answer.body) == (200, b"ok")
    assert sum(len(value) for value in answer.values("x-a")) == more.count(b"b")


@pytest.mark.parametrize(
    "line", [b"X-A: a\x00b", b"X-A: a\rSet-Cookie: b=1", b"X-A: a\nSet-Cookie: b=1", b"X A: b", b": b"]
)
def test_row_43_fields_that_could_split_an_answer_are_502(lane: Lane, line: bytes) -> None:
    lane.serve(closing_after(b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nok"))
    received = lane.exchange()
    assert received.answer().status == 502
    assert b"Set-Cookie" not in received.data


def test_row_43_folds_and_space_before_the_colon_are_repaired(lane: Lane) -> None:
    lane.serve(closing_after(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\tc\r\nX-B : d\r\nContent-Length: 2\r\n\r\nok"))
    answer = lane.get()
    assert (answer.status, answer.value("x-a"), answer.value("x-b")) == (200, "b c", "d")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED_HEAD], ids=["until-close", "chunked"])
def test_row_44_an_endless_body_streams_in_constant_memory_until_the_client_leaves(lane: Lane, head: bytes) -> None:
    stream_bytes = lane.stream_bytes(is_chunked=head == CHUNKED_HEAD)
    lane.serve(repeating(head, b"10000\r\n" + b"x" * 65536 + b"\r\n"))
    with RawClient(lane.balancer.port) as client:
        client.send(request(lane.path + "/endless"))
        assert _take(client, WARM_UP_BYTES) >= WARM_UP_BYTES
        with lane.balancer.growing_less_than(20 * MIB):
            assert _take(client, stream_bytes) >= stream_bytes
    assert lane.is_free_within(SLACK_S)


def _take(client: RawClient, size: int) -> int:
    """Bytes that came, until it was so many or the end."""
    buffer = bytearray(MIB)
    took = 0
    while took < size and (came := client.sock.recv_into(buffer)):
        took += came
    return took


def test_row_45_a_flood_of_interim_answers_is_502(lane: Lane) -> None:
    lane.serve(repeating(b"", b"HTTP/1.1 102 Processing\r\n\r\n"))
    assert lane.get().status == 502


def test_row_45_some_interim_answers_are_fine(lane: Lane) -> None:
    lane.serve(closing_after(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 10 + OK))
    assert lane.get().body == b"ok"


@pytest.mark.parametrize("fields", [b"", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"])
def test_row_45_an_unsolicited_101_is_502(lane: Lane, fields: bytes) -> None:
    lane.serve(closing_after(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n" + OK))
    received = lane.exchange()
    assert received.answer().status == 502


def test_row_45_early_hints_go_to_1_1_and_not_to_1_0(worker_lane: Lane) -> None:
    lane = worker_lane
    lane.serve(answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK))
    assert lane.get().interim == [103]
    with RawClient(lane.balancer.port) as client:
        client.send(f"GET {lane.path}/ HTTP/1.0\r\n\r\n".encode())
        assert client.receive(idle_s=5).data.startswith(b"HTTP/1.1 200 ")
