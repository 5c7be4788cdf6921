"""Bodies both ways: exact bytes, in whatever framing (RFC 9112 section 6 and 7)."""

from __future__ import annotations

from random import Random

from tests.contract.case import OK, Case, Saw, Wanted
from tests.contract.cases.messages import answer, chunked, chunked_answer, refusal, request
from tests.contract.script import Got, Pieces, TheyGot, Verb

KIB = 1024
NOISE = Random(7).randbytes(KIB * KIB)
SIZES = (0, 1, 64 * KIB - 1, 64 * KIB + 1, KIB * KIB)


def cut(body: bytes, size: int = 30_011) -> tuple[bytes, ...]:
    return tuple(body[at : at + size] for at in range(0, len(body), size))


def upload(*fields: str, body: bytes, host: str = "lb.test") -> bytes:
    """A chunked request."""
    return request("/up", "Transfer-Encoding: chunked", *fields, method="POST", host=host) + body


CASES = [
    *(
        Case(
            f"upload-length-{size}",
            request("/up", f"Content-Length: {size}", method="PUT") + NOISE[:size],
            backend=Saw("PUT /up HTTP/1.1", {"content-length": [str(size)], "transfer-encoding": []}, NOISE[:size]),
        )
        for size in SIZES
    ),
    *(
        Case(
            f"upload-chunked-{size}",
            upload(body=chunked(*cut(NOISE[:size]))),
            backend=Saw("POST /up HTTP/1.1", {"content-length": [], "transfer-encoding": ["chunked"]}, NOISE[:size]),
        )
        for size in SIZES
    ),
    *(
        Case(
            f"download-length-{size}",
            request("/down"),
            answer=answer(body=NOISE[:size]),
            client=Wanted(body=NOISE[:size], fields={"content-length": [str(size)]}),
        )
        for size in SIZES
    ),
    *(
        Case(
            f"download-chunked-{size}",
            request("/down"),
            answer=chunked_answer(*cut(NOISE[:size])),
            client=Wanted(body=NOISE[:size], fields={"content-length": []}),
        )
        for size in SIZES
    ),
    *(
        Case(
            f"download-until-close-{size}",
            request("/down"),
            answer=(b"HTTP/1.1 200 OK\r\n\r\n" + NOISE[:size], Verb.CLOSE),
            client=Wanted(body=NOISE[:size], fields={"content-length": []}),
        )
        for size in SIZES
    ),
    Case(
        "download-of-unknown-length-is-chunked",
        request("/down"),
        answer=(b"HTTP/1.1 200 OK\r\n\r\nok", Verb.CLOSE),
        client=Wanted(fields={"content-length": [], "transfer-encoding": ["chunked"]}),
    ),
    Case(
        "download-until-close-to-http-1-0",
        request("/down", version="1.0"),
        answer=(b"HTTP/1.1 200 OK\r\n\r\n" + NOISE[:70_000], Verb.CLOSE),
        client=Wanted(body=NOISE[:70_000], fields={"transfer-encoding": []}),
        closes=True,
    ),
    Case(
        "upload-in-pieces",
        (request("/up", "Content-Length: 60", method="POST"), Pieces(NOISE[:60])),
        backend=Saw(body=NOISE[:60]),
    ),
    Case(
        "upload-chunked-byte-by-byte",
        (upload(body=b""), Pieces(b"5;a=b\r\nhello\r\n06\r\n world\r\n0\r\n\r\n")),
        backend=Saw(body=b"hello world"),
    ),
    Case(
        "upload-chunk-extensions-end-here",
        upload(body=b'5;name=value;q="a b"\r\nhello\r\n000\r\n\r\n'),
        backend=Saw(fields={"transfer-encoding": ["chunked"]}, body=b"hello"),
    ),
    Case(
        "upload-trailers",
        upload("Trailer: X-Sum", "TE: trailers", body=chunked(b"hello", trailers=b"X-Sum: 42\r\n")),
        backend=Saw(fields={"te": ["trailers"]}, body=b"hello", trailers=(("x-sum", "42"),)),
    ),
    Case(
        "upload-trailers-that-may-not-be",
        (upload(body=b"5\r\nhello\r\n"), TheyGot(b"POST /up"), b"0\r\nContent-Length: 3\r\n\r\n"),
        client=refusal("bad_chunk"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "download-trailers",
        request("/down", "TE: trailers"),
        answer=chunked_answer(b"ok", trailers=b"X-Sum: 42\r\n", fields=b"Trailer: X-Sum\r\n"),
        client=Wanted(fields={"trailer": ["X-Sum"]}, trailers=(("x-sum", "42"),)),
    ),
    Case(
        "download-trailers-that-may-not-be",
        request("/down"),
        answer=chunked_answer(b"ok", trailers=b"Set-Cookie: a=b\r\n"),
        client=Wanted(fields={"set-cookie": []}),
    ),
    Case(
        "download-chunked-in-pieces",
        request("/down"),
        answer=(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Pieces(chunked(NOISE[:50], b"x"), 3)),
        client=Wanted(body=NOISE[:50] + b"x"),
    ),
    Case(
        "download-head-byte-by-byte",
        request("/down"),
        answer=Pieces(answer("X-A: b")),
        client=Wanted(fields={"x-a": ["b"]}),
    ),
    Case(
        "upload-and-download-together",
        (upload(body=b"3\r\none\r\n", host="quick.test"), Got(b"ONE"), b"3\r\ntwo\r\n", Got(b"TWO"), b"0\r\n\r\n"),
        answer=(
            Verb.HEAD,
            Got(b"one"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n",
            Got(b"two"),
            b"3\r\nTWO\r\n",
            Verb.BODY,
            b"0\r\n\r\n",
        ),
        client=Wanted(body=b"ONETWO", fields={"connection": ["close"]}),
        backend=Saw(body=b"onetwo"),
        closes=True,
    ),
    Case(
        "length-and-chunked",
        upload("Content-Length: 5", body=chunked(b"hello")),
        client=refusal("bad_framing"),
        backend=(),
        closes=True,
    ),
    Case(
        "length-twice",
        request("/up", "Content-Length: 2", "Content-Length: 2", method="POST") + b"ok",
        client=refusal("bad_framing"),
        backend=(),
        closes=True,
    ),
    Case(
        "length-with-sign",
        request("/up", "Content-Length: +2", method="POST") + b"ok",
        client=refusal("bad_framing"),
        backend=(),
        closes=True,
    ),
    Case(
        "coding-unknown",
        request("/up", "Transfer-Encoding: gzip, chunked", method="POST") + chunked(b"hello"),
        client=refusal("unknown_coding"),
        backend=(),
        closes=True,
    ),
    Case(
        "chunk-size-bad",
        (upload(body=b"5\r\nhello"), TheyGot(b"POST /up"), b"\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        client=refusal("bad_chunk"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "upload-cut-off",
        (request("/up", "Content-Length: 10", method="POST") + b"hello", Verb.HALF_CLOSE),
        client=refusal("body_truncated"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "limit-declared",
        request("/up", "Content-Length: 1025", method="POST", host="small.test") + NOISE[:1025],
        client=refusal("body_too_large"),
        backend=(),
        closes=True,
    ),
    Case(
        "limit-chunked",
        (upload(body=b"400\r\n" + NOISE[:1024], host="small.test"), TheyGot(b"POST /up"), b"\r\n1\r\nx\r\n0\r\n\r\n"),
        client=refusal("body_too_large"),
        backend=Saw(is_complete=False),
        closes=True,
    ),
    Case(
        "limit-kept",
        request("/up", method="POST", host="small.test", body=NOISE[:1024]),
        backend=Saw(body=NOISE[:1024]),
    ),
    Case(
        "limit-before-100-continue",
        request("/up", "Content-Length: 1025", "Expect: 100-continue", method="POST", host="small.test"),
        client=refusal("body_too_large"),
        backend=(),
        closes=True,
    ),
    Case("answer-before-the-body", request("/up", body=NOISE), answer=OK, backend=Saw(body=NOISE)),
]
