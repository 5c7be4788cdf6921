"""Request bodies on their way to a backend: the same wire bytes however they arrive, and never too many."""

from __future__ import annotations

import io
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import RequestError
from lb.proxy.body import MIN_RATE_BYTES, MIN_RATE_WINDOW_S, REPLAY_BYTES, InputBody, WireBody
from tests.support.scripted import ScriptedStream, cut, head_of

CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b'5;name="v"\r\nhello\r\n006\r\n world\r\n0\r\nX-Sum: 1\r\nx_y: 2\r\n\r\n'
NEXT = b"GET /next HTTP/1.1\r\n"


def wire_body(field: str, *pieces: Any, buffered: bytes = b"") -> WireBody:
    """What came with the head, and then one piece per read."""
    body = WireBody(ScriptedStream(*pieces), head_of("POST / HTTP/1.1", field).fields)  # type: ignore[arg-type]
    body.start(buffered)
    return body


def sent(body: WireBody | InputBody) -> bytes:
    """All wire bytes, as the data path takes them."""
    data = body.take()
    while not body.is_done:
        if not body.read():
            gevent.sleep(0)
        data += body.take()
    return data


def payload(wire: bytes) -> bytes:
    """Of a chunked body without extensions."""
    found = b""
    while True:
        size, _, wire = wire.partition(b"\r\n")
        if not int(size, 16):
            return found
        found, wire = found + wire[: int(size, 16)], wire[int(size, 16) + 2 :]


def fails(body: WireBody | InputBody) -> str:
    with pytest.raises(RequestError) as caught:
        sent(body)
    return caught.value.reason


PLACES = st.lists(st.integers(0, 70), max_size=8)


@given(places=PLACES, with_head=st.booleans())
def test_a_length_is_a_length_however_it_is_cut(places: list[int], with_head: bool) -> None:
    pieces = cut(b"hello world" + NEXT, places)
    buffered = pieces.pop(0) if with_head else b""
    body = wire_body("Content-Length: 11", *pieces, buffered=buffered)
    assert body.framing() == b"Content-Length: 11\r\n"
    assert sent(body) == b"hello world"
    assert body.received == 11
    assert NEXT.startswith(body.rest)


@given(places=PLACES, with_head=st.booleans())
def test_chunks_carry_the_same_however_they_are_cut(places: list[int], with_head: bool) -> None:
    pieces = cut(CHUNKS + NEXT, places)
    buffered = pieces.pop(0) if with_head else b""
    body = wire_body(CHUNKED, *pieces, buffered=buffered)
    assert body.framing() == b"Transfer-Encoding: chunked\r\n"
    wire = sent(body)
    assert payload(wire) == b"hello world"
    assert wire.endswith(b"\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert b"name" not in wire
    assert NEXT.startswith(body.rest)


@given(places=PLACES)
def test_what_was_sent_can_be_sent_again(places: list[int]) -> None:
    body = wire_body("Content-Length: 11", *cut(b"hello world", places))
    first = body.take()
    body.read()
    first += body.take()
    body.replay()
    assert body.is_replayable
    assert sent(body) == b"hello world"
    assert b"hello world".startswith(first)
    body.replay()
    assert body.take() == b"hello world"


def test_too_much_to_keep_cannot_be_sent_again() -> None:
    size = REPLAY_BYTES + 1
    body = wire_body(f"Content-Length: {size}", bytes(REPLAY_BYTES), b"x")
    body.read()
    body.take()
    assert body.is_replayable
    assert len(sent(body)) == 1
    assert not body.is_replayable


def test_nothing_has_come_yet() -> None:
    body = wire_body("Content-Length: 2", None, b"ok")
    assert not body.read()
    assert body.read()
    assert body.take() == b"ok"


@pytest.mark.parametrize(
    ("field", "pieces", "reason"),
    [
        ("Content-Length: 3", [b"he"], "body_truncated"),
        ("Content-Length: 3", [], "body_truncated"),
        ("Content-Length: 3", [b"he", ConnectionResetError()], "client_gone"),
        (CHUNKED, [CHUNKS[:20]], "body_truncated"),
        (CHUNKED, [b"0x5\r\nhello"], "bad_chunk"),
        (CHUNKED, [b"5\r\nhelloX"], "bad_chunk"),
        (CHUNKED, [b"0\r\nContent-Length: 1\r\n\r\n"], "bad_chunk"),
        (CHUNKED, [b"0\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"], "head_too_large"),
    ],
)
def test_a_body_that_is_none(field: str, pieces: list[Any], reason: str) -> None:
    assert fails(wire_body(field, *pieces)) == reason


@pytest.mark.parametrize(("limit", "passes"), [(None, True), (11, True), (10, False), (0, False)])
@pytest.mark.parametrize(("field", "data"), [("Content-Length: 11", b"hello world"), (CHUNKED, CHUNKS)])
@pytest.mark.parametrize("buffers", [True, False])
def test_limits(field: str, data: bytes, limit: int | None, passes: bool, buffers: bool) -> None:
    body = wire_body(field, buffered=data) if buffers else wire_body(field, data)
    try:
        body.bound(limit)
        sent(body)
    except RequestError as error:
        assert (error.reason, passes) == ("body_too_large", False)
    else:
        assert passes


def test_a_length_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    stream = ScriptedStream(b"x" * 100)
    body = WireBody(stream, head_of("POST / HTTP/1.1", "Content-Length: 100").fields)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="body_too_large"):
        body.bound(99)
    assert stream.pieces == [b"x" * 100]


