"""Methods, targets, Host: what is asked for arrives as it was asked for (RFC 9112 section 3)."""

from __future__ import annotations

import re

from tests.contract.case import Case, Saw, Wanted
from tests.contract.cases.messages import NEW_ID, refusal, request

ALLOWED = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"


def byte_exact(name: str, target: str) -> Case:
    return Case(f"target-{name}", request(target), backend=Saw(f"GET {target} HTTP/1.1"))


CASES = [
    *(
        Case(f"method-{method.lower()}", request("/m", method=method), backend=Saw(f"{method} /m HTTP/1.1"))
        for method in ("GET", "DELETE", "OPTIONS")
    ),
    *(
        Case(
            f"method-{method.lower()}",
            request("/m", method=method, body=b"x=1"),
            backend=Saw(f"{method} /m HTTP/1.1", {"content-length": ["3"]}, b"x=1"),
        )
        for method in ("POST", "PUT", "PATCH")
    ),
    Case(
        "method-head",
        request("/m", method="HEAD"),
        answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        client=Wanted(body=b"", fields={"content-length": ["2"]}, to="HEAD"),
        backend=Saw("HEAD /m HTTP/1.1"),
    ),
    Case(
        "method-get-with-body",
        request("/m", body=b"asked"),
        backend=Saw("GET /m HTTP/1.1", {"content-length": ["5"]}, b"asked"),
    ),
    Case(
        "method-post-without-body",
        request("/m", "Content-Length: 0", method="POST"),
        backend=Saw("POST /m HTTP/1.1", {"content-length": ["0"]}),
    ),
    *(
        Case(
            f"method-unknown-{method.lower()}",
            request("/m", method=method),
            client=refusal("unknown_method"),
            backend=(),
            closes=True,
        )
        for method in ("BREW", "PROPFIND")
    ),
    Case(
        "method-lower-case-is-another",
        request("/m", method="get"),
        client=refusal("unknown_method"),
        backend=(),
        closes=True,
    ),
    Case(
        "method-trace",
        request("/m", method="TRACE"),
        client=refusal("method_not_allowed", allow=[ALLOWED]),
        backend=(),
        closes=True,
    ),
    Case(
        "method-connect",
        request("lb.test:443", method="CONNECT"),
        client=refusal("method_not_allowed", allow=[ALLOWED]),
        backend=(),
        closes=True,
    ),
    byte_exact("encoded-slash", "/a%2Fb"),
    byte_exact("encoded-slash-lower", "/a%2fb%7e"),
    byte_exact("double-slash", "//x"),
    byte_exact("dot-segments", "/a/../b/./c"),
    byte_exact("empty-query", "/?"),
    byte_exact("question-marks", "/a?b?c=/?"),
    byte_exact("sub-delims", "/a;b=1,2/@:$&'()*+!~"),
    byte_exact("brackets", "/a[0]?b[]={x}|^`"),
    byte_exact("encoded-space", "/a%20b+c"),
    byte_exact("encoded-utf-8", "/%C3%A9%e2%82%ac"),
    byte_exact("encoded-junk", "/%zz%"),
    byte_exact("long", "/" + "p" * 7000),
    Case(
        "target-asterisk",
        request("*", method="OPTIONS"),
        backend=Saw("OPTIONS * HTTP/1.1"),
    ),
    Case(
        "target-asterisk-only-for-options",
        request("*"),
        client=refusal("bad_target"),
        backend=(),
        closes=True,
    ),
    Case(
        "target-absolute-form",
        request("http://lb.test/abs?q", host="lb.test"),
        backend=Saw("GET /abs?q HTTP/1.1", {"host": ["lb.test"]}),
    ),
    Case(
        "target-absolute-form-wins-over-host",
        request("http://lb.test:8080/abs", host="canary.test"),
        backend=Saw(
            "GET /abs HTTP/1.1",
            {"host": ["lb.test:8080"], "x-forwarded-host": ["lb.test:8080"], "x-request-id": [NEW_ID]},
        ),
    ),
    Case(
        "target-absolute-form-without-path",
        request("http://lb.test?q", host="lb.test"),
        backend=Saw("GET /?q HTTP/1.1"),
    ),
    Case(
        "target-absolute-form-is-routed",
        request("http://match.test/one", host="lb.test"),
        client=Wanted(body=b"exact"),
        backend=(),
    ),
    Case(
        "target-https-on-http",
        request("https://lb.test/abs", host="lb.test"),
        backend=Saw("GET /abs HTTP/1.1", {"x-forwarded-proto": ["http"]}),
    ),
    Case("target-fragment", request("/a#b"), client=refusal("bad_request"), backend=(), closes=True),
    Case("target-backslash", request("/a\\b"), client=refusal("bad_request"), backend=(), closes=True),
    Case(
        "target-userinfo",
        request("http://lb.test@evil.test/", host="lb.test"),
        client=refusal("bad_target"),
        backend=(),
        closes=True,
    ),
    Case("host-preserved", request("/", host="LB.test:81"), backend=Saw(fields={"host": ["lb.test:81"]})),
    Case(
        "host-of-backend",
        request("/", host="own.test"),
        backend=Saw(fields={"host": [re.compile(r"127\.0\.0\.1:[0-9]+")], "x-forwarded-host": ["own.test"]}),
    ),
    Case("host-missing", b"GET / HTTP/1.1\r\n\r\n", client=refusal("bad_host"), backend=(), closes=True),
    Case("host-twice", request("/", "Host: lb.test"), client=refusal("bad_host"), backend=(), closes=True),
    Case("host-invalid", request("/", host="lb.test/x"), client=refusal("bad_host"), backend=(), closes=True),
    Case("version-2", request("/", version="2.0"), client=refusal("bad_version"), backend=(), closes=True),
    Case("version-1-2", request("/", version="1.2"), client=refusal("bad_version"), backend=(), closes=True),
    Case(
        "head-line-too-long",
        request("/" + "p" * 8300),
        client=refusal("uri_too_long"),
        backend=(),
        closes=True,
    ),
    Case(
        "head-field-too-long",
        request("/", "X-Long: " + "v" * 8300),
        client=refusal("head_too_large"),
        backend=(),
        closes=True,
    ),
    Case(
        "head-too-many-fields",
        request("/", *("X-Many: v" for _ in range(101))),
        client=refusal("head_too_large"),
        backend=(),
        closes=True,
    ),
]
