"""Request heads made by the grammar of RFC 9112: each is taken for what it says, and nothing near it for anything else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import RequestError
from lb.http1.request import KNOWN_METHODS, find_head_end, parse_request

PCHAR = "abcXYZ019-._~!$&'()*+,;=:@%/"
methods = st.sampled_from(sorted(KNOWN_METHODS)) | st.text("ABCXYZ!-1", min_size=1, max_size=12).map(str.encode)
targets = st.tuples(st.text(PCHAR, max_size=30), st.none() | st.text(PCHAR + "?", max_size=20)).map(
    lambda one: ("/" + one[0] + ("" if one[1] is None else "?" + one[1])).encode()
)
names = st.text("abcXYZ019!#$%&'*+-.^`|~", min_size=1, max_size=10).map(lambda name: b"x-" + name.encode())
values = st.text([*map(chr, range(0x20, 0x7F)), "\t", "\x80", "\x85", "\xa0", "\xff"], max_size=20).map(
    lambda value: value.encode("latin-1")
)
lines = st.lists(st.tuples(names, st.sampled_from([b":", b": ", b":\t "]), values).map(b"".join), max_size=8)
ILLEGAL = [b"\0", b"\x01", b"\x0b", b"\x0c", b"\x7f", b"\r", b"\n"]


@dataclass
class Made:
    """``raw``: all of it; ``kept``: the lines that a backend must get as they are."""

    method: bytes
    target: bytes
    kept: bytes
    raw: bytes


@st.composite
def heads(draw: st.DrawFn) -> Made:
    method, target, fields = (
        draw(methods.filter(lambda one: one not in (b"CONNECT", b"TRACE"))),
        draw(targets),
        draw(lines),
    )
    at = draw(st.integers(0, len(fields)))
    kept = b"".join([line + b"\r\n" for line in fields])
    block = b"".join([line + b"\r\n" for line in (*fields[:at], b"Host: Lb.Test:80", *fields[at:])])
    return Made(method, target, kept, b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, block))


@given(heads(), st.binary(max_size=20), st.integers(0, 400))
def test_what_the_grammar_makes_is_taken_byte_for_byte_however_it_is_cut(made: Made, behind: bytes, cut: int) -> None:
    whole = made.raw + behind
    cut = min(cut, len(made.raw) - 1)
    assert find_head_end(whole[:cut]) == 0
    end = find_head_end(whole, cut)
    assert end == len(made.raw)
    head = parse_request(whole[:end])
    assert (head.method, head.target, head.authority) == (made.method, made.target, b"lb.test:80")
    assert head.fields.kept == made.kept
    assert (head.has_body, head.fields.close, head.fields.upgrade) == (False, False, b"")


@given(heads(), st.sampled_from(ILLEGAL), st.integers(0, 10_000))
def test_one_byte_that_no_head_may_have_is_refused_wherever_it_stands(made: Made, byte: bytes, where: int) -> None:
    """The empty line stays the last one: a line end more before it makes another head, not this one with a flaw."""
    at = where % (len(made.raw) - 4)
    broken = made.raw[:at] + byte + made.raw[at:]
    with pytest.raises(RequestError) as refused:
        parse_request(broken[: find_head_end(broken) or len(broken)])
    assert refused.value.answer.status == 400
    assert refused.value.answer.close


@given(heads(), st.sampled_from([b"Content-Length: 5", b"Transfer-Encoding: chunked"]), st.integers(0, 10_000))
def test_a_framing_field_among_any_others_is_seen_once_and_never_passed_on(made: Made, line: bytes, where: int) -> None:
    block = made.raw.partition(b"\r\n")[2][:-2].split(b"\r\n")[:-1]
    at = where % (len(block) + 1)
    start = made.raw.partition(b"\r\n")[0] + b"\r\n"
    framed = b"\r\n".join([*block[:at], line, *block[at:], b"", b""])
    head = parse_request(start + framed)
    assert (head.fields.chunked, head.fields.content_length) in [(True, -1), (False, 5)]
    assert head.fields.kept == made.kept
    with pytest.raises(RequestError, match="bad_framing"):
        parse_request(start + b"Content-Length: 5\r\n" + framed)
