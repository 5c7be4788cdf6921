"""The body of a small answer, in whichever of the three framings it comes, never over a limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lb.health.exchange import ExchangeError
from lb.http1.chunked import ChunkedDecoder, ChunkError
from lb.http1.response import ResponseFields

BODY_LIMIT_BYTES = 64 * 1024
_RECV_BYTES = 16 * 1024


def read_body(sock: Any, fields: ResponseFields, rest: bytes) -> bytes:
    """The whole body; ``rest`` is what came with the head. ExchangeError if it is cut short, badly
    framed or over 64 KiB. Only for answers that carry one (not for HEAD, 204, 304)."""
    if fields.content_length > BODY_LIMIT_BYTES:
        raise ExchangeError("body over 64 KiB")
    body = b""
    for piece in _pieces(sock, fields, rest):
        body += piece
        if len(body) > BODY_LIMIT_BYTES:
            raise ExchangeError("body over 64 KiB")
    return body


def read_beginning(sock: Any, fields: ResponseFields, rest: bytes) -> bytes:
    """The first 64 KiB of a body; ExchangeError if it is cut short or badly framed before that."""
    body = b""
    for piece in _pieces(sock, fields, rest):
        body += piece
        if len(body) >= BODY_LIMIT_BYTES:
            break
    return body[:BODY_LIMIT_BYTES]


def _pieces(sock: Any, fields: ResponseFields, rest: bytes) -> Iterator[bytes]:
    """As they come; some may be empty."""
    if fields.chunked:
        return _chunked(sock, rest)
    if fields.content_length >= 0:
        return _counted(sock, rest, fields.content_length)
    return _until_close(sock, rest)


def _chunked(sock: Any, rest: bytes) -> Iterator[bytes]:
    decoder = ChunkedDecoder(for_request=False)
    try:
        yield decoder.feed(rest)
        while not decoder.done:
            yield decoder.feed(_more(sock))
    except ChunkError as error:
        raise ExchangeError(f"bad response: {error.detail}") from error


def _counted(sock: Any, rest: bytes, left: int) -> Iterator[bytes]:
    while len(rest) < left:
        yield rest
        left -= len(rest)
        rest = _more(sock)
    yield rest[:left]


def _until_close(sock: Any, rest: bytes) -> Iterator[bytes]:
    yield rest
    while data := sock.recv(_RECV_BYTES):
        yield data


def _more(sock: Any) -> bytes:
    data: bytes = sock.recv(_RECV_BYTES)
    if not data:
        raise ExchangeError("closed inside the body")
    return data
