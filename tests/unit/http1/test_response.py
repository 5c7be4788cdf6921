"""Response heads that are repaired, and what that may cost."""

from __future__ import annotations

import time

import pytest

from lb.http1.response import BadResponse, parse_response


def kept(*lines: bytes) -> bytes:
    return parse_response(b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n").fields.kept


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ((b"A: b", b" c"), b"A: b c\r\n"),
        ((b"A: b \t", b"\t c", b"D: e"), b"A: b c\r\nD: e\r\n"),
        ((b"A: b", b" ", b"  ", b" c"), b"A: b c\r\n"),
        ((b"A : b",), b"A: b\r\n"),
    ],
)
def test_folds_and_spaces_are_repaired(lines: tuple[bytes, ...], wanted: bytes) -> None:
    assert kept(*lines) == wanted


def test_a_block_cannot_begin_with_a_fold() -> None:
    with pytest.raises(BadResponse):
        kept(b" a", b"B: c")


def test_much_white_space_costs_no_more_than_other_bytes() -> None:
    """A worker serves nobody else meanwhile: the square of 60,000 were seconds."""
    started = time.thread_time()
    assert kept(b"A: b" + b" " * 60_000 + b"c", b"D : e").endswith(b"D: e\r\n")
    assert time.thread_time() - started < 0.5
