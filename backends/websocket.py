"""A WebSocket echo, RFC 6455, as a generator: reads frames from a stream, yields bytes to send.

Echoes text and binary messages (fragments are joined), answers pings, closes with the peer's code.
Extensions are never negotiated. Knows nothing of sockets or WSGI beyond the opening handshake.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from backends.exchange import ByteReader, Reply, Request, json_reply

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
PROTOCOL_ERROR, INVALID_PAYLOAD, MESSAGE_TOO_BIG = 1002, 1007, 1009


class ProtocolError(Exception):
    """The peer broke the protocol: close with ``code`` (section 7.4.1)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    is_final: bool
    opcode: int
    payload: bytes

    @property
    def is_control(self) -> bool:
        return self.opcode >= CLOSE


def endpoint(request: Request) -> Reply:
    """The opening handshake (section 4.2), then the echo."""
    if not is_opening(request):
        return Reply(status=426, headers=(("Upgrade", "websocket"), ("Connection", "Upgrade")))
    if request.header("Sec-WebSocket-Version") != "13":
        return Reply(status=426, headers=(("Sec-WebSocket-Version", "13"),))
    key = request.header("Sec-WebSocket-Key")
    if not is_nonce(key):
        return json_reply({"error": "bad Sec-WebSocket-Key"}, 400)
    headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept(key)))
    return Reply(echo(request.stream), status=101, content_type="", headers=headers)


def is_opening(request: Request) -> bool:
    connection = {token.strip().lower() for token in request.header("Connection").split(",")}
    return request.method == "GET" and "upgrade" in connection and request.header("Upgrade").lower() == "websocket"


def is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + GUID).digest()).decode()


def echo(stream: ByteReader) -> Iterator[bytes]:
    """Frames to send, until the peer closes, breaks the protocol or is gone (EOFError ends it)."""
    opcode, parts = CONTINUATION, bytearray()
    try:
        while True:
            frame = read_frame(stream)
            if frame.is_control:
                yield from control_answer(frame)
                if frame.opcode == CLOSE:
                    return
                continue
            if (frame.opcode == CONTINUATION) != (opcode != CONTINUATION):
                raise ProtocolError(PROTOCOL_ERROR)
            opcode = opcode or frame.opcode
            parts += frame.payload
            if len(parts) > MAX_MESSAGE_BYTES:
                raise ProtocolError(MESSAGE_TOO_BIG)
            if frame.is_final:
                yield message(opcode, bytes(parts))
                opcode, parts = CONTINUATION, bytearray()
    except ProtocolError as error:
        yield encode(CLOSE, error.code.to_bytes(2, "big"))
    except EOFError:
        return


def control_answer(frame: Frame) -> Iterator[bytes]:
    if frame.opcode == PING:
        yield encode(PONG, frame.payload)
    elif frame.opcode == CLOSE:
        if len(frame.payload) == 1:
            raise ProtocolError(PROTOCOL_ERROR)
        yield encode(CLOSE, frame.payload[:2])


def message(opcode: int, payload: bytes) -> bytes:
    if opcode == TEXT:
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise ProtocolError(INVALID_PAYLOAD) from None
    return encode(opcode, payload)


def read_frame(stream: ByteReader) -> Frame:
    """One frame of a client: masked, no reserved bits (sections 5.1, 5.2, 5.5)."""
    first, second = take(stream, 2)
    opcode, length = first & 0x0F, second & 0x7F
    is_control_valid = opcode < CLOSE or (first & 0x80 and length < 126)
    if first & 0x70 or not second & 0x80 or opcode not in OPCODES or not is_control_valid:
        raise ProtocolError(PROTOCOL_ERROR)
    if length > 125:
        length = int.from_bytes(take(stream, 2 if length == 126 else 8), "big")
    if length > MAX_MESSAGE_BYTES:
        raise ProtocolError(MESSAGE_TOO_BIG)
    mask = take(stream, 4)
    return Frame(bool(first & 0x80), opcode, unmask(take(stream, length), mask))


def take(stream: ByteReader, size: int) -> bytes:
    data = stream.read(size) if size else b""
    if len(data) < size:
        raise EOFError
    return data


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR as one big integer: the quick way in pure Python."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def encode(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload
