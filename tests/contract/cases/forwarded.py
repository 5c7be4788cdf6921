"""Who asked: forwarded fields, Via, request ids and traces, by whether the peer is trusted."""

from __future__ import annotations

import re

from lb.http1.forwarded import MOST_PASSES
from tests.contract.case import Case, Saw
from tests.contract.cases.messages import NEW_ID, refusal, request

TRUSTED = "127.0.0.2"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
CLAIMS = (
    "X-Forwarded-For: 203.0.113.9, 10.1.1.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.test",
    "X-Real-IP: 203.0.113.9",
    "Forwarded: for=203.0.113.9;proto=https",
    "X-Request-Id: given-by-client",
    f"traceparent: {TRACEPARENT}",
    "tracestate: a=b",
)

CASES = [
    Case(
        "forwarded-fields-are-set",
        request("/", host="lb.test:80"),
        backend=Saw(
            fields={
                "x-forwarded-for": ["127.0.0.1"],
                "x-forwarded-proto": ["http"],
                "x-forwarded-host": ["lb.test:80"],
                "x-real-ip": ["127.0.0.1"],
                "forwarded": ['for=127.0.0.1;host="lb.test:80";proto=http'],
                "via": ["1.1 lb"],
                "x-request-id": [NEW_ID],
                "traceparent": [re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-01")],
                "tracestate": [],
            }
        ),
    ),
    Case(
        "forwarded-fields-of-strangers-are-overwritten",
        request("/", *CLAIMS),
        peer="127.0.0.3",
        backend=Saw(
            fields={
                "x-forwarded-for": ["127.0.0.3"],
                "x-forwarded-proto": ["http"],
                "x-forwarded-host": ["lb.test"],
                "x-real-ip": ["127.0.0.3"],
                "forwarded": ["for=127.0.0.3;host=lb.test;proto=http"],
                "x-request-id": [NEW_ID],
                "traceparent": [re.compile(f"00-(?!{TRACE})[0-9a-f]{{32}}-[0-9a-f]{{16}}-01")],
                "tracestate": [],
            }
        ),
    ),
    Case(
        "forwarded-proto-of-a-stranger-on-this-machine",
        request("/", "X-Forwarded-Proto: https"),
        backend=Saw(fields={"x-forwarded-proto": ["http"]}),
    ),
    Case(
        "forwarded-fields-of-proxies-are-extended",
        request("/", *CLAIMS),
        peer=TRUSTED,
        backend=Saw(
            fields={
                "x-forwarded-for": ["203.0.113.9, 10.1.1.1, 127.0.0.2"],
                "x-forwarded-proto": ["https"],
                "x-forwarded-host": ["shop.test"],
                "x-real-ip": ["203.0.113.9"],
                "forwarded": ["for=203.0.113.9;proto=https, for=127.0.0.2;host=shop.test;proto=https"],
                "x-request-id": ["given-by-client"],
                "traceparent": [re.compile(f"00-{TRACE}-(?!b7ad6b7169203331)[0-9a-f]{{16}}-01")],
                "tracestate": ["a=b"],
            }
        ),
    ),
    Case(
        "forwarded-client-is-the-rightmost-stranger",
        request("/", "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1"),
        peer=TRUSTED,
        backend=Saw(
            fields={"x-real-ip": ["203.0.113.9"], "x-forwarded-for": ["6.6.6.6, 203.0.113.9, 10.1.1.1, 127.0.0.2"]}
        ),
    ),
    Case(
        "forwarded-for-on-several-lines",
        request("/", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.1.1"),
        peer=TRUSTED,
        backend=Saw(fields={"x-forwarded-for": ["203.0.113.9, 10.1.1.1, 127.0.0.2"]}),
    ),
    Case(
        "forwarded-request-id-that-could-do-harm",
        request("/", 'X-Request-Id: a"} evil', "traceparent: 00-xyz"),
        peer=TRUSTED,
        backend=Saw(fields={"x-request-id": [NEW_ID], "traceparent": [re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-01")]}),
    ),
    Case("via-is-extended", request("/", "Via: 1.0 fred"), backend=Saw(fields={"via": ["1.0 fred, 1.1 lb"]})),
    Case(
        "via-of-some-tiers",
        request("/", "Via: 1.1 lb-7, 1.1 cache" + ", 1.1 lb" * (MOST_PASSES - 1)),
        backend=Saw(fields={"via": ["1.1 lb-7, 1.1 cache" + ", 1.1 lb" * MOST_PASSES]}),
    ),
    Case(
        "via-of-a-circle",
        request("/", "Via: 1.1 lb,1.1 cache", "Via: " + ", ".join(["1.1 lb"] * (MOST_PASSES - 1))),
        client=refusal("loop_detected"),
        backend=(),
    ),
    Case(
        "forwarded-cousins-are-dropped",
        request("/", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /x", "X-Forwarded-Ssl: on"),
        backend=Saw(fields={"x-forwarded-port": [], "x-forwarded-prefix": [], "x-forwarded-ssl": []}),
    ),
]
