"""Answers of our own: exact bodies, the fields a refusal must have, and nothing a client could smuggle into them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import REASONS, RequestError
from lb.http1.request import find_head_end, parse_request
from lb.model import ErrorStyle, Redirect, Respond
from lb.proxy.answer import Answer
from lb.proxy.local import error_answer, local_answer, redirect, respond
from tests.support.scripted import head_of
from tests.unit.proxy.live import IDS

ID = IDS[0]


def fields_of(answer: Answer) -> dict[str, str]:
    """In lower case; each at most once. The head's lines must all be lines."""
    assert re.fullmatch(rb"HTTP/1\.1 [1-5]\d\d [^\r\n]*\r\n(?:[A-Za-z-]+: [^\r\n]*\r\n)*", answer.head), answer.head
    lines = answer.head.decode("latin-1").split("\r\n")[1:-1]
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert len(fields) == len(lines)
    return fields


@pytest.mark.parametrize(
    ("style", "body", "content_type"),
    [
        (
            "json",
            b'{"error": "No backend available", "reason": "no_backend", "request_id": "' + ID + b'"}',
            "application/json",
        ),
        ("error_only", b'{"error": "No backend available"}', "application/json"),
        ("text", b"Service Unavailable: No healthy servers available", "text/plain; charset=utf-8"),
    ],
)
def test_the_three_styles(style: ErrorStyle, body: bytes, content_type: str) -> None:
    answer = error_answer("no_backend", style, ID)
    fields = fields_of(answer)
    assert (answer.status, answer.first, answer.reader) == (503, body, None)
    assert fields["content-type"] == content_type
    assert fields["content-length"] == str(len(body))
    assert fields["x-request-id"] == ID.decode()
    assert fields["retry-after"] == "1"
    assert "date" in fields and fields["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("style", get_args(ErrorStyle))
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_in_every_style(reason: str, style: ErrorStyle) -> None:
    known = REASONS[reason]
    for request_id in (ID, b"another~id"):
        answer = error_answer(reason, style, request_id)
        fields = fields_of(answer)
        assert (answer.status, answer.close) == (known.status, known.close)
        assert fields["x-request-id"] == request_id.decode()
        assert ("allow" in fields) is (known.status == 405)
        assert fields.get("retry-after", "0") == str(known.retry_after_s)
        if style != "text":
            said = json.loads(answer.first)
            assert said["error"] == known.text
            assert said.get("request_id", request_id.decode()) == request_id.decode()


def test_row_54_the_body_of_a_refusal_is_rendered_once_however_many_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []

    def render(told: object, dumps: Callable[[object], str] = json.dumps) -> str:
        rendered.append(told)
        return dumps(told)

    monkeypatch.setattr(json, "dumps", render)
    ids = [b"%032x" % number for number in range(50)]
    bodies = [error_answer("no_backend", "json", request_id).first for request_id in ids]
    assert len(rendered) <= 1
    assert [json.loads(body)["request_id"].encode() for body in bodies] == ids


def test_405_says_what_is_allowed() -> None:
    assert (
        fields_of(error_answer("method_not_allowed", "json", ID))["allow"]
        == "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    )


def test_a_fixed_answer() -> None:
    answer = respond(Respond(418, "grüß\n", "text/x"))
    assert (answer.status, answer.first) == (418, "grüß\n".encode())
    assert answer.head.startswith(b"HTTP/1.1 418 I'm a Teapot\r\n")
    assert fields_of(answer)["content-length"] == "7"


def test_a_status_that_nobody_named_has_an_empty_phrase() -> None:
    assert local_answer(299, "text/plain", b"").head.startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize(
    "answer",
    [respond(Respond(200, "")), redirect(Redirect("/there", 302), head_of(), b"http")],
    ids=["respond", "redirect"],
)
def test_what_is_empty_has_a_length_and_no_type(answer: Answer) -> None:
    fields = fields_of(answer)
    assert "content-type" not in fields
    assert fields["content-length"] == "0"


@pytest.mark.parametrize("status", [204, 304])
def test_a_fixed_answer_that_can_have_no_body_has_none(status: int) -> None:
    """RFC 9110 section 8.6: nor a length, in 204. Bytes behind its head would be the next answer."""
    answer = respond(Respond(status, "gone", "text/x"))
    assert answer.first == b""
    assert fields_of(answer).keys() == {"date"}


# --- redirects


def location(to: str, target: str = "/a/b?c=d", host: str = "shop.test:81", status: int = 308) -> str:
    answer = redirect(Redirect(to, status), head_of(f"GET {target} HTTP/1.1", host=host), b"https")
    assert (answer.status, answer.first) == (status, b"")
    return fields_of(answer)["location"]


@pytest.mark.parametrize(
    ("to", "target", "wanted"),
    [
        ("https://new.test/", "/x", "https://new.test/"),
        ("{scheme}://{hostport}{path}{query}", "/a/b?c=d", "https://shop.test:81/a/b?c=d"),
        ("{scheme}://{host}{path}", "/a/b?c=d", "https://shop.test/a/b"),
        ("https://new.test{path}{query}", "/a", "https://new.test/a"),
        ("https://new.test/x{query}", "/a?", "https://new.test/x"),
        ("/{path}/{path}", "/a", "//a//a"),
        ("/{unknown}", "/a", "/{unknown}"),
        ("https://new.test{path}", "/{query}?c=d", "https://new.test/{query}"),
        ("{path}{query}", "/{host}{path}?{scheme}", "/{host}{path}?{scheme}"),
    ],
)
def test_what_stands_in_braces_is_the_requests(to: str, target: str, wanted: str) -> None:
    """And what stands in braces in the request is not ours to fill in."""
    assert location(to, target) == wanted


@given(st.binary(max_size=60).map(lambda data: b"/" + data), st.binary(max_size=20))
def test_no_request_can_add_a_field_to_an_answer(target: bytes, host: bytes) -> None:
    raw = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host)
    try:
        head = parse_request(raw[: find_head_end(raw)])
    except RequestError:
        return
    answer = redirect(Redirect("{scheme}://{host}{path}{query}"), head, b"http")
    assert fields_of(answer).keys() == {"location", "date", "content-length"}
