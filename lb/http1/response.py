"""Response heads of backends: bytes in, one ``ResponseHead`` out, or a ``BadResponse``.

Sans-I/O. As strict as the request side where a client could be misled (splitting, framing), and
lenient where RFC 9112 asks a proxy to repair: obs-fold becomes a space, white space before the colon goes.
"""

from __future__ import annotations

import re
from typing import Final

from lb.http1.fields import (
    HOP_BY_HOP,
    MAX_HEAD_BYTES,
    MAX_RESPONSE_FIELDS,
    KnownLines,
    is_block,
    list_items,
    match_line,
    parse_content_length,
)

_match_status = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n").match
_fold = re.compile(rb"(?<![ \t])[ \t]*(?:\r\n[ \t]+)+")
"""Begins only where white space does: else a run of 60 KB without a fold behind it is looked through from each of its bytes."""
_space_before_colon = re.compile(rb"(?m)^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]+:")

_LOAD = frozenset((b"endpoint-load-metrics", b"endpoint-load-metrics-bin"))
_SPECIAL = HOP_BY_HOP | _LOAD | {b"content-length", b"date"}
_NOT_REMOVABLE = HOP_BY_HOP | {b"close", b"content-type", b"date", b"content-encoding"}
"""What ``Connection`` may name without anything to be taken away: gone already, or every recipient needs it."""
NO_BODY_STATUSES: Final = frozenset((204, 304))


class BadResponse(Exception):
    """The backend's bytes are no HTTP/1 answer; nothing of them may reach the client."""

    def __init__(self, detail: str, reason: str = "bad_response") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ResponseFields:
    """What a response's field block says; a pure function of its bytes, never changed.

    ``kept``: the end-to-end lines with their CRLF, without Content-Length (framing is ours to write) and ``load_lines``,
    which are the load reports (``lb.http1.orca``).
    """

    __slots__ = (
        "block",
        "chunked",
        "close",
        "content_length",
        "has_date",
        "keep_alive",
        "kept",
        "length_dropped",
        "length_line",
        "load_lines",
        "upgrade",
    )

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.kept = block
        self.content_length = -1
        self.chunked = False
        self.close = False
        self.keep_alive = False
        self.has_date = False
        self.length_dropped = False
        self.length_line = b""
        self.load_lines = b""
        self.upgrade = b""

    def value(self, name: bytes) -> bytes:
        """The first value of a field by lower case name, or nothing."""
        prefix = name + b":"
        size = len(prefix)
        for line in self.block.split(b"\r\n"):
            if line[:size].lower() == prefix:
                return line[size:].strip(b" \t")
        return b""


class ResponseHead:
    """``line`` is the status line as we send it (always HTTP/1.1), with its CRLF."""

    __slots__ = ("fields", "line", "status", "version_minor")

    def __init__(self, status: int, line: bytes, version_minor: int, fields: ResponseFields) -> None:
        self.status = status
        self.line = line
        self.version_minor = version_minor
        self.fields = fields

    def __repr__(self) -> str:
        return f"<ResponseHead {self.line!r}>"

    @property
    def reusable(self) -> bool:
        """Whether the backend's connection may carry another request after this answer's body."""
        fields = self.fields
        if fields.close or fields.length_dropped:
            return False
        return bool(self.version_minor) or fields.keep_alive


def find_response_head_end(buffer: bytes) -> int:
    """Index behind the empty line, or 0 if the head is not complete; BadResponse if it never will be."""
    end = buffer.find(b"\r\n\r\n")
    if 0 <= end < MAX_HEAD_BYTES:
        return end + 4
    if len(buffer) >= MAX_HEAD_BYTES:
        raise BadResponse("head over 64 KiB", "response_head_too_large")
    if buffer[:7] != b"HTTP/1."[: len(buffer)]:
        raise BadResponse("no HTTP/1 status line")
    return 0


def parse_response(head: bytes, known: ResponseFields | None = None) -> ResponseHead:
    """Parses a complete head (ends with the empty line); ``known`` as in ``parse_request``."""
    line = _match_status(head)
    if line is None:
        raise BadResponse("status line")
    start = line.end()
    block = head[start:-2]
    if known is None or known.block != block:
        known = parse_fields(block)
    minor = 1 if line[1] == b"1" else 0
    if not minor and known.chunked:
        raise BadResponse("Transfer-Encoding in HTTP/1.0")
    status_line = head[:start] if minor else b"HTTP/1.1" + head[8:start]
    return ResponseHead(int(line[2]), status_line, minor, known)


KEPT = "kept"


def _meaning(line: bytes) -> str | tuple[bytes, bytes]:
    """KEPT, or a special name and its value."""
    matched = match_line(line)
    if matched is None:
        raise BadResponse("field line")
    name = matched[1].lower()
    return (name, matched[2].rstrip(b" \t")) if name in _SPECIAL else KEPT


_known_lines = KnownLines(_meaning)


def parse_fields(block: bytes) -> ResponseFields:
    try:
        return _judged(block, block)
    except BadResponse as error:
        if error.detail != "field line":
            raise
    return _judged(block, _repaired(block))


def _judged(block: bytes, repaired: bytes) -> ResponseFields:
    fields = ResponseFields(block)
    fields.kept = repaired
    lines = repaired.split(b"\r\n")
    if lines.pop():
        raise BadResponse("field line")
    if len(lines) > MAX_RESPONSE_FIELDS:
        raise BadResponse(f"{len(lines)} fields", "response_head_too_large")
    known = _known_lines
    kept: list[bytes] = []
    named: list[bytes] = []
    for line in lines:
        meaning = known[line]
        if meaning is KEPT:
            kept.append(line)
            continue
        name, value = meaning
        _apply(fields, name, value, named)
        if name == b"date":
            kept.append(line)
        elif name in _LOAD:
            fields.load_lines += line + b"\r\n"
    if named:
        fields.close = b"close" in named
        fields.keep_alive = b"keep-alive" in named
        if b"upgrade" not in named:
            fields.upgrade = b""
        gone = frozenset(named) - _NOT_REMOVABLE
        if gone:
            kept = [line for line in kept if line[: line.index(b":")].lower() not in gone]
    if fields.chunked and fields.content_length >= 0:
        fields.content_length = -1
        fields.length_dropped = True
    if len(kept) != len(lines):
        kept.append(b"")
        fields.kept = b"\r\n".join(kept)
    return fields


def _apply(fields: ResponseFields, name: bytes, value: bytes, named: list[bytes]) -> None:
    if name == b"content-length":
        length = parse_content_length(value)
        if length < 0 or fields.content_length not in (-1, length):
            raise BadResponse("Content-Length")
        fields.content_length = length
        fields.length_line = b"Content-Length: %d\r\n" % length
    elif name == b"date":
        fields.has_date = True
    elif name == b"transfer-encoding":
        if fields.chunked or value.lower() != b"chunked":
            raise BadResponse("Transfer-Encoding")
        fields.chunked = True
    elif name == b"connection":
        named += list_items(value)
    elif name == b"upgrade":
        fields.upgrade = value.lower()


def _repaired(block: bytes) -> bytes:
    """obs-fold -> SP and no space before the colon (RFC 9112 section 5.1, 5.2); else BadResponse."""
    if block[:1] in (b" ", b"\t"):
        raise BadResponse("field line")
    block = _space_before_colon.sub(rb"\1:", _fold.sub(b" ", block))
    if not is_block(block):
        raise BadResponse("field line")
    return block