# --- slow clients


def test_a_client_that_sends_next_to_nothing_is_cut_off() -> None:
    body = wire_body("Content-Length: 99999", b"x" * (MIN_RATE_BYTES - 1))
    body.read()
    body.waited(MIN_RATE_WINDOW_S - 0.1)
    with pytest.raises(RequestError, match="body_timeout"):
        body.waited(0.1)


def test_one_that_sends_enough_may_go_on() -> None:
    body = wire_body("Content-Length: 99999", *[b"x" * MIN_RATE_BYTES] * 3)
    for _ in range(3):
        body.read()
        body.waited(MIN_RATE_WINDOW_S)


def test_what_came_in_an_earlier_window_does_not_count() -> None:
    body = wire_body("Content-Length: 99999", b"x" * (10 * MIN_RATE_BYTES))
    body.read()
    body.waited(MIN_RATE_WINDOW_S)
    with pytest.raises(RequestError, match="body_timeout"):
        body.waited(MIN_RATE_WINDOW_S)


# --- behind a WSGI server


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_an_input_of_known_length(size: int) -> None:
    data = bytes(size)
    body = InputBody(io.BytesIO(data + NEXT), size)
    assert body.framing() == b"Content-Length: %d\r\n" % size
    assert sent(body) == data
    assert body.is_replayable is (size <= REPLAY_BYTES)


@given(st.binary(max_size=100))
def test_an_input_of_unknown_length_is_chunked(data: bytes) -> None:
    body = InputBody(io.BytesIO(data), -1)
    assert body.framing() == b"Transfer-Encoding: chunked\r\n"
    wire = sent(body)
    assert payload(wire) == data
    body.replay()
    assert body.take() == wire


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    ("source", "length", "reason"),
    [
        (io.BytesIO(b"he"), 3, "body_truncated"),
        (Failing(ConnectionResetError()), 3, "body_truncated"),
        (Failing(ValueError("chunk")), -1, "bad_chunk"),
    ],
)
def test_an_input_that_fails(source: Any, length: int, reason: str) -> None:
    assert fails(InputBody(source, length)) == reason


@pytest.mark.parametrize(("length", "limit", "passes"), [(5, 5, True), (5, 4, False), (-1, 5, True), (-1, 4, False)])
def test_limits_of_an_input(length: int, limit: int, passes: bool) -> None:
    body = InputBody(io.BytesIO(b"hello"), length)
    try:
        body.bound(limit)
        sent(body)
    except RequestError as error:
        assert (error.reason, passes) == ("body_too_large", False)
    else:
        assert passes
