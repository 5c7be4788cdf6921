"""Request heads: bytes in, one ``RequestHead`` out, or a ``RequestError`` that says why not.

Sans-I/O and strict (RFC 9112): what two parties could read in two ways is refused. The field block
is judged by itself, so a caller that sees the same block again (keep-alive clients repeat theirs)
may reuse the ``RequestFields`` it got. Knows nothing of routes, backends or who is trusted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from lb.errors import RequestError
from lb.http1.fields import (
    END_TO_END_ALWAYS,
    HOP_BY_HOP,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    TOKEN,
    KnownLines,
    find_broken_line_end,
    list_items,
    match_line,
    parse_content_length,
)

_match_line = re.compile(rb"(" + TOKEN + rb") ([!\"$-\[\]-~]+) HTTP/1\.([01])\r\n").match
"""Targets: visible ASCII without ``#`` (no fragment is ever sent) and ``\\`` (read as ``/`` by some)."""

_is_versioned_line = re.compile(TOKEN + rb" [^ ]+ HTTP/[0-9]+(\.[0-9]+)?\r\n").match

_match_absolute = re.compile(rb"(?i:https?)://([^/?]*)(/[^?]*)?(\?.*)?").fullmatch

_match_authority = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?").fullmatch
"""``reg-name | IP-literal`` and port (RFC 3986 section 3.2.2); no percent codes, no userinfo."""

MAX_AUTHORITY_BYTES = 261
"""A name of 255 bytes (RFC 1035 section 2.3.4), a colon and a port."""
MAX_METHOD_BYTES: Final = 64
KNOWN_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
REFUSED_METHODS: Final = frozenset((b"CONNECT", b"TRACE"))
IDEMPOTENT_METHODS: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))
"""RFC 9110 section 9.2.2; TRACE never gets here."""

_IDENTITY_NAMES = frozenset(
    (
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-real-ip",
        b"x-request-id", b"traceparent", b"tracestate", b"via",
    )
)  # fmt: skip
"""Fields that say who asks: kept aside for ``lb.http1.forwarded``, which knows whom to believe."""

_DROPPED_NAMES = frozenset(
    (b"proxy", b"proxy-authorization", b"x-forwarded-port", b"x-forwarded-server", b"x-forwarded-by",
     b"x-forwarded-prefix", b"x-forwarded-ssl", b"x-forwarded-scheme")
)  # fmt: skip
"""``Proxy`` becomes HTTP_PROXY in CGI and WSGI (httpoxy); the others claim what only we can know."""

_FRAMING_NAMES = frozenset((b"host", b"content-length", b"expect"))
_CONNECTION_OPTIONS = HOP_BY_HOP | {b"close"}
"""What ``Connection`` may name that is gone from what we send anyway."""
_SPECIAL = HOP_BY_HOP | _IDENTITY_NAMES | _DROPPED_NAMES | _FRAMING_NAMES


class RequestFields:
    """What a field block says. A pure function of the block's bytes and the HTTP version; never changed.

    ``kept`` are the end-to-end lines in the client's own bytes and order, each with its CRLF, without
    Host, Content-Length and everything that must not be passed on.
    """

    __slots__ = (
        "block", "chunked", "close", "content_length", "expect_continue", "host", "identity", "keep_alive",
        "kept", "te_trailers", "underscores", "upgrade",
    )  # fmt: skip

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.kept = block
        self.host: bytes | None = None
        self.content_length = -1
        self.chunked = False
        self.close = False
        self.keep_alive = False
        self.upgrade = b""
        self.expect_continue = False
        self.te_trailers = False
        self.underscores = 0
        self.identity: dict[bytes, bytes] | None = None

    def values(self, name: bytes) -> list[bytes]:
        """All values of a field, by lower case name, without surrounding white space."""
        prefix = name + b":"
        size = len(prefix)
        return [line[size:].strip(b" \t") for line in self.block.split(b"\r\n") if line[:size].lower() == prefix]

    def value(self, name: bytes) -> bytes:
        """The first value of a field, or nothing."""
        found = self.values(name)
        return found[0] if found else b""

    def __repr__(self) -> str:
        framing = "chunked" if self.chunked else self.content_length
        return f"<RequestFields host={self.host!r} body={framing} kept={len(self.kept)}B>"


