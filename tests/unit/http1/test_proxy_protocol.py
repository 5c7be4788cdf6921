"""PROXY protocol headers: the examples of the specification, and what must not pass."""

from __future__ import annotations

import ipaddress
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import RequestError
from lb.http1.proxy_protocol import LOCAL, UNIX, Source, crc32c, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(family: int, addresses: bytes, tlvs: bytes = b"", command: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses) + len(tlvs)) + addresses + tlvs


def tcp4(source: str, port: int) -> bytes:
    return ipaddress.IPv4Address(source).packed + bytes(4) + struct.pack("!HH", port, 443)


def tcp6(source: str, port: int) -> bytes:
    return ipaddress.IPv6Address(source).packed + bytes(16) + struct.pack("!HH", port, 443)


GOOD = [
    (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Source(b"192.168.0.1", 56324, False)),
    (b"PROXY TCP6 2001:DB8::0001 ::1 1 65535\r\n", Source(b"2001:db8::1", 1, False)),
    (b"PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n", Source(b"10.1.2.3", 1, False)),
    (b"PROXY UNKNOWN\r\n", LOCAL),
    (b"PROXY UNKNOWN ffff:: whatever 1 2\r\n", LOCAL),
    (v2(0x11, tcp4("203.0.113.9", 4711)), Source(b"203.0.113.9", 4711, False)),
    (v2(0x21, tcp6("2001:db8::7", 80)), Source(b"2001:db8::7", 80, False)),
    (v2(0x21, tcp6("::ffff:10.1.2.3", 80)), Source(b"10.1.2.3", 80, False)),
    (v2(0x31, b"/run/a".ljust(108, b"\0") * 2), UNIX),
    (v2(0x11, tcp4("203.0.113.9", 1), b"\x01\x00\x08http/1.1\x04\x00\x02xx"), Source(b"203.0.113.9", 1, False)),
    (v2(0x00, b"", command=0x20), LOCAL),
    (v2(0x11, tcp4("1.2.3.4", 1), command=0x20), LOCAL),
    (v2(0x00, b"junk"), LOCAL),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_good_headers(header: bytes, source: Source) -> None:
    assert parse(header + b"GET / HTTP/1.1\r\n") == (source, len(header))


@pytest.mark.parametrize("header", [header for header, _ in GOOD])
def test_every_beginning_of_a_good_header_is_incomplete(header: bytes) -> None:
    assert all(parse(header[:end]) is None for end in range(len(header)))


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY\r\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY UNKNOWN\nGET / HTTP/1.1\r\n",
        b"PROXY UNKNOWN " + b"x" * 100,
        SIGNATURE[:-1] + b"\r",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x10\x01",
        v2(0x11, tcp4("1.2.3.4", 1), b"\x01\x00\x09http/1.1"),
        v2(0x11, tcp4("1.2.3.4", 1), b"\x01\x00"),
        v2(0x11, tcp4("1.2.3.4", 1), b"\x03\x00\x04\x00\x00\x00\x00"),
    ],
)
def test_bad_headers(header: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse(header)
    assert refused.value.reason == "bad_proxy_header"


def test_a_right_checksum_passes() -> None:
    header = v2(0x11, tcp4("1.2.3.4", 1), b"\x03\x00\x04" + bytes.fromhex("3a12d339"))
    assert parse(header) == (Source(b"1.2.3.4", 1, False), len(header))


def checked(further: bytes) -> bytes:
    """A header with a right checksum before ``further``."""
    zeroed = v2(0x11, tcp4("1.2.3.4", 1), b"\x03\x00\x04\0\0\0\0" + further)
    return zeroed.replace(b"\x03\x00\x04\0\0\0\0", b"\x03\x00\x04" + crc32c(zeroed).to_bytes(4, "big"), 1)


def test_one_checksum_is_enough() -> None:
    with pytest.raises(RequestError, match="two checksums"):
        parse(checked(b"\x03\x00\x04abcd"))


def test_a_checksum_costs_little() -> None:
    """Whoever may connect can have one worked out, and nobody is served meanwhile."""
    header = checked(b"\x04\x0f\x00" + bytes(0xF00))
    started = time.thread_time()
    for _ in range(100):
        assert parse(header) is not None
    assert time.thread_time() - started < 0.2


def test_the_checksum_has_its_published_check_values() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 1.2", SIGNATURE, SIGNATURE + b"\x21\x11"])
)
def test_junk_is_refused_or_waited_for_within_bounds(junk: bytes, start: bytes) -> None:
    try:
        found = parse(start + junk)
    except RequestError:
        return
    assert found is None or found[1] <= len(start + junk)
    if found is None and start[:5] == b"PROXY":
        assert len(start + junk) < 107
