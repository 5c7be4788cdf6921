"""The body of a small answer, in whichever of the three framings it comes, never over a limit."""

from __future__ import annotations

from typing import Any

from lb.health.exchange import ExchangeError
from lb.http1.chunked import ChunkedDecoder, ChunkError
from lb.http1.response import ResponseFields

BODY_LIMIT_BYTES = 64 * 1024
_RECV_BYTES = 16 * 1024


def read_body(sock: Any, fields: ResponseFields, rest: bytes) -> bytes:
    """The whole body; ``rest`` is what came with the head. ExchangeError if it is cut short, badly
    framed or over 64 KiB. Only for answers that carry one (not for HEAD, 204, 304)."""
    if fields.chunked:
        return _chunked(sock, rest)
    if fields.content_length >= 0:
        return _counted(sock, rest, fields.content_length)
    return _until_close(sock, rest)


def _chunked(sock: Any, rest: bytes) -> bytes:
    decoder = ChunkedDecoder(for_request=False)
    try:
        body = decoder.feed(rest)
        while not decoder.done:
            body = _bounded(body + decoder.feed(_more(sock)))
    except ChunkError as error:
        raise ExchangeError(f"bad response: {error.detail}") from error
    return _bounded(body)


def _counted(sock: Any, rest: bytes, length: int) -> bytes:
    if length > BODY_LIMIT_BYTES:
        raise ExchangeError("body over 64 KiB")
    while len(rest) < length:
        rest += _more(sock)
    return rest[:length]


def _until_close(sock: Any, rest: bytes) -> bytes:
    while data := sock.recv(_RECV_BYTES):
        rest = _bounded(rest + data)
    return _bounded(rest)


def _more(sock: Any) -> bytes:
    data: bytes = sock.recv(_RECV_BYTES)
    if not data:
        raise ExchangeError("closed inside the body")
    return data


def _bounded(body: bytes) -> bytes:
    if len(body) > BODY_LIMIT_BYTES:
        raise ExchangeError("body over 64 KiB")
    return body
