"""100-continue, other interim answers, and upgrades (RFC 9110 section 10.1.1, 15.2 and 7.8)."""

from __future__ import annotations

from tests.contract.case import OK, Case, Saw, Values, Wanted
from tests.contract.cases.messages import refusal, request, unavailable
from tests.contract.script import Got, Verb

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTING = request("/up", "Expect: 100-continue", "Content-Length: 5", method="POST")
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
HANDSHAKE = (
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
FRAME = bytes(range(256))
NO_UPGRADE: Values = {"upgrade": [], "connection": [], "http2-settings": []}

CASES = [
    Case(
        "continue-is-told-once",
        (EXPECTING, Got(b"\r\n\r\n"), b"hello"),
        client=Wanted(interim=(100,)),
        backend=Saw(body=b"hello"),
    ),
    Case(
        "continue-of-the-backend-is-not-a-second-one",
        (EXPECTING, Got(b"\r\n\r\n"), b"hello"),
        answer=(Verb.HEAD, CONTINUE, Verb.BODY, OK),
        client=Wanted(interim=(100,)),
        backend=Saw(body=b"hello"),
    ),
    Case(
        "continue-is-not-told-when-the-body-is-here",
        request("/up", "Expect: 100-continue", method="POST", body=b"hello"),
        client=Wanted(interim=()),
        backend=Saw(body=b"hello"),
    ),
    Case(
        "continue-is-not-told-before-not-found",
        request("/up", "Expect: 100-continue", "Content-Length: 5", method="POST", host="nowhere.test"),
        client=refusal("route_not_found"),
        backend=(),
        closes=True,
    ),
    Case(
        "continue-is-not-told-before-unavailable",
        request("/up", "Expect: 100-continue", "Content-Length: 5", method="POST", host="refused.test"),
        client=unavailable(),
        backend=(),
        closes=True,
    ),
    Case(
        "continue-is-not-told-to-http-1-0",
        request("/up", "Expect: 100-continue", method="POST", version="1.0", body=b"hello"),
        client=Wanted(interim=()),
        backend=Saw(body=b"hello"),
        closes=True,
    ),
    Case(
        "expectation-unknown",
        request("/up", "Expect: a-miracle", method="POST", body=b"hello"),
        client=refusal("expectation_failed"),
        backend=(),
        closes=True,
    ),
    Case(
        "early-hints",
        request(),
        answer=HINTS + OK,
        client=Wanted(interim=(103,)),
    ),
    Case(
        "early-hints-arrive-early-and-whole",
        request(),
        answer=(HINTS, Verb.BODY, OK),
        client=Wanted(interim=(103,)),
        raw=(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    ),
    Case(
        "early-hints-while-the-body-is-on-its-way",
        (request("/up", "Content-Length: 5", method="POST"), Got(b" 103 "), b"hello"),
        answer=(Verb.HEAD, HINTS, Verb.BODY, OK),
        client=Wanted(interim=(103,)),
        backend=Saw(body=b"hello"),
    ),
    Case(
        "early-hints-not-to-http-1-0", request(version="1.0"), answer=HINTS + OK, client=Wanted(interim=()), closes=True
    ),
    Case(
        "processing-is-passed-on",
        request(),
        answer=b"HTTP/1.1 102 Processing\r\n\r\n" + OK,
        client=Wanted(interim=(102,)),
    ),
    Case(
        "interim-flood", request(), answer=(HINTS * 11 + OK, Verb.CLOSE), client=Wanted(502, None, interim=(103,) * 10)
    ),
    Case("switch-nobody-asked-for", request(), answer=(SWITCHED, Verb.CLOSE), client=refusal("bad_response")),
    Case(
        "websocket",
        (request("/ws", *HANDSHAKE) + FRAME, Got(FRAME), b"again" + FRAME, Got(b"again" + FRAME), Verb.HALF_CLOSE),
        answer=(SWITCHED, Verb.ECHO),
        client=(),
        raw=(b"HTTP/1.1 101 Switching Protocols\r\n", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", FRAME, b"again" + FRAME),
        backend=Saw(
            "GET /ws HTTP/1.1",
            {"upgrade": ["websocket"], "connection": ["Upgrade"], "sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ=="]},
        ),
        closes=True,
    ),
    Case(
        "websocket-backend-speaks-first",
        (request("/ws", *HANDSHAKE), Got(b"welcome"), b"thanks", Got(b"thanks"), Verb.HALF_CLOSE),
        answer=(SWITCHED + b"welcome", Verb.ECHO),
        client=(),
        raw=(b"HTTP/1.1 101 ", b"welcome", b"thanks"),
        closes=True,
    ),
    Case(
        "websocket-refused",
        request("/ws", *HANDSHAKE),
        answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        client=Wanted(403, b"no"),
    ),
    Case(
        "websocket-of-a-bad-version",
        request("/ws", *HANDSHAKE[:2], "Sec-WebSocket-Version: 7", HANDSHAKE[3]),
        backend=Saw(fields=NO_UPGRADE),
    ),
    Case(
        "upgrade-h2c-is-stripped",
        request("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        backend=Saw(fields=NO_UPGRADE),
    ),
    Case(
        "upgrade-tls-is-stripped",
        request("/", "Connection: Upgrade", "Upgrade: TLS/1.0"),
        backend=Saw(fields=NO_UPGRADE),
    ),
    Case("upgrade-not-in-connection", request("/", *HANDSHAKE[1:]), backend=Saw(fields=NO_UPGRADE)),
]