class RequestHead:
    """One request's head. ``target`` is what is sent on (origin form or ``*``), byte for byte.

    ``authority`` is the host asked for in lower case: of the target in absolute form, else of Host.
    """

    __slots__ = ("authority", "fields", "method", "path", "query", "target", "version_minor")

    def __init__(
        self, method: bytes, target: bytes, version_minor: int, authority: bytes, fields: RequestFields
    ) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition(b"?")
        self.version_minor = version_minor
        self.authority = authority
        self.fields = fields

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r} for {self.authority!r}>"

    @property
    def has_body(self) -> bool:
        return self.fields.chunked or self.fields.content_length > 0

    @property
    def wants_close(self) -> bool:
        """Whether the client's connection ends after the answer (RFC 9112 section 9.3)."""
        if self.version_minor:
            return self.fields.close
        return self.fields.close or not self.fields.keep_alive


NO_HEAD: Final = RequestHead(b"", b"", 1, b"", RequestFields(b""))
"""Of a request that could not be read."""


def find_head_end(buffer: bytes, seen: int = 0) -> int:
    """Index behind the head's empty line, or 0 if it is not complete yet. ``seen``: how much of it was
    looked at before; a head that comes byte by byte must not cost the square of its length.

    Raises RequestError as soon as what is there can no longer become a head, so that junk is not
    waited for, and so that no more than the limits is ever held.
    """
    end = buffer.find(b"\r\n\r\n", max(0, seen - 3))
    if end >= 0 and end < MAX_HEAD_BYTES:
        return end + 4
    if len(buffer) > MAX_LINE_BYTES and b"\r\n" not in buffer[: MAX_LINE_BYTES + 2]:
        raise RequestError("uri_too_long")
    if len(buffer) >= MAX_HEAD_BYTES:
        raise RequestError("head_too_large")
    if broken := find_broken_line_end(buffer, max(0, seen - 1)):
        raise RequestError("bad_request", f"byte {buffer[broken.start()]:#04x} at {broken.start()}")
    return 0


def parse_request(head: bytes, known: RequestFields | None = None) -> RequestHead:
    """Parses a complete head (``head`` ends with the empty line).

    ``known``: fields parsed before on this connection; reused if the block has the same bytes.
    """
    line = _match_line(head)
    if line is None:
        raise _request_line_error(head)
    start = line.end()
    if start > MAX_LINE_BYTES + 2:
        raise RequestError("uri_too_long")
    method, target, minor = line.groups()
    if len(method) > MAX_METHOD_BYTES:
        raise RequestError("bad_request", "method too long")
    version_minor = 1 if minor == b"1" else 0
    block = head[start:-2]
    if known is None or known.block != block:
        known = parse_fields(block)
    if not version_minor and known.chunked:
        raise RequestError("bad_framing", "Transfer-Encoding in HTTP/1.0")
    if method in REFUSED_METHODS:
        raise RequestError("method_not_allowed", method.decode("ascii"))
    host = known.host
    if target[:1] == b"/":
        if host is None:
            if version_minor:
                raise RequestError("bad_host", "missing")
            host = b""
        return RequestHead(method, target, version_minor, host, known)
    return _other_form(method, target, version_minor, known)


def _other_form(method: bytes, target: bytes, version_minor: int, fields: RequestFields) -> RequestHead:
    """Absolute form and ``*`` (RFC 9112 section 3.2.2, 3.2.4)."""
    if fields.host is None and version_minor:
        raise RequestError("bad_host", "missing")
    if target == b"*" and method == b"OPTIONS":
        return RequestHead(method, target, version_minor, fields.host or b"", fields)
    absolute = _match_absolute(target)
    if absolute is None:
        raise RequestError("bad_target")
    authority, path, query = absolute.groups()
    empty_path = b"*" if method == b"OPTIONS" and not query else b"/"
    return RequestHead(
        method, (path or empty_path) + (query or b""), version_minor, _valid_authority(authority, "bad_target"), fields
    )


def _request_line_error(head: bytes) -> RequestError:
    first = head[: head.find(b"\r\n") + 2]
    if len(first) > MAX_LINE_BYTES + 2:
        return RequestError("uri_too_long")
    if _is_versioned_line(first) and not re.search(rb" HTTP/1\.[01]\r\n$", first):
        return RequestError("bad_version")
    return RequestError("bad_request", "request line")


@lru_cache(maxsize=1024)
def _valid_authority(authority: bytes, reason: str) -> bytes:
    if len(authority) > MAX_AUTHORITY_BYTES:
        raise RequestError(reason, "authority too long")
    matched = _match_authority(authority)
    if matched is None or int(matched[1] or 0) > 65535:
        raise RequestError(reason, "authority")
    return authority.lower()


KEPT = "kept"
DROPPED = "dropped"


