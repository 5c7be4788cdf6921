"""Endpoints that move bodies: echo, huge, chunked, server-sent events, dripping. All streamed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import gevent

from backends.exchange import Reply, Request, json_reply
from backends.switches import BadSwitch, bounded, duration_s

BLOCK = bytes(range(256)) * 256
MAX_BYTES = 1 << 40
MAX_PIECES = 1_000_000
MAX_PIECE_BYTES = 1 << 24


def echo(request: Request) -> Reply:
    """What arrived here: target and header lines as sent, the body's length and SHA-256."""
    digest = hashlib.sha256()
    length_bytes = 0
    for piece in request.body():
        digest.update(piece)
        length_bytes += len(piece)
    return json_reply(
        {
            "method": request.method,
            "path": request.path,
            "target": request.environ["backends.target"],
            "query": request.query,
            "headers": request.environ["backends.headers"],
            "client": request.environ.get("REMOTE_ADDR", ""),
            "body_bytes": length_bytes,
            "body_sha256": digest.hexdigest(),
        }
    )


def numbered_bytes(request: Request) -> Reply:
    """``/bytes/N``: N bytes, the byte at offset i is i mod 256."""
    text = request.path.removeprefix("/bytes/")
    if not (text.isascii() and text.isdigit()):
        raise BadSwitch(f"not a number of bytes: {text!r}")
    total_bytes = bounded(text, 0, MAX_BYTES)
    return Reply(
        pattern(total_bytes),
        content_type="application/octet-stream",
        headers=(("Content-Length", str(total_bytes)),),
    )


def pattern(total_bytes: int) -> Iterator[bytes]:
    left = total_bytes
    while left > 0:
        piece = BLOCK if left >= len(BLOCK) else BLOCK[:left]
        left -= len(piece)
        yield piece


def chunked(request: Request) -> Reply:
    """``?n=10&size=100&interval=0``: n chunks of that many bytes, of digits 0 to 9 in turn."""
    count, size_bytes, interval_s = pace(request, count=10, size_bytes=100)
    return Reply(pieces(count, size_bytes, interval_s), content_type="application/octet-stream")


def drip(request: Request) -> Reply:
    """As ``/chunked``, but with a Content-Length: ``?n=10&size=1&interval=100ms``."""
    count, size_bytes, interval_s = pace(request, count=10, size_bytes=1, interval="100ms")
    return Reply(
        pieces(count, size_bytes, interval_s),
        content_type="application/octet-stream",
        headers=(("Content-Length", str(count * size_bytes)),),
    )


def sse(request: Request) -> Reply:
    """``?n=10&interval=1s``: numbered server-sent events."""
    count, _, interval_s = pace(request, count=10, size_bytes=1, interval="1s")
    return Reply(events(count, interval_s), content_type="text/event-stream", headers=(("Cache-Control", "no-store"),))


def pace(request: Request, *, count: int, size_bytes: int, interval: str = "0s") -> tuple[int, int, float]:
    query = request.query
    return (
        bounded(query.get("n", str(count)), 0, MAX_PIECES),
        bounded(query.get("size", str(size_bytes)), 1, MAX_PIECE_BYTES),
        duration_s(query.get("interval", interval)),
    )


def pieces(count: int, size_bytes: int, interval_s: float) -> Iterator[bytes]:
    for number in range(count):
        if number and interval_s:
            gevent.sleep(interval_s)
        yield b"%d" % (number % 10) * size_bytes


def events(count: int, interval_s: float) -> Iterator[bytes]:
    for number in range(count):
        if number and interval_s:
            gevent.sleep(interval_s)
        yield b"id: %d\ndata: event %d\n\n" % (number, number)
