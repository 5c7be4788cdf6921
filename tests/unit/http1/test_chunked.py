"""The chunked coding: what goes in comes out however it is cut, and nothing ambiguous gets through."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.http1.chunked import LAST_CHUNK, ChunkedDecoder, ChunkError, encode_chunk, encode_trailers, is_forbidden_trailer

payloads = st.lists(st.binary(max_size=300), max_size=6)
cuts = st.lists(st.integers(0, 4000), max_size=12)
trailers = st.lists(
    st.tuples(
        st.text("abcXYZ019-!~", min_size=1, max_size=12)
        .map(str.encode)
        .filter(lambda name: not is_forbidden_trailer(name)),
        st.text("abc \t=;\xe9", max_size=20).map(lambda value: value.strip(" \t").encode("latin-1")),
    ),
    max_size=5,
)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    """``data`` cut at some places; empty pieces happen too."""
    edges = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def decode(wire: list[bytes], *, for_request: bool = True) -> tuple[bytes, ChunkedDecoder]:
    decoder = ChunkedDecoder(for_request=for_request)
    return b"".join([decoder.feed(piece) for piece in wire]), decoder


def outcome(wire: list[bytes]) -> tuple[object, ...]:
    try:
        payload, decoder = decode(wire)
    except ChunkError:
        return ("refused",)
    return payload, decoder.done, decoder.trailers, decoder.unused


@given(payloads, trailers, cuts, st.binary(max_size=40))
def test_what_was_encoded_comes_out_however_it_is_cut(
    bodies: list[bytes], fields: list[tuple[bytes, bytes]], at: list[int], behind: bytes
) -> None:
    wire = b"".join(map(encode_chunk, bodies)) + encode_trailers(fields) + behind
    payload, decoder = decode(pieces(wire, at))
    assert payload == b"".join(bodies)
    assert decoder.done
    assert decoder.trailers == tuple(fields)
    assert decoder.unused == behind


junk = st.lists(
    st.sampled_from(
        [
            b"5",
            b"0",
            b"a",
            b"F",
            b"\r\n",
            b"\r",
            b"\n",
            b";",
            b"=",
            b'"',
            b"\\",
            b" ",
            b"\t",
            b"x",
            b":",
            b"hello",
            b"\0",
            b"\xa0",
        ]
    ),
    max_size=24,
).map(b"".join)


@given(junk, cuts)
def test_junk_has_one_outcome_however_it_is_cut(wire: bytes, at: list[int]) -> None:
    """An incomplete body may be refused early or still be waited for; a complete one has one reading."""
    whole, cut = outcome([wire]), outcome(pieces(wire, at))
    one_by_one = outcome([wire[at : at + 1] for at in range(len(wire))])
    assert whole == cut == one_by_one


@pytest.mark.parametrize(
    "line",
    [
        b"5",
        b"A" * 16,
        b"00000005",
        b"0" * 40 + b"5",
        b"5;a",
        b"5;a=b;c",
        b'5;a="x;y\\""',
        b"5;\ta = b",
    ],
)
def test_legal_size_lines(line: bytes) -> None:
    assert decode([line + b"\r\nhello"])[0] == b"hello"


@pytest.mark.parametrize(
    "line",
    [
        b"", b" 5", b"5 ", b"+5", b"-5", b"0x5", b"0_5", b"5g", b"5\x0b", b"5\xa0", b"5\x00", b"5;", b"5 ;a", b"5;=b", b"5;a=",
        b'5;a="b', b"5;a b", b"5\n", b"5\r", b"1" + b"0" * 16, b"5;" + b"a" * 5000, b"\xef\xbc\x95",
    ],
)  # fmt: skip
def test_illegal_size_lines(line: bytes) -> None:
    with pytest.raises(ChunkError):
        decode([line + b"\r\nhello\r\n0\r\n\r\n"])


@pytest.mark.parametrize("end", [b"\n", b"\r", b"X\r\n", b"\n\r\n", b"\r\r\n"])
def test_data_must_be_followed_by_crlf(end: bytes) -> None:
    with pytest.raises(ChunkError):
        decode([b"5\r\nhello" + end + b"0\r\n\r\n"])


@pytest.mark.parametrize("start", [b"G", b"5\n", b"5;a\x00", b"5\r\nhelloX", b"0\r\nX-A: b\n", b"0\r\n\rX"])
def test_junk_is_not_waited_for(start: bytes) -> None:
    with pytest.raises(ChunkError):
        decode([start])


def test_a_cut_body_is_not_done() -> None:
    for end in range(len(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n")):
        assert not decode([b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"[:end]])[1].done


def test_extensions_of_a_body_are_bounded_together() -> None:
    line = b"1;" + b"x" * 500 + b"\r\na\r\n"
    assert decode([line * 30])[0] == b"a" * 30
    with pytest.raises(ChunkError):
        decode([line * 40])


def test_padded_sizes_are_free_of_charge() -> None:
    assert decode([b"00000001\r\na\r\n" * 5000])[0] == b"a" * 5000


@pytest.mark.parametrize(
    "line",
    [b"NoColon", b"X-A : b", b": b", b" folded", b"X-A: b\nX-B: c", b"X-A: \x00", b"X-A: b\rc", b"X(A): b"],
)
def test_illegal_trailers(line: bytes) -> None:
    with pytest.raises(ChunkError) as refused:
        decode([b"0\r\n" + line + b"\r\n\r\n"])
    assert not refused.value.too_large


@pytest.mark.parametrize("block", [b"".join(b"X-%d: v\r\n" % n for n in range(101)), b"X: " + b"v" * 8190 + b"\r\n"])
def test_trailers_are_bounded(block: bytes) -> None:
    for wire in ([b"0\r\n" + block + b"\r\n"], pieces(b"0\r\n" + block, [700, 4000])):
        if len(block) < 8192 and len(wire) > 1:
            continue
        with pytest.raises(ChunkError) as refused:
            decode(wire)
        assert refused.value.too_large


@pytest.mark.parametrize(
    "name",
    [
        b"Transfer-Encoding",
        b"content-length",
        b"HOST",
        b"Authorization",
        b"Cookie",
        b"X-Forwarded-For",
        b"Proxy-X",
        b"Via",
    ],
)
def test_forbidden_trailers_refuse_a_request_and_leave_a_response(name: bytes) -> None:
    wire = b"0\r\n" + name + b": x\r\nX-Sum: 1\r\n\r\n"
    with pytest.raises(ChunkError):
        decode([wire])
    assert decode([wire], for_request=False)[1].trailers == ((b"X-Sum", b"1"),)


def test_underscored_trailers_are_dropped_and_counted() -> None:
    _, decoder = decode([b"0\r\nContent_Length: 5\r\nX-A: b\r\n\r\n"])
    assert decoder.trailers == ((b"X-A", b"b"),)
    assert decoder.underscores == 1


def test_bytes_behind_the_end_are_kept_in_order() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(LAST_CHUNK + b"GET /") == b""
    assert decoder.feed(b" HTTP/1.1") == b""
    assert decoder.unused == b"GET / HTTP/1.1"


def test_no_data_is_no_chunk() -> None:
    assert encode_chunk(b"") == b""
    assert encode_trailers(()) == LAST_CHUNK
