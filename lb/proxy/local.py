"""Answers that need no backend: errors, ``respond``, ``redirect``, ``health``. Rendered once where they can be."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from http import HTTPStatus

from lb.errors import REASONS
from lb.http1.request import RequestHead
from lb.http1.response import NO_BODY_STATUSES
from lb.model import ErrorStyle, Redirect, Respond
from lb.proxy.answer import LENGTH, NO_BODY, Answer
from lb.proxy.date import date_line
from lb.proxy.router import without_port

_placeholder = re.compile(rb"\{(?:scheme|hostport|host|path|query)\}")
_NO_HEALTHY = "Service Unavailable: No healthy servers available"
_PLAIN_TEXTS = dict.fromkeys(("no_backend", "connect_failed", "backend_full", "queue_timeout"), _NO_HEALTHY)
"""As Velocity says it, whose services `lb import` gives `error_style: text`; other reasons read alike in all styles."""
ALLOWED = b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"


def phrase(status: int) -> str:
    """The reason phrase; RFC 9112 section 4 lets it be empty for codes nobody named."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


@lru_cache(maxsize=512)
def _head(status: int, content_type: str) -> bytes:
    line = f"HTTP/1.1 {status} {phrase(status)}\r\n"
    if content_type:
        line += f"Content-Type: {content_type}\r\nX-Content-Type-Options: nosniff\r\n"
    return line.encode("latin-1")


def local_answer(status: int, content_type: str, body: bytes, extra: bytes = b"") -> Answer:
    """``extra``: further field lines, each with CRLF. What is empty has no type; 204 and 304 are, whatever ``body`` is."""
    if status in NO_BODY_STATUSES:
        return Answer(status, _head(status, "") + extra + date_line(), NO_BODY, b"")
    head = _head(status, content_type if body else "") + extra + date_line()
    return Answer(status, head + b"Content-Length: %d\r\n" % len(body), LENGTH, body)


@lru_cache(maxsize=512)
def _error_body(reason: str, style: ErrorStyle) -> bytes:
    text = REASONS[reason].text
    if style == "text":
        return _PLAIN_TEXTS.get(reason, text).encode()
    if style == "error_only":
        return json.dumps({"error": text}).encode()
    return json.dumps({"error": text, "reason": reason, "request_id": "%s"}).encode()


def error_answer(reason: str, style: ErrorStyle, request_id: bytes, retry_after_s: int = 0) -> Answer:
    """What a client is told; the reason and the request id are in the fields whatever the style. ``retry_after_s``: if it
    is more than the reason's."""
    known = REASONS[reason]
    body = _error_body(reason, style)
    if style == "json":
        body = body.replace(b"%s", request_id)
    extra = b"X-Request-Id: %b\r\n" % request_id
    if known.status == 405:
        extra += b"Allow: %b\r\n" % ALLOWED
    if known.retry_after_s:
        extra += b"Retry-After: %d\r\n" % max(known.retry_after_s, retry_after_s)
    content_type = "text/plain; charset=utf-8" if style == "text" else "application/json"
    head = _head(known.status, content_type) + extra + date_line() + b"Content-Length: %d\r\n" % len(body)
    answer = Answer(known.status, head, LENGTH, body)
    answer.close = known.close
    return answer


def respond(fixed: Respond) -> Answer:
    return local_answer(fixed.status, fixed.content_type, fixed.body.encode())


def redirect(rule: Redirect, head: RequestHead, scheme: bytes) -> Answer:
    """Fills ``{scheme} {host} {path} {query}`` in; the target was checked byte by byte when it was read."""
    query = b"?" + head.query if head.query else b""
    said = {
        b"{scheme}": scheme,
        b"{host}": without_port(head.authority),
        b"{hostport}": head.authority,
        b"{path}": head.path,
        b"{query}": query,
    }
    location = _placeholder.sub(lambda found: said[found[0]], rule.to.encode("latin-1"))
    return local_answer(rule.status, "", b"", b"Location: %b\r\n" % location)