def _meaning(line: bytes) -> str | tuple[bytes, bytes]:
    """KEPT, DROPPED (an underscore in the name: some origins take it for a dash), or a special name and its value."""
    matched = match_line(line)
    if matched is None:
        raise RequestError("bad_request", "field line")
    if len(line) > MAX_LINE_BYTES:
        raise RequestError("head_too_large", "field line")
    name = matched[1].lower()
    if name in _SPECIAL:
        return name, matched[2].rstrip(b" \t")
    return DROPPED if b"_" in name else KEPT


_known_lines = KnownLines(_meaning)


def parse_fields(block: bytes) -> RequestFields:
    """Judges a field block (lines with their CRLF, without the empty line)."""
    lines = block.split(b"\r\n")
    if lines.pop():
        raise RequestError("bad_request", "field line")
    if len(lines) > MAX_FIELDS:
        raise RequestError("head_too_large", f"{len(lines)} fields")
    fields = RequestFields(block)
    known = _known_lines
    kept: list[bytes] = []
    special: list[tuple[bytes, bytes]] = []
    for line in lines:
        meaning = known[line]
        if meaning is KEPT:
            kept.append(line)
        elif meaning is DROPPED:
            fields.underscores += 1
        else:
            special.append(meaning)
    named = _apply(fields, special) if special else ()
    if named:
        kept = [line for line in kept if line[: line.index(b":")].lower() not in named]
    if len(kept) != len(lines):
        kept.append(b"")
        fields.kept = b"\r\n".join(kept)
    return fields


def _apply(fields: RequestFields, special: list[tuple[bytes, bytes]]) -> frozenset[bytes] | tuple[()]:
    """Sets what the special lines say; returns the names that ``Connection`` asks to remove."""
    named: list[bytes] = []
    codings: list[bytes] = []
    has_transfer_encoding = has_length = False
    for name, value in special:
        if name == b"host":
            if fields.host is not None:
                raise RequestError("bad_host", "twice")
            fields.host = _valid_authority(value, "bad_host")
        elif name == b"content-length":
            if has_length:
                raise RequestError("bad_framing", "Content-Length twice")
            has_length = True
            fields.content_length = _length(value)
        elif name == b"transfer-encoding":
            has_transfer_encoding = True
            codings.append(value)
        elif name == b"connection":
            named += list_items(value)
        elif name == b"upgrade":
            fields.upgrade = value.lower()
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise RequestError("expectation_failed")
            fields.expect_continue = True
        elif name == b"te":
            fields.te_trailers = b"trailers" in list_items(value)
        elif name in _IDENTITY_NAMES:
            _remember(fields, name, value)
    if has_transfer_encoding:
        if has_length:
            raise RequestError("bad_framing", "Content-Length and Transfer-Encoding")
        fields.chunked = _is_chunked(b",".join(codings))
    return _apply_connection(fields, named) if named or fields.upgrade else ()


def _remember(fields: RequestFields, name: bytes, value: bytes) -> None:
    """Repeated list fields are one list (RFC 9110 section 5.3)."""
    identity = fields.identity
    if identity is None:
        identity = fields.identity = {}
    identity[name] = identity[name] + b", " + value if name in identity else value


def _apply_connection(fields: RequestFields, named: list[bytes]) -> frozenset[bytes] | tuple[()]:
    fields.close = b"close" in named
    fields.keep_alive = b"keep-alive" in named
    if b"upgrade" not in named:
        fields.upgrade = b""
    others = [name for name in named if name not in _CONNECTION_OPTIONS]
    if not others:
        return ()
    if fields.identity:
        for name in others:
            fields.identity.pop(name, None)
    return frozenset(others) - END_TO_END_ALWAYS


def _length(value: bytes) -> int:
    length = parse_content_length(value)
    if length == -1:
        raise RequestError("bad_framing", "Content-Length")
    if length == -2:
        raise RequestError("body_too_large", "Content-Length over 2^63-1")
    return length


def _is_chunked(value: bytes) -> bool:
    """True for exactly ``chunked`` (RFC 9112 section 6.1): anything else could be read in two ways."""
    value = value.lower()
    if value == b"chunked":
        return True
    codings = value.split(b",")
    if value.count(b"chunked") == 1 and codings[-1].strip(b" \t") == b"chunked" and len(codings) > 1:
        raise RequestError("unknown_coding")
    if b"chunked" not in value and value:
        raise RequestError("unknown_coding")
    raise RequestError("bad_framing", "Transfer-Encoding")
