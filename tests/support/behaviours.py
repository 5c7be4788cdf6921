"""What a ``FaultOrigin`` can do to a balancer. Each function returns a ``Behaviour``, which owns one
connection; the origin closes it (FIN) when the behaviour returns.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from collections.abc import Callable
from threading import Semaphore

from tests.support.fault_origin import PATIENCE_S, Behaviour, Connection
from tests.support.recorded import Recorded

OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
OK = OK_HEAD + b"ok"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"

Reply = Callable[[Recorded], bytes]


def plain(request: Recorded) -> bytes:
    """``ok`` and the size of the body that came; nothing behind the head for HEAD."""
    body = b"ok %d\n" % len(request.body)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Origin: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if request.method == "HEAD" else head + body


def answering(reply: Reply | bytes = plain, *, delay_s: float = 0.0) -> Behaviour:
    """Keep-alive: every request gets an answer, perhaps late."""

    def serve(connection: Connection) -> None:
        while True:
            request = connection.request()
            time.sleep(delay_s)
            connection.send(reply if isinstance(reply, bytes) else reply(request))

    return serve


def answering_then(part: bytes) -> Behaviour:
    """Keep-alive for GET; any other method gets a part of an answer and a reset."""

    def serve(connection: Connection) -> None:
        while (request := connection.request()).method == "GET":
            connection.send(plain(request))
        connection.send(part)
        time.sleep(0.1)
        connection.reset()

    return serve


def closing_after_each(pauses_s: list[float]) -> Behaviour:
    """Promises keep-alive and closes after a pause that differs from connection to connection."""
    pauses = itertools.cycle(pauses_s)

    def serve(connection: Connection) -> None:
        request = connection.request()
        connection.send(plain(request))
        time.sleep(next(pauses))

    return serve


def closing_on_accept() -> Behaviour:
    return lambda connection: None


def resetting_on_accept() -> Behaviour:
    return Connection.reset


def closing_unanswered() -> Behaviour:
    """Reads the whole request and leaves."""

    def serve(connection: Connection) -> None:
        connection.request()

    return serve


def resetting_after(part: bytes) -> Behaviour:
    """Reads the request, sends a part of an answer, lets it arrive, resets."""

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(part)
        time.sleep(0.1)
        connection.reset()

    return serve


def closing_after(part: bytes) -> Behaviour:
    """Reads the request, sends ``part``, closes."""

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(part)

    return serve


def stalling_after(part: bytes = b"") -> Behaviour:
    """Reads the request, sends ``part``, and keeps silent until the balancer gives up."""

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(part)
        connection.wait_for_end()

    return serve


def dribbling(answer: bytes, pause_s: float) -> Behaviour:
    """Sends a proper answer byte by byte."""

    def serve(connection: Connection) -> None:
        while True:
            connection.request()
            connection.dribble(answer, pause_s)

    return serve


def repeating(start: bytes, piece: bytes) -> Behaviour:
    """``start`` and then ``piece`` for ever: endless heads, bodies and interim answers."""

    def serve(connection: Connection) -> None:
        connection.request()
        connection.send(start)
        pieces = piece * max(1, 65536 // len(piece))
        while True:
            connection.send(pieces)

    return serve


def refusing_early(status_line: bytes = b"HTTP/1.1 413 Content Too Large") -> Behaviour:
    """Answers at the head without reading the body, then closes with unread bytes: the kernel sends RST."""

    def serve(connection: Connection) -> None:
        connection.reader.head()
        connection.send(status_line, b"\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        time.sleep(0.05)

    return serve


def timing_out_idle(is_idle: Semaphore, has_spoken: Semaphore) -> Behaviour:
    """Answers; told that the connection is idle, sends an unsolicited 408 into it, says so, and keeps it open."""

    def serve(connection: Connection) -> None:
        connection.send(plain(connection.request()))
        is_idle.acquire(timeout=PATIENCE_S)
        connection.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate")
        has_spoken.release()
        connection.wait_for_end()

    return serve


def echoing_websocket() -> Behaviour:
    """Accepts every WebSocket handshake (RFC 6455 section 4.2.2) and echoes bytes, not frames."""

    def serve(connection: Connection) -> None:
        request = connection.request()
        key = request.value("sec-websocket-key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest())
        connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + connection.reader.buffer
        )
        while data := connection.sock.recv(65536):
            connection.send(data)

    return serve
