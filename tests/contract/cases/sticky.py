"""Sticky sessions: the cookie comes with the first answer, beside those of the backend, and not again."""

from __future__ import annotations

from lb.proxy.sticky import token
from tests.contract.case import Case, Saw, Wanted
from tests.contract.cases.messages import answer, chunked_answer, refusal, request

STICKY_KEY = "a-key-for-tests-only"
COOKIE = f"lb_backend={token(STICKY_KEY, 'sticky', 'one').decode()}"
GIVEN = f"{COOKIE}; Path=/; HttpOnly; SameSite=Lax"
HOST = {"host": "sticky.test"}

CASES = [
    Case(
        "sticky-first-answer",
        request(**HOST),
        client=Wanted(fields={"set-cookie": [GIVEN], "cache-control": ["private"]}),
        backend=Saw(fields={"cookie": []}),
    ),
    Case(
        "sticky-beside-the-cookies-of-the-backend",
        request(**HOST),
        answer=answer("Set-Cookie: a=1; Path=/", "Cache-Control: no-store", "Set-Cookie: b=2"),
        client=Wanted(fields={"set-cookie": ["a=1; Path=/", "b=2", GIVEN], "cache-control": ["no-store"]}),
    ),
    Case(
        "sticky-known",
        request("/", f"Cookie: a=b; {COOKIE}", **HOST),
        answer=answer("Set-Cookie: a=1"),
        client=Wanted(fields={"set-cookie": ["a=1"], "cache-control": []}),
        backend=Saw(fields={"cookie": [f"a=b; {COOKIE}"]}),
    ),
    Case(
        "sticky-forged",
        request("/", "Cookie: lb_backend=MTI3LjAuMC4xOjUwMDE", **HOST),
        client=Wanted(fields={"set-cookie": [GIVEN]}),
    ),
    Case(
        "sticky-secure-where-the-client-came-by-https",
        request("/", "X-Forwarded-Proto: https", **HOST),
        peer="127.0.0.2",
        client=Wanted(fields={"set-cookie": [f"{GIVEN}; Secure"]}),
    ),
    Case(
        "sticky-chunked",
        request(**HOST),
        answer=chunked_answer(b"ok"),
        client=Wanted(fields={"set-cookie": [GIVEN]}),
    ),
    Case(
        "sticky-head",
        request(method="HEAD", **HOST),
        client=Wanted(body=b"", fields={"set-cookie": [GIVEN]}, to="HEAD"),
    ),
    Case(
        "sticky-no-answer-no-cookie",
        request(**HOST),
        answer=b"junk",
        client=refusal("bad_response", set_cookie=[]),
    ),
]
