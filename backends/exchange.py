"""A request and a reply as the endpoints see them, over WSGI. Knows no endpoint and no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl

READ_BYTES = 64 * 1024


class ByteReader(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Request:
    """One request. ``query`` keeps the last value of a name; the body is only ever streamed."""

    __slots__ = ("environ", "method", "path", "query")

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        query_string = environ["QUERY_STRING"]
        self.query: dict[str, str] = dict(parse_qsl(query_string, keep_blank_values=True)) if query_string else {}

    def header(self, name: str) -> str:
        """The field's value, empty when absent; several lines are joined as WSGI joins them."""
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), ""))

    @property
    def stream(self) -> ByteReader:
        reader: ByteReader = self.environ["wsgi.input"]
        return reader

    def body(self) -> Iterator[bytes]:
        """The body's pieces, at most 64 KiB each; nothing is kept."""
        while piece := self.stream.read(READ_BYTES):
            yield piece


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. A body with a known length is a tuple of bytes; any other iterable is streamed,
    chunked unless ``headers`` names a Content-Length."""

    body: Iterable[bytes] = ()
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = field(default=())

    @property
    def status_line(self) -> str:
        return STATUS_LINES.get(self.status) or f"{self.status} Status {self.status}"


STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def json_reply(value: object, status: int = 200) -> Reply:
    return Reply((json.dumps(value).encode(),), status, "application/json")


def text_reply(text: str, status: int = 200) -> Reply:
    return Reply((text.encode(),), status)
