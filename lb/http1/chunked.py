"""The chunked transfer coding, in and out (RFC 9112 section 7.1).

Sans-I/O and strict: what two parties could read in two ways is refused, extensions and trailers are
bounded. Extensions end here, trailers are kept apart from the head's fields. Knows nothing of
requests or responses but for one thing: whether a forbidden trailer is an error or only dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lb.http1.fields import TOKEN, find_broken_line_end, is_block

MAX_LINE_BYTES = 4096
"""Of one chunk-size line with its extensions."""
MAX_EXTRA_BYTES = 16 * 1024
"""Of extensions and padding zeros of one body together: they cost the sender what they cost us, but say nothing."""
MAX_TRAILERS = 100
_MAX_DIGITS = 16
_PADDING_ALLOWED_BYTES = 16
"""Sizes of fixed width (``00000400``) are common and free of charge."""

_match_size = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})\r\n").match
"""What nearly all chunks have: the CRLF that ends the chunk before, and a size without extension."""

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION = rb";[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
_match_size_line = re.compile(rb"([0-9A-Fa-f]+)((?:" + _EXTENSION + rb")*)").fullmatch
_starts_with_digit = re.compile(rb"[0-9A-Fa-f]").match

FORBIDDEN_TRAILERS = frozenset(
    (
        b"transfer-encoding", b"content-length", b"host", b"trailer", b"te", b"connection", b"keep-alive", b"upgrade",
        b"http2-settings", b"authorization", b"www-authenticate", b"cookie", b"set-cookie", b"content-encoding",
        b"content-type", b"content-range", b"content-location", b"cache-control", b"pragma", b"expect", b"range",
        b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"max-forwards",
        b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"forwarded", b"via", b"x-real-ip",
        b"x-request-id", b"traceparent", b"tracestate",
    )
)  # fmt: skip
"""Framing, routing, conditions, authentication, control and content data may not come behind a body
(RFC 9110 section 6.5.1), nor what tells a backend who is asking."""
_FORBIDDEN_PREFIXES = (b"proxy-", b"x-forwarded-")

LAST_CHUNK = b"0\r\n\r\n"
Trailers = tuple[tuple[bytes, bytes], ...]


class ChunkError(Exception):
    """The body's bytes are not a chunked body. ``too_large``: only its trailers are too many."""

    def __init__(self, detail: str, *, too_large: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.too_large = too_large


class ChunkedDecoder:
    """Takes one body off the wire, in pieces as they come; how it is cut makes no difference.

    After ``done``: ``trailers`` are what may be passed on, ``unused`` the bytes behind the body's end.
    A request with a forbidden trailer is refused; in a response they are dropped.
    """

    __slots__ = ("_extra_bytes", "_for_request", "_in_trailers", "_left", "_max_trailer_bytes", "_rest",
                 "done", "trailers", "underscores", "unused")  # fmt: skip

    def __init__(self, *, for_request: bool = True, max_trailer_bytes: int = 8192) -> None:
        self.done = False
        self.trailers: Trailers = ()
        self.unused = b""
        self.underscores = 0
        """Trailers dropped for an underscore in their name, which a CGI-minded reader takes for a dash."""
        self._for_request = for_request
        self._max_trailer_bytes = max_trailer_bytes
        self._left = 0
        self._rest = b"\r\n"  # as if a chunk had just ended: then all size lines look alike
        self._in_trailers = False
        self._extra_bytes = 0

    def __repr__(self) -> str:
        state = "done" if self.done else "in trailers" if self._in_trailers else f"left={self._left}"
        return f"<ChunkedDecoder {state} rest={len(self._rest)}B>"

    def feed(self, data: bytes) -> bytes:
        """The payload in the body's next bytes, coalesced. Raises ChunkError; the body is lost then.

        Long on purpose: it runs for every piece of every chunked body.
        """
        if self.done:
            self.unused += data
            return b""
        if self._in_trailers:
            self._end(self._rest + data, 0)
            return b""
        left = self._left
        if left >= len(data):
            self._left = left - len(data)
            return data
        buffer = self._rest + data if self._rest else data
        spans = [buffer[:left]] if left else []
        at, size = left, len(buffer)
        left = 0
        while True:
            if line := _match_size(buffer, at):
                at = line.end()
                left = int(line[1], 16)
            else:
                found = self._size_line(buffer, at)
                if found is None:
                    self._rest = buffer[at:]
                    break
                left, at = found
            if not left:
                self._end(buffer, at)
                break
            end = at + left
            if end >= size:
                spans.append(buffer[at:])
                left = end - size
                self._rest = b""
                break
            spans.append(buffer[at:end])
            at = end
            left = 0
        self._left = left
        return spans[0] if len(spans) == 1 else b"".join(spans)

    def _size_line(self, buffer: bytes, at: int) -> tuple[int, int] | None:
        """Size and end of an unusual size line at ``at`` (where the CRLF before it is), or None if it is not complete."""
        before = buffer[at : at + 2]
        if before != b"\r\n"[: len(before)]:
            raise ChunkError("no CRLF behind the data of a chunk")
        start = at + 2
        end = buffer.find(b"\r\n", start)
        line = buffer[start:] if end < 0 else buffer[start:end]
        if len(line) > MAX_LINE_BYTES:
            raise ChunkError("chunk-size line too long")
        if end >= 0:
            return self._size(line), end + 2
        if line and (not _starts_with_digit(line) or self._is_broken(buffer, at)):
            raise ChunkError("chunk-size line")
        return None

    def _is_broken(self, buffer: bytes, at: int) -> bool:
        """Whether an incomplete line or block at ``at`` can never become a good one. Looks only at what is
        new: one that comes byte by byte must not cost the square of its length."""
        seen = len(self._rest) - 1 if at == 0 else 0
        return find_broken_line_end(buffer, max(at, seen)) is not None

    def _size(self, line: bytes) -> int:
        parts = _match_size_line(line)
        if parts is None:
            raise ChunkError("chunk-size line")
        digits, extensions = parts.groups()
        significant = digits.lstrip(b"0")
        if len(significant) > _MAX_DIGITS:
            raise ChunkError("chunk size over 2^64-1")
        self._extra_bytes += len(extensions) + max(0, len(digits) - _PADDING_ALLOWED_BYTES)
        if self._extra_bytes > MAX_EXTRA_BYTES:
            raise ChunkError("too many bytes of chunk extensions")
        return int(significant or b"0", 16)

    def _end(self, buffer: bytes, at: int) -> None:
        """Takes the trailer section and the empty line, which begin at ``at``, once they are complete."""
        if buffer.startswith(b"\r\n", at):
            return self._finish(buffer[at + 2 :])
        found = buffer.find(b"\r\n\r\n", at)
        size = (found if found >= 0 else len(buffer) - 4) + 2 - at
        if size > self._max_trailer_bytes:
            raise ChunkError("trailers too large", too_large=True)
        if found >= 0:
            self.trailers = self._parse(buffer[at : found + 2])
            return self._finish(buffer[found + 4 :])
        if self._is_broken(buffer, at):
            raise ChunkError("trailer line")
        self._in_trailers = True
        self._rest = buffer[at:]
        return None

    def _finish(self, unused: bytes) -> None:
        self.done = True
        self.unused = unused
        self._rest = b""

    def _parse(self, block: bytes) -> Trailers:
        if not is_block(block):
            raise ChunkError("trailer line")
        lines = block.split(b"\r\n")[:-1]
        if len(lines) > MAX_TRAILERS:
            raise ChunkError(f"{len(lines)} trailers", too_large=True)
        fields = [(name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]
        return tuple(field for field in fields if self._may_pass(field[0]))

    def _may_pass(self, name: bytes) -> bool:
        if b"_" in name:
            self.underscores += 1
            return False
        if not is_forbidden_trailer(name):
            return True
        if self._for_request:
            raise ChunkError(f"trailer {name.decode('ascii')}")
        return False


def is_forbidden_trailer(name: bytes) -> bool:
    name = name.lower()
    return name in FORBIDDEN_TRAILERS or name.startswith(_FORBIDDEN_PREFIXES)


def encode_chunk(data: bytes) -> bytes:
    """One chunk; nothing for no data, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_trailers(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The last chunk with its trailers; without any it equals ``LAST_CHUNK``."""
    return b"0\r\n" + b"".join([b"%b: %b\r\n" % field for field in trailers]) + b"\r\n"
