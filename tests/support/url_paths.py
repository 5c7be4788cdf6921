"""Paths in odd spellings, and how an origin reads them."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import strategies as st


def as_an_origin_reads(path: bytes) -> list[bytes]:
    """Segments, each decoded once, dot segments resolved, empty ones dropped; a trailing slash is an empty last one."""
    segments = [unquote_to_bytes(segment) for segment in path.split(b"/")[1:]]
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            kept = kept[:-1]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return [*kept, b""] if kept and segments[-1] in (b"", b".", b"..") else kept


PIECES = (
    b"/", b"a", b".", b"..", b"%2e", b"%2E", b"%2f", b"%61", b"%", b"%2", b"%25", b"4", b"0", b"1", b"~", b"@", b"%40",
)  # fmt: skip
TRICKY = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda parts: b"/" + b"".join(parts))
ANY_PATH = TRICKY | st.binary(max_size=30).map(lambda data: b"/" + data)
