"""Persistence, pipelining and the versions of HTTP/1 (RFC 9112 section 9)."""

from __future__ import annotations

from tests.contract.case import OK, Case, Saw, Wanted
from tests.contract.cases.messages import refusal, request
from tests.contract.script import Got, Pieces, Verb

CASES = [
    Case("keep-alive-is-the-default", request()),
    Case(
        "close-when-asked",
        request("/", "Connection: close"),
        client=Wanted(fields={"connection": ["close"]}),
        backend=Saw(fields={"connection": []}),
        closes=True,
    ),
    Case(
        "close-when-asked-among-other-things",
        request("/", "Connection: x-hop, Close", "X-Hop: 1"),
        client=Wanted(fields={"connection": ["close"]}),
        backend=Saw(fields={"connection": [], "x-hop": []}),
        closes=True,
    ),
    Case(
        "http-1-0-closes",
        request("/", version="1.0"),
        client=Wanted(fields={"connection": ["close"]}),
        backend=Saw("GET / HTTP/1.1"),
        closes=True,
    ),
    Case(
        "http-1-0-keep-alive",
        request("/", "Connection: keep-alive", version="1.0"),
        client=Wanted(fields={"connection": ["keep-alive"], "keep-alive": []}),
        backend=Saw("GET / HTTP/1.1", {"connection": []}),
    ),
    Case(
        "http-1-0-without-host",
        b"GET /hostless HTTP/1.0\r\n\r\n",
        backend=Saw("GET /hostless HTTP/1.1"),
        closes=True,
    ),
    Case(
        "http-1-0-gets-no-chunks",
        request("/", "Connection: keep-alive", version="1.0"),
        answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        client=Wanted(fields={"transfer-encoding": []}),
        closes=True,
    ),
    Case(
        "http-1-0-with-chunks-is-refused",
        request("/", "Transfer-Encoding: chunked", method="POST", version="1.0") + b"0\r\n\r\n",
        client=refusal("bad_framing"),
        backend=(),
        closes=True,
    ),
    Case(
        "two-after-each-other",
        (request("/1"), Got(b"\r\n\r\nok"), request("/2")),
        client=(Wanted(), Wanted()),
        backend=(Saw("GET /1 HTTP/1.1"), Saw("GET /2 HTTP/1.1")),
    ),
    Case(
        "pipelining-of-three",
        request("/1") + request("/2", method="POST", body=b"second") + request("/3"),
        client=(Wanted(), Wanted(), Wanted()),
        backend=(Saw("GET /1 HTTP/1.1"), Saw("POST /2 HTTP/1.1", body=b"second"), Saw("GET /3 HTTP/1.1")),
    ),
    Case(
        "pipelining-ends-at-close",
        request("/1", "Connection: close") + request("/2"),
        backend=Saw("GET /1 HTTP/1.1"),
        closes=True,
    ),
    Case(
        "pipelining-good-then-bad",
        request("/1") + b"GET /2 HTTP/1.1\r\nHost : lb.test\r\n\r\n",
        client=(Wanted(), refusal("bad_request")),
        backend=Saw("GET /1 HTTP/1.1"),
        closes=True,
    ),
    Case(
        "small-body-that-nobody-reads",
        request("/teapot", host="fixed.test", method="POST", body=b"hello"),
        client=Wanted(418, b"short\n"),
        backend=(),
    ),
    Case(
        "pipelining-bad-then-good",
        request("/1", host="lb.test/x") + request("/2"),
        client=refusal("bad_host"),
        backend=(),
        closes=True,
    ),
    Case("empty-lines-before", b"\r\n\r\n" + request("/after"), backend=Saw("GET /after HTTP/1.1")),
    Case("head-byte-by-byte", Pieces(request("/slow", "X-A: b")), backend=Saw("GET /slow HTTP/1.1", {"x-a": ["b"]})),
    Case(
        "half-close-after-the-request",
        (request("/half"), Verb.HALF_CLOSE),
        backend=Saw("GET /half HTTP/1.1"),
        closes=True,
    ),
    Case(
        "backend-that-closes",
        request(),
        answer=(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", Verb.CLOSE),
    ),
    Case(
        "backend-of-http-1-0",
        request(),
        answer=(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Verb.CLOSE),
        raw=(b"HTTP/1.1 200 OK\r\n",),
    ),
    Case("head-in-two-packets", (request()[:20], Pieces(request()[20:], 40)), answer=OK),
]
