"""Backends that refuse, stall, lie or vanish: an honest status, and never a neat end to half an answer."""

from __future__ import annotations

from tests.contract.case import Case, Saw, Wanted
from tests.contract.cases.messages import refusal, request, unavailable
from tests.contract.script import Script, TheyGot, Verb

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"


def garbage(name: str, raw: bytes) -> Case:
    return Case(
        f"garbage-{name}", request("/g", method="POST"), answer=(raw, Verb.CLOSE), client=refusal("bad_response")
    )


def truncated(name: str, part: bytes, *end: Verb) -> Case:
    """The client has the part before the backend leaves, so the answer cannot become an error."""
    steps: Script = (part, TheyGot(b"part"), *end)
    return Case(
        f"truncated-{name}",
        request("/t", host="quick.test"),
        steps,
        Wanted(body=b"part", is_complete=False),
        closes=True,
    )


CASES = [
    Case("refused-by-all", request(host="refused.test"), client=unavailable(), backend=()),
    Case(
        "refused-by-all-with-a-body",
        request(host="refused.test", method="POST", body=b"hello"),
        client=unavailable(),
        backend=(),
    ),
    Case("refused-by-one-of-two", request("/h", host="half.test", method="POST", body=b"x"), backend=Saw(body=b"x")),
    Case("connect-times-out", request(host="hole.test"), client=refusal("connect_timeout"), backend=()),
    Case(
        "silence-before-the-head",
        request(host="quick.test", method="POST", body=b"x"),
        answer=(Verb.SILENCE,),
        client=refusal("backend_timeout"),
        backend=Saw(body=b"x"),
    ),
    Case(
        "silence-inside-the-head",
        request(host="quick.test"),
        answer=(b"HTTP/1.1 200 OK\r\nContent-", Verb.SILENCE),
        client=refusal("backend_timeout"),
    ),
    Case(
        "closed-without-an-answer",
        request(host="quick.test", method="POST", body=b"x"),
        answer=(Verb.CLOSE,),
        client=refusal("backend_reset"),
        backend=Saw(body=b"x"),
    ),
    Case(
        "reset-inside-the-head",
        request(host="quick.test", method="POST", body=b"x"),
        answer=(b"HTTP/1.1 200 OK\r\nX-", Verb.RESET),
        client=refusal("backend_reset"),
        backend=Saw(body=b"x"),
    ),
    garbage("tls", b"\x16\x03\x01\x02\x00" + bytes(60)),
    garbage("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
    garbage("status", b"HTTP/1.1 2000 OK\r\n\r\n"),
    garbage("version", b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    garbage("line-ends", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n"),
    garbage("field", b"HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 2\r\n\r\nok"),
    garbage("null", b"HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 2\r\n\r\nok"),
    garbage("lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    garbage("coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    garbage("first-chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n"),
    Case(
        "garbage-endless-head",
        request("/g", method="POST"),
        answer=(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 9000, Verb.CLOSE),
        client=refusal("response_head_too_large"),
    ),
    truncated("length-closed", LONG, Verb.CLOSE),
    truncated("length-reset", LONG, Verb.RESET),
    truncated("length-silent", LONG, Verb.SILENCE),
    truncated("chunked-closed", CHUNK, Verb.CLOSE),
    truncated("chunked-reset", CHUNK, Verb.RESET),
    truncated("chunked-silent", CHUNK, Verb.SILENCE),
    Case(
        "truncated-chunked-garbage",
        request("/t"),
        answer=(CHUNK, TheyGot(b"part"), b"nonsense\r\n", Verb.CLOSE),
        client=Wanted(body=b"part", is_complete=False),
        closes=True,
    ),
    Case(
        "truncated-to-http-1-0",
        request("/t", version="1.0"),
        answer=(LONG, TheyGot(b"part"), Verb.CLOSE),
        client=Wanted(body=b"part", is_complete=False),
        closes=True,
    ),
]
