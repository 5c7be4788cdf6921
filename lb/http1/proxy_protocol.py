"""The PROXY protocol's header, versions 1 and 2 (HAProxy's proxy-protocol.txt): who is behind the
balancer in front of us.

Sans-I/O, strict and bounded. Who may send one is the listener's business: this module only reads.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from functools import lru_cache
from typing import NamedTuple

from lb.errors import RequestError

MAX_V1_BYTES = 107
MAX_V2_LENGTH = 4096
"""Of what follows the 16 fixed bytes: addresses and TLVs."""

_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_PORT = rb"(0|[1-9][0-9]{0,4})"
_match_v1 = re.compile(
    rb"PROXY (?:(UNKNOWN)(?: [\x20-\x7e]*)?|TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) "
    + _PORT
    + rb" "
    + _PORT
    + rb")"
).fullmatch
_is_v1_start = re.compile(rb"PROXY [\x20-\x7e]*\r?").fullmatch

_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_TCP4: 12, _TCP6: 36, _UNIX: 216}
_TLV_CRC32C = 0x03


class Source(NamedTuple):
    """``is_local``: the sender speaks for itself or does not know; the socket's own peer is the client.
    ``address`` is empty then, and for a client on a unix socket."""

    address: bytes
    port: int
    is_local: bool


LOCAL = Source(b"", 0, True)
UNIX = Source(b"", 0, False)


def parse(data: bytes) -> tuple[Source, int] | None:
    """The source and how many bytes the header took; None while it is incomplete.

    Raises RequestError ``bad_proxy_header`` as soon as ``data`` can no longer begin one.
    """
    if data[:12] == _V2_SIGNATURE[: len(data)]:
        return _parse_v2(data)
    return _parse_v1(data)


def _bad(detail: str) -> RequestError:
    return RequestError("bad_proxy_header", detail)


def _parse_v1(data: bytes) -> tuple[Source, int] | None:
    end = data.find(b"\r\n", 0, MAX_V1_BYTES)
    if end >= 0:
        return _source_v1(data[:end]), end + 2
    start = data[:6]
    if start != b"PROXY "[: len(start)] or (len(data) > 6 and not _is_v1_start(data)):
        raise _bad("no PROXY header")
    if len(data) >= MAX_V1_BYTES:
        raise _bad("version 1 line over 107 bytes")
    return None


def _source_v1(line: bytes) -> Source:
    matched = _match_v1(line)
    if matched is None:
        raise _bad("version 1 line")
    unknown, family, source, destination, source_port, destination_port = matched.groups()
    if unknown:
        return LOCAL
    if int(source_port) > 65535 or int(destination_port) > 65535:
        raise _bad("port")
    _text_address(destination, family)
    return Source(_text_address(source, family), int(source_port), False)


def _text_address(text: bytes, family: bytes) -> bytes:
    try:
        if family == b"4":
            return str(ipaddress.IPv4Address(text.decode("ascii"))).encode()
        return _canonical(ipaddress.IPv6Address(text.decode("ascii")))
    except ValueError:
        raise _bad("address") from None


def _canonical(address: ipaddress.IPv6Address) -> bytes:
    """A client of IPv4 is one client, whichever way its address is written."""
    return str(address.ipv4_mapped or address).encode()


def _parse_v2(data: bytes) -> tuple[Source, int] | None:
    if len(data) > 12 and data[12] not in (0x20, 0x21):
        raise _bad("version or command")
    if len(data) < _V2_FIXED_BYTES:
        return None
    family, length = struct.unpack_from("!BH", data, 13)
    is_local = data[12] == 0x20
    wanted = 0 if is_local or family == _UNSPECIFIED else _ADDRESS_BYTES.get(family)
    if wanted is None or not wanted <= length <= MAX_V2_LENGTH:
        raise _bad(f"family {family:#04x} with {length} bytes")
    end = _V2_FIXED_BYTES + length
    if len(data) < end:
        return None
    if not wanted:
        return LOCAL, end
    _check_tlvs(data[:end], _V2_FIXED_BYTES + wanted)
    return _source_v2(data, family), end


def _source_v2(data: bytes, family: int) -> Source:
    if family == _TCP4:
        return Source(str(ipaddress.IPv4Address(data[16:20])).encode(), int.from_bytes(data[24:26], "big"), False)
    if family == _TCP6:
        return Source(_canonical(ipaddress.IPv6Address(data[16:32])), int.from_bytes(data[48:50], "big"), False)
    return UNIX


def _check_tlvs(header: bytes, at: int) -> None:
    """Type, length and value must fill the header exactly; a checksum must be right, and the only one: each is work."""
    is_checked = False
    while at < len(header):
        end = at + 3 + int.from_bytes(header[at + 1 : at + 3], "big")
        if at + 3 > len(header) or end > len(header):
            raise _bad("TLV")
        if header[at] == _TLV_CRC32C:
            if is_checked:
                raise _bad("two checksums")
            _check_checksum(header, at, end)
            is_checked = True
        at = end


def _check_checksum(header: bytes, at: int, end: int) -> None:
    zeroed = header[: at + 3] + b"\0\0\0\0" + header[end:]
    if end - at != 7 or crc32c(zeroed) != int.from_bytes(header[at + 3 : end], "big"):
        raise _bad("checksum")


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4); ``zlib`` has only the other polynomial."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@lru_cache(maxsize=1)
def _crc_table() -> list[int]:
    """Of each byte by itself."""
    table = list(range(256))
    for _ in range(8):
        table = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in table]
    return table
