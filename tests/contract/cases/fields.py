"""Request fields: passed on as they came, but for what belongs to one hop (RFC 9110 section 7.6)."""

from __future__ import annotations

from tests.contract.case import Case, Saw
from tests.contract.cases.messages import refusal, request


def refused(name: str, raw: str) -> Case:
    """A head that two parties could read in two ways."""
    return Case(
        f"field-{name}",
        b"GET / HTTP/1.1\r\nHost: lb.test\r\n" + raw.encode("latin-1") + b"\r\n\r\n",
        client=refusal("bad_request"),
        backend=(),
        closes=True,
    )


CASES = [
    Case(
        "field-hop-by-hop-is-removed",
        request(
            "/",
            "Connection: keep-alive, X-Hop, Accept-Language",
            "Keep-Alive: timeout=5",
            "X-Hop: 1",
            "Proxy-Connection: keep-alive",
            "Accept-Language: de",
            "X-Stays: 1",
        ),
        backend=Saw(
            fields={
                **{name: [] for name in ("connection", "keep-alive", "x-hop", "proxy-connection", "accept-language")},
                "x-stays": ["1"],
            }
        ),
    ),
    Case(
        "field-connection-cannot-name-what-is-needed",
        request(
            "/", "Connection: Host, X-Forwarded-For, Content-Type", "Content-Type: text/x", method="POST", body=b"x"
        ),
        backend=Saw(
            fields={"host": ["lb.test"], "x-forwarded-for": ["127.0.0.1"], "content-type": ["text/x"]}, body=b"x"
        ),
    ),
    Case("field-te-trailers-only", request("/", "TE: gzip, trailers"), backend=Saw(fields={"te": ["trailers"]})),
    Case("field-te-without-trailers", request("/", "TE: gzip"), backend=Saw(fields={"te": []})),
    Case("field-proxy-is-dropped", request("/", "Proxy: http://evil.test"), backend=Saw(fields={"proxy": []})),
    Case(
        "field-proxy-authorization-is-ours",
        request("/", "Proxy-Authorization: Basic eA==", "Authorization: Basic eQ=="),
        backend=Saw(fields={"proxy-authorization": [], "authorization": ["Basic eQ=="]}),
    ),
    Case(
        "field-underscore-is-dropped",
        request("/", "X_Forwarded_For: 6.6.6.6", "X_Own: 1", "X-Own: 2"),
        backend=Saw(fields={"x_forwarded_for": [], "x_own": [], "x-own": ["2"]}),
    ),
    Case(
        "field-case-and-order-are-kept",
        request("/", "X-bETA: 1", "x-alpha: 2", "ACCEPT: */*"),
        backend=Saw(raw=(b"X-bETA: 1\r\nx-alpha: 2\r\nACCEPT: */*\r\n",)),
    ),
    Case("field-obs-text", request("/", "X-Name: caf\xe9\xff"), backend=Saw(fields={"x-name": ["caf\xe9\xff"]})),
    Case("field-empty-value", request("/", "X-Empty:"), backend=Saw(fields={"x-empty": [""]})),
    Case("field-inner-space", request("/", "X-A: b \t c"), backend=Saw(fields={"x-a": ["b \t c"]})),
    Case(
        "field-repeated-stays-repeated",
        request("/", "X-A: 1", "X-A: 2", "Accept: a", "Accept: b"),
        backend=Saw(fields={"x-a": ["1", "2"], "accept": ["a", "b"]}),
    ),
    Case(
        "field-cookie-lines",
        request("/", "Cookie: a=1", "Cookie: b=2"),
        backend=Saw(fields={"cookie": ["a=1", "b=2"]}),
    ),
    Case("field-cookie-with-comma", request("/", "Cookie: a=1,2; b=3"), backend=Saw(fields={"cookie": ["a=1,2; b=3"]})),
    Case(
        "field-content-headers",
        request("/", "Content-Type: a/b; c=d", "Content-Encoding: gzip", method="POST", body=b"z"),
        backend=Saw(fields={"content-type": ["a/b; c=d"], "content-encoding": ["gzip"]}, body=b"z"),
    ),
    Case("field-long", request("/", "X-Long: " + "v" * 8000), backend=Saw(fields={"x-long": ["v" * 8000]})),
    Case(
        "field-many",
        request("/", *(f"X-{number}: {number}" for number in range(90))),
        backend=Saw(fields={f"x-{number}": [str(number)] for number in range(90)}),
    ),
    refused("fold", "X-A: b\r\n c"),
    refused("space-before-colon", "X-A : b"),
    refused("without-colon", "X-A"),
    refused("empty-name", ": b"),
    refused("bad-name", "X(A: b"),
    refused("null", "X-A: b\x00c"),
    refused("bare-cr", "X-A: b\rc"),
    refused("bare-lf", "X-A: b\nX-B: c"),
]
