"""Short ways to write the requests and answers that cases are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lb.errors import REASONS
from tests.contract.case import OK, Value, Wanted

NEW_ID = re.compile(r"[0-9a-f]{32}")
"""An X-Request-Id of ours."""


def request(
    target: str = "/", *fields: str, method: str = "GET", host: str = "lb.test", version: str = "1.1", body: bytes = b""
) -> bytes:
    """``fields`` are whole lines; a body gets its Content-Length."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answer(*fields: str, status: str = "200 OK", body: bytes = b"ok") -> bytes:
    return (
        "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"]).encode("latin-1")
        + b"\r\n\r\n"
        + body
    )


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """A whole chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


def chunked_answer(*chunks: bytes, trailers: bytes = b"", fields: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + chunked(*chunks, trailers=trailers)


def unavailable() -> Wanted:
    """503: every backend refused just now, or is left out because it did a moment ago."""
    body = rb'\{"error": "No backend available", "reason": "(?:connect_failed|no_backend)", "request_id": "(?P<request_id>[0-9a-f]{32})"\}'
    return Wanted(503, re.compile(body), {"x-request-id": [NEW_ID], "retry-after": ["1"]})


def refusal(reason: str, *, to: str = "GET", **fields: Sequence[Value]) -> Wanted:
    """Our own answer for ``reason`` in the default style: JSON with reason and request id. One that ends its connection
    says so."""
    status, text = REASONS[reason].status, REASONS[reason].text
    closing = {"connection": ["close"]} if REASONS[reason].close else {}
    body = rb'\{"error": "%b", "reason": "%b", "request_id": "(?P<request_id>[0-9a-f]{32})"\}'
    wanted = {name.replace("_", "-"): values for name, values in fields.items()}
    return Wanted(
        status,
        re.compile(body % (re.escape(text).encode(), reason.encode())) if to != "HEAD" else b"",
        {"content-type": ["application/json"], "x-request-id": [NEW_ID], **closing, **wanted},
        to=to,
    )


__all__ = ["NEW_ID", "OK", "answer", "chunked", "chunked_answer", "refusal", "request", "unavailable"]
