"""Routes, their own answers, and ``?algo=``."""

from __future__ import annotations

import re

from tests.contract.case import Case, Saw, Wanted
from tests.contract.cases.messages import refusal, request

POLICIES = (
    "round_robin", "weighted_round_robin", "least_connections", "ip_hash", "power_of_two", "random", "peak_ewma",
    "adaptive", "sticky_round_robin",
)  # fmt: skip
INVALID = Wanted(400, b'{"error": "Invalid algorithm specified"}', {"content-type": ["application/json"]})


def answers(
    name: str, expected: str, target: str = "/", *fields: str, host: str = "match.test", method: str = "GET"
) -> Case:
    """A request that a route of this name answers."""
    return Case(
        f"route-{name}",
        request(target, *fields, host=host, method=method),
        client=Wanted(body=expected.encode()),
        backend=(),
    )


CASES = [
    answers("host-with-port", "with port", host="port.test:8081"),
    answers("host-with-another-port", "any port", host="port.test:9"),
    answers("host-without-port", "any port", host="port.test"),
    answers("host-in-upper-case", "any port", host="PORT.Test"),
    answers("wildcard", "wildcard", host="a.wild.test"),
    answers("wildcard-deep-with-port", "wildcard", host="a.b.wild.test:99"),
    answers("exact-before-wildcard", "exact name", host="www.wild.test"),
    answers("method", "delete", method="DELETE"),
    answers("header-value", "header", "/", "x-beta: yes"),
    answers("header-other-value", "else", "/", "X-Beta: no"),
    answers("header-pattern", "pattern", "/", "X-Version: 2.14"),
    answers("header-pattern-is-the-whole-value", "else", "/", "X-Version: 2.14a"),
    answers("header-present", "present", "/", "X-Any:"),
    answers("query", "query", "/?a=1&v=2"),
    answers("query-decoded", "query", "/?%76=%32"),
    answers("query-other", "else", "/?v=22"),
    answers("prefix-itself", "prefix", "/api"),
    answers("prefix-below", "prefix", "/api/v1"),
    answers("prefix-is-a-segment", "else", "/apis"),
    answers("prefix-in-disguise", "prefix", "/x/..//%61pi/v1"),
    answers("prefix-with-an-escape", "scoped", "/%40scope/x"),
    answers("exact", "exact", "/one"),
    answers("exact-is-exact", "else", "/one/"),
    Case("route-wildcard-is-not-the-domain", request(host="wild.test"), client=refusal("route_not_found"), backend=()),
    Case("route-none", request(host="nowhere.test"), client=refusal("route_not_found"), backend=()),
    Case(
        "route-none-and-a-body-that-looks-like-a-request",
        request(host="nowhere.test", method="POST", body=request("/smuggled")),
        client=refusal("route_not_found"),
        backend=(),
    ),
    Case(
        "route-none-with-a-body",
        request(host="nowhere.test", method="POST", body=b"x" * 5000),
        client=refusal("route_not_found"),
        backend=(),
    ),
    Case(
        "respond",
        request("/teapot", host="fixed.test"),
        client=Wanted(418, b"short\n", {"content-type": ["text/x"], "content-length": ["6"]}),
        backend=(),
    ),
    Case(
        "respond-to-head",
        request("/teapot", host="fixed.test", method="HEAD"),
        client=Wanted(418, b"", {"content-length": ["6"]}, to="HEAD"),
        backend=(),
    ),
    Case(
        "redirect",
        request("/moved?a=b&c", host="fixed.test"),
        client=Wanted(308, b"", {"location": ["https://new.test/moved?a=b&c"]}),
        backend=(),
    ),
    Case(
        "redirect-of-a-status",
        request("/found", host="fixed.test:8080"),
        client=Wanted(302, b"", {"location": ["http://fixed.test/there"]}),
        backend=(),
    ),
    Case(
        "rate-limit",
        request(host="seldom.test") * 2,
        client=(Wanted(), refusal("rate_limited", retry_after=[re.compile("8[56][0-9]{3}")])),
    ),
    Case("health", request("/health", host="fixed.test"), client=Wanted(body=b"OK"), backend=()),
    *(Case(f"algo-{name}", request(f"/?algo={name}", host="algo.test")) for name in POLICIES),
    Case("algo-custom-without-a-class", request("/?algo=custom", host="algo.test"), client=INVALID, backend=()),
    Case(
        "algo-is-passed-on", request("/x?algo=random&b", host="algo.test"), backend=Saw("GET /x?algo=random&b HTTP/1.1")
    ),
    Case("algo-unknown", request("/?algo=fastest", host="algo.test"), client=INVALID, backend=()),
    Case("algo-empty", request("/?algo=", host="algo.test"), client=INVALID, backend=()),
    Case("algo-where-nobody-may-choose", request("/?algo=fastest"), backend=Saw("GET /?algo=fastest HTTP/1.1")),
    Case(
        "error-as-json-with-the-text-only",
        request("/short", host="refused.test"),
        client=Wanted(
            503,
            b'{"error": "No backend available"}',
            {"content-type": ["application/json"], "retry-after": ["1"], "x-request-id": [re.compile("[0-9a-f]{32}")]},
        ),
        backend=(),
    ),
    Case(
        "error-as-text",
        request("/text", host="refused.test"),
        client=Wanted(
            503,
            b"Service Unavailable: No healthy servers available",
            {"content-type": ["text/plain; charset=utf-8"], "retry-after": ["1"]},
        ),
        backend=(),
    ),
    Case("backend-over-tls", request(host="tls.test"), backend=Saw(fields={"host": ["tls.test"]})),
    Case("backend-over-tls-by-another-name", request(host="named.test")),
    Case("backend-over-tls-unverified", request(host="unverified.test")),
    Case("backend-over-tls-wrong-name", request(host="wrong.test"), client=refusal("backend_tls"), backend=()),
    Case("backend-over-tls-unknown-authority", request(host="unknown.test"), client=refusal("backend_tls"), backend=()),
    Case(
        "backend-over-tls-large-bodies",
        request("/up", host="tls.test", method="POST", body=b"u" * 300_000),
        answer=b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"d" * 300_000,
        client=Wanted(body=b"d" * 300_000),
        backend=Saw(body=b"u" * 300_000),
    ),
    Case("backend-over-unix", request("/u", host="unix.test"), backend=Saw("GET /u HTTP/1.1", {"host": ["unix.test"]})),
    Case("backend-over-ipv6", request("/6", host="v6.test"), backend=Saw("GET /6 HTTP/1.1")),
]
