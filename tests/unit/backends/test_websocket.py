"""The WebSocket echo: frames in, frames out, and one handshake over a real connection."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import websocket
from backends.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.unit.backends.client import Client

MASK = b"\x01\x02\x03\x04"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, masked: int = 0x80) -> bytes:
    """A client's frame; the payload is masked here with an independent loop."""
    size = len(payload)
    if size < 126:
        head = bytes((first | opcode, masked | size))
    elif size < 65536:
        head = bytes((first | opcode, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first | opcode, masked | 127)) + size.to_bytes(8, "big")
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def answers(*frames: bytes) -> list[bytes]:
    return list(websocket.echo(io.BytesIO(b"".join(frames))))


def closing(code: int) -> bytes:
    return websocket.encode(CLOSE, code.to_bytes(2, "big"))


def test_the_accept_value_of_the_standard() -> None:
    assert websocket.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(st.binary(max_size=70_000) | st.sampled_from([b"x" * size for size in (125, 126, 65535, 65536)]))
def test_a_binary_message_comes_back(payload: bytes) -> None:
    assert answers(frame(BINARY, payload)) == [websocket.encode(BINARY, payload)]


def test_text_comes_back_as_text() -> None:
    assert answers(frame(TEXT, "grüße".encode())) == [websocket.encode(TEXT, "grüße".encode())]


def test_fragments_are_joined_with_a_ping_between_them() -> None:
    sent = [
        frame(TEXT, b"hel", first=0),
        frame(PING, b"?"),
        frame(CONTINUATION, b"l", first=0),
        frame(CONTINUATION, b"o"),
    ]
    assert answers(*sent) == [websocket.encode(PONG, b"?"), websocket.encode(TEXT, b"hello")]


def test_an_unasked_pong_is_ignored() -> None:
    assert answers(frame(PONG, b"x"), frame(TEXT, b"a")) == [websocket.encode(TEXT, b"a")]


def test_close_is_answered_with_its_code_and_ends() -> None:
    sent = frame(CLOSE, (1001).to_bytes(2, "big") + b"bye"), frame(TEXT, b"too late")
    assert answers(*sent) == [closing(1001)]


@pytest.mark.parametrize(
    "bad",
    [
        frame(TEXT, b"a", masked=0),
        frame(TEXT, b"a", first=0xC0),
        frame(0x3, b"a"),
        frame(PING, b"a", first=0),
        frame(PING, b"a" * 126),
        frame(CONTINUATION, b"a"),
        frame(TEXT, b"a", first=0) + frame(TEXT, b"b"),
        frame(CLOSE, b"x"),
    ],
    ids=["unmasked", "reserved bit", "opcode", "fragmented ping", "long ping", "no start", "no end", "short close"],
)
def test_a_broken_frame_closes_with_1002(bad: bytes) -> None:
    assert answers(bad)[-1] == closing(1002)


def test_bad_utf8_closes_with_1007() -> None:
    assert answers(frame(TEXT, b"\xff")) == [closing(1007)]


def test_a_huge_frame_closes_with_1009_unread() -> None:
    assert answers(bytes((0x82, 0xFF)) + (1 << 40).to_bytes(8, "big")) == [closing(1009)]


def test_a_peer_that_goes_away_ends_it() -> None:
    assert answers(frame(TEXT, b"hello")[:-2]) == []


def test_over_a_connection(backend: Client) -> None:
    with backend.connect() as connection, connection.makefile("rb") as reader:
        connection.sendall(HANDSHAKE)
        head = b"".join(iter(reader.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        connection.sendall(frame(TEXT, b"hello"))
        assert reader.read(7) == websocket.encode(TEXT, b"hello")
        connection.sendall(frame(CLOSE, (1000).to_bytes(2, "big")))
        assert reader.read() == closing(1000)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Upgrade: websocket\r\n", b"", 426),
        (b"Connection: keep-alive, Upgrade", b"Connection: close", 426),
        (b"Version: 13", b"Version: 12", 426),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ=", 400),
    ],
    ids=["no upgrade", "no connection", "version", "key"],
)
def test_a_bad_handshake_is_a_plain_answer(backend: Client, old: bytes, new: bytes, status: int) -> None:
    with backend.connect() as connection:
        connection.sendall(HANDSHAKE.replace(old, new))
        assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)
