"""Parsers not ours, as judges: each says what it reads in the same bytes, or that it refuses them.

h11 and httptools are among the venv's packages. gunicorn_h1c must not be: gunicorn would take it up by
itself. It is in a folder beside them, where `tools/setup.sh test` puts it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import h11
import httptools

from lb.errors import RequestError
from lb.http1.chunked import ChunkedDecoder, ChunkError
from lb.http1.request import RequestHead, find_head_end, parse_request

Fields = tuple[tuple[bytes, bytes], ...]
LIMIT_BYTES = 1 << 20
BESIDE = Path(sys.prefix, "oracles")
"""Packages for judging only."""


@dataclass(frozen=True)
class Reading:
    """What a parser understood. ``target`` as it came; names in lower case; ``length`` -1: chunked, 0: no body."""

    method: bytes
    target: bytes
    fields: Fields
    length: int


def _length(fields: Fields) -> int:
    """Framing as every reader of these fields must see it; a transfer coding overrules a length."""
    if any(name == b"transfer-encoding" for name, _ in fields):
        return -1
    return next((int(value) for name, value in fields if name == b"content-length"), 0)


def _reading(method: bytes, target: bytes, fields: Fields) -> Reading:
    return Reading(method, target, fields, _length(fields))


def read_h11(head: bytes) -> Reading | None:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT_BYTES)
    parser.receive_data(head)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    fields = tuple((bytes(name), bytes(value)) for name, value in event.headers)
    return _reading(bytes(event.method), bytes(event.target), fields)


class _Listener:
    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_head_complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_head_complete = True


def read_httptools(head: bytes) -> Reading | None:
    listener = _Listener()
    parser = httptools.HttpRequestParser(listener)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not listener.is_head_complete:
        return None
    return _reading(parser.get_method(), listener.target, tuple(listener.fields))


def _from_beside(name: str) -> ModuleType | None:
    """That package for us alone: nobody else in this process can import it. None if it is not there."""
    sys.path.insert(0, str(BESIDE))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None
    finally:
        sys.path.remove(str(BESIDE))
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]


def _reader_of(h1c: Any) -> Oracle:
    def read_gunicorn_h1c(head: bytes) -> Reading | None:
        try:
            read: Any = h1c.parse_request(head)
        except (h1c.ParseError, h1c.IncompleteError, ValueError):
            return None
        fields = tuple((bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in read["headers"])
        return _reading(bytes(read["method"]), bytes(read["path"]), fields)

    return read_gunicorn_h1c


Oracle = Callable[[bytes], Reading | None]
ORACLES: dict[str, Oracle] = {"h11": read_h11, "httptools": read_httptools}
if h1c := _from_beside("gunicorn_h1c"):
    ORACLES["gunicorn_h1c"] = _reader_of(h1c)


def read_ours(head: bytes) -> tuple[RequestHead, Reading] | str:
    """Our reading, or the reason why not."""
    try:
        end = find_head_end(head)
        if not end:
            return "incomplete"
        parsed = parse_request(head[:end])
    except RequestError as error:
        return error.reason
    lines = [line.partition(b":") for line in parsed.fields.block.split(b"\r\n")[:-1]]
    fields = tuple((name.lower(), value.strip(b" \t")) for name, _, value in lines)
    target = head.split(b" ")[1]
    length = -1 if parsed.fields.chunked else max(0, parsed.fields.content_length)
    return parsed, Reading(parsed.method, target, fields, length)


_POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def body_h11(wire: bytes) -> bytes | None:
    """The payload of a complete chunked body, or None."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(_POST + wire)
    payload = b""
    try:
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Data):
                payload += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return payload


def body_httptools(wire: bytes) -> bytes | None:
    parts: list[bytes] = []
    done: list[bool] = []

    class Body:
        def on_body(self, part: bytes) -> None:
            if not done:
                parts.append(part)

        def on_message_complete(self) -> None:
            done.append(True)

    try:
        httptools.HttpRequestParser(Body()).feed_data(_POST + wire)
    except httptools.HttpParserError:
        if not done:
            return None
    return b"".join(parts) if done else None


def body_ours(wire: bytes) -> bytes | None:
    decoder = ChunkedDecoder()
    try:
        payload = decoder.feed(wire)
    except ChunkError:
        return None
    return payload if decoder.done else None
