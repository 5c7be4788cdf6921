"""What differs with ``ambiguous_paths: reject`` and ``traceparent: false``: cases of a configuration of their own."""

from __future__ import annotations

from tests.contract.case import Case, Saw
from tests.contract.cases.forwarded import CLAIMS, TRACEPARENT, TRUSTED
from tests.contract.cases.messages import NEW_ID, refusal, request

REFUSED = {
    "slash": "/admin%2Fx",
    "slash-behind-dots": "/a/..%2fadmin",
    "backslash": "/admin%5cx",
    "null": "/admin%00",
    "control": "/adm%0Ain",
    "percent": "/%2561dmin",
    "no-escape": "/100%",
    "parameter": "/admin;x",
    "encoded-parameter": "/admin%3bx",
    "question-mark": "/admin%3Fx",
    "fragment": "/admin%23x",
    "empty-segment": "//admin",
    "dot-segments": "/x/../admin",
    "encoded-dot-segments": "/x/%2e%2e/admin",
    "overlong-slash": "/admin%c0%afx",
    "brace": "/{admin}",
    "absolute-form": "http://lb.test/x/..%2fadmin?y",
}

TRACE_PASSED_ON = {"traceparent": [TRACEPARENT], "tracestate": ["a=b"]}


def passed_on(name: str, target: str) -> Case:
    return Case(f"strict-{name}", request(target), backend=Saw(f"GET {target} HTTP/1.1"))


CASES = [
    *(
        Case(f"strict-{name}", request(target), client=refusal("ambiguous_path"), backend=())
        for name, target in REFUSED.items()
    ),
    Case(
        "strict-to-head",
        request("//x", method="HEAD"),
        client=refusal("ambiguous_path", to="HEAD"),
        backend=(),
    ),
    Case(
        "strict-with-a-body-that-looks-like-a-request",
        request("//x", method="POST", body=request("/smuggled")),
        client=refusal("ambiguous_path"),
        backend=(),
    ),
    passed_on("ordinary", "/caf%c3%a9/%41%20b/@scope%40x/.well-known/?"),
    passed_on("query-may-hold-anything", "/x?next=//y%2F..;%00%25/../"),
    Case("trace-is-not-begun", request(), backend=Saw(fields={"traceparent": [], "x-request-id": [NEW_ID]})),
    Case(
        "trace-of-a-stranger-is-passed-on",
        request("/", *CLAIMS),
        peer="127.0.0.3",
        backend=Saw(fields={**TRACE_PASSED_ON, "x-request-id": [NEW_ID], "x-forwarded-for": ["127.0.0.3"]}),
    ),
    Case(
        "trace-of-a-proxy-is-passed-on",
        request("/", *CLAIMS),
        peer=TRUSTED,
        backend=Saw(fields={**TRACE_PASSED_ON, "x-request-id": ["given-by-client"]}),
    ),
    Case(
        "trace-of-another-version-is-passed-on",
        request("/", "traceparent: 01-xyz"),
        backend=Saw(fields={"traceparent": ["01-xyz"], "tracestate": []}),
    ),
]
