"""Answers: statuses without a body, framing of our own, fields, and what a backend must not do."""

from __future__ import annotations

import re

from tests.contract.case import OK, Case, Saw, Wanted
from tests.contract.cases.messages import answer, chunked_answer, refusal, request
from tests.contract.script import Got, TheyGot, Verb

DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT")
INNER = request("/inner")
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

CASES = [
    *(
        Case(
            f"status-{status[:3]}",
            request(),
            answer=answer(status=status, body=b"told"),
            client=Wanted(int(status[:3]), b"told"),
        )
        for status in (
            "201 Created",
            "226 IM Used",
            "302 Found",
            "404 Not Found",
            "418 I'm a teapot",
            "500 Oops",
            "599 Odd",
        )
    ),
    Case(
        "status-reason-is-kept",
        request(),
        answer=answer(status="200 Fine by me"),
        raw=(b"HTTP/1.1 200 Fine by me\r\n",),
    ),
    Case("status-without-reason", request(), answer=b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    Case(
        "no-content",
        request(),
        answer=b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
        client=Wanted(204, b"", {"x-a": ["b"], "content-length": [], "transfer-encoding": []}),
    ),
    Case(
        "not-modified",
        request(),
        answer=b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 1234\r\n\r\n',
        client=Wanted(304, b"", {"etag": ['"x"'], "content-length": ["1234"], "transfer-encoding": []}),
    ),
    Case(
        "head-of-a-chunked-answer",
        request(method="HEAD"),
        answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        client=Wanted(body=b"", fields={"content-length": []}, to="HEAD"),
    ),
    Case(
        "head-of-an-error-of-ours",
        request(method="HEAD", host="nowhere.test"),
        client=refusal("route_not_found", to="HEAD", content_length=[re.compile("[1-9][0-9]+")]),
        backend=(),
    ),
    Case(
        "events-arrive-one-by-one",
        request("/events", "Accept: text/event-stream"),
        answer=(
            EVENTS + b"8\r\ndata: 1\n\r\n",
            TheyGot(b"data: 1\n"),
            b"8\r\ndata: 2\n\r\n",
            TheyGot(b"data: 2\n"),
            b"8\r\ndata: 3\n\r\n",
            TheyGot(b"data: 3\n"),
            b"0\r\n\r\n",
        ),
        client=Wanted(body=b"data: 1\ndata: 2\ndata: 3\n", fields={"content-type": ["text/event-stream"]}),
    ),
    Case(
        "length-answer-arrives-as-it-comes",
        request("/slow"),
        answer=(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", TheyGot(b"first"), b"later"),
        client=Wanted(body=b"firstlater"),
    ),
    Case(
        "head-arrives-before-the-body",
        request("/slow"),
        answer=(b"HTTP/1.1 200 OK\r\nX-A: early\r\nContent-Length: 2\r\n\r\n", TheyGot(b"early"), b"ok"),
    ),
    Case("date-is-added", request(), client=Wanted(fields={"date": [DATE]})),
    Case(
        "date-is-not-doubled",
        request(),
        answer=answer("Date: Sun, 06 Nov 1994 08:49:37 GMT"),
        client=Wanted(fields={"date": ["Sun, 06 Nov 1994 08:49:37 GMT"]}),
    ),
    Case(
        "server-is-the-backends",
        request(),
        answer=answer("Server: demo/1"),
        client=Wanted(fields={"server": ["demo/1"]}),
    ),
    Case("server-is-not-added", request(), client=Wanted(fields={"server": []})),
    Case(
        "set-cookie-stays-two",
        request(),
        answer=answer("Set-Cookie: a=1; Path=/", "Set-Cookie: b=2, c=3; Expires=Sun, 06 Nov 2033 08:49:37 GMT"),
        client=Wanted(
            fields={"set-cookie": ["a=1; Path=/", "b=2, c=3; Expires=Sun, 06 Nov 2033 08:49:37 GMT"]},
        ),
    ),
    Case(
        "repeated-fields-keep-their-order",
        request(),
        answer=answer("X-A: 1", "Link: </a>", "X-A: 2", "Link: </b>"),
        client=Wanted(fields={"x-a": ["1", "2"], "link": ["</a>", "</b>"]}),
    ),
    Case(
        "answer-field-case-is-kept",
        request(),
        answer=answer("X-cUSTOM: Value", "ETAG: x"),
        raw=(b"\r\nX-cUSTOM: Value\r\nETAG: x\r\n",),
    ),
    Case(
        "answer-obs-text",
        request(),
        answer=answer("X-Name: caf\xe9\xff"),
        client=Wanted(fields={"x-name": ["caf\xe9\xff"]}),
    ),
    Case("answer-empty-value", request(), answer=answer("X-Empty:"), client=Wanted(fields={"x-empty": [""]})),
    Case(
        "answer-hop-by-hop-is-removed",
        request(),
        answer=answer(
            "Connection: keep-alive, X-Hop", "Keep-Alive: timeout=5", "X-Hop: 1", "Proxy-Connection: x", "Upgrade: h2c"
        ),
        client=Wanted(
            fields={name: [] for name in ("keep-alive", "x-hop", "proxy-connection", "upgrade")},
        ),
    ),
    Case(
        "answer-fold-becomes-a-space",
        request(),
        answer=answer("X-A: b\r\n  c"),
        client=Wanted(fields={"x-a": ["b c"]}),
    ),
    Case(
        "answer-with-length-and-chunks",
        request(),
        answer=(chunked_answer(b"ok", fields=b"Content-Length: 99\r\n"), Verb.CLOSE),
        client=Wanted(fields={"content-length": []}),
    ),
    Case(
        "answer-with-extra-bytes",
        (request("/1"),),
        answer=(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", Verb.CLOSE),
    ),
    Case(
        "answer-before-a-body-that-waits-for-it",
        (request("/up", "Content-Length: 1000000", method="POST"), Got(b"no")),
        answer=(Verb.HEAD, answer("Connection: close", status="413 Too Large", body=b"no"), Verb.SILENCE),
        client=Wanted(413, b"no"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "answer-before-chunks-that-wait-for-it",
        (request("/up", "Transfer-Encoding: chunked", method="POST") + b"3\r\none\r\n", Got(b"no")),
        answer=(Verb.HEAD, answer("Connection: close", status="413 Too Large", body=b"no"), Verb.SILENCE),
        client=Wanted(413, b"no"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "answer-inside-a-chunk-that-looks-like-a-request",
        (
            request("/up", "Transfer-Encoding: chunked", method="POST") + b"%x\r\n" % len(INNER) + INNER[:1],
            Got(b"no"),
            INNER[1:] + b"\r\n0\r\n\r\n",
        ),
        answer=(Verb.HEAD, answer("Connection: close", status="413 Too Large", body=b"no"), Verb.SILENCE),
        client=Wanted(413, b"no"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "answer-to-an-early-end",
        request("/up", "Content-Length: 1000000", method="POST") + b"x" * 50_000 + b"END",
        answer=(Verb.HEAD, Got(b"END"), answer("Connection: close", status="413 Too Large", body=b"no"), Verb.SILENCE),
        client=Wanted(413, b"no"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
]
