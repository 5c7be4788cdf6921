"""Writes small databases in MaxMind's format: the demo's, and those of tests. Pure: networks in, bytes out.

Source: the MaxMind DB file format specification 2.0. No pointers, records of 32 bits: simple rather than small.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from lb.geo.countries import CONTINENT_OF

_MARKER = b"\xab\xcd\xefMaxMind.com"
_GAP = bytes(16)
_V4_PREFIX_BITS = 96
_STRING, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 5, 6, 7, 9, 11
_UNSIGNED = {"node_count": _UINT32, "build_epoch": _UINT64}
"""The type of each number in the metadata; those not named are of 16 bits."""

Node = list[Any]
"""Two of: None, another node, an offset into the data."""


def country_database(places: Mapping[str, str], built_s: int) -> bytes:
    """Like GeoLite2-Country: the country (ISO 3166-1) of each network."""
    return database({network: country_record(country) for network, country in places.items()}, built_s=built_s)


def country_record(country: str) -> dict[str, Any]:
    return {"continent": {"code": CONTINENT_OF[country]}, "country": {"iso_code": country}}


def database(records: Mapping[str, Any], *, kind: str = "GeoLite2-Country", built_s: int, ip_version: int = 6) -> bytes:
    """A record for each network; later ones go before earlier ones that contain them."""
    root: Node = [None, None]
    data = b""
    for text, record in records.items():
        _insert(root, _bits(ip_network(text), ip_version), len(data))
        data += _encoded(record)
    nodes = _numbered(root)
    tree = b"".join(_record(side, nodes).to_bytes(4, "big") for node in nodes.values() for side in node[1])
    described = {
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": built_s, "database_type": kind,
        "description": {"en": "made by lb"}, "ip_version": ip_version, "languages": ["en"], "node_count": len(nodes),
        "record_size": 32,
    }  # fmt: skip
    return tree + _GAP + data + _MARKER + _encoded(described)


def _bits(network: IPv4Network | IPv6Network, ip_version: int) -> str:
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    return "0" * _V4_PREFIX_BITS + bits if network.version == 4 and ip_version == 6 else bits


def _insert(node: Node, bits: str, offset: int) -> None:
    for bit in map(int, bits[:-1]):
        if not isinstance(node[bit], list):
            node[bit] = [node[bit], node[bit]]
        node = node[bit]
    node[int(bits[-1])] = offset


def _numbered(root: Node) -> dict[int, tuple[int, Node]]:
    """Each node with its number, by its identity."""
    nodes: dict[int, tuple[int, Node]] = {}
    left = [root]
    while left:
        node = left.pop()
        nodes[id(node)] = len(nodes), node
        left += [side for side in node if isinstance(side, list)]
    return nodes


def _record(side: Any, nodes: dict[int, tuple[int, Node]]) -> int:
    if side is None:
        return len(nodes)
    return nodes[id(side)][0] if isinstance(side, list) else len(nodes) + len(_GAP) + int(side)


def _encoded(value: Any, kind: int = _UINT16) -> bytes:
    if isinstance(value, str):
        raw = value.encode()
        return _control(_STRING, len(raw)) + raw
    if isinstance(value, dict):
        pairs = (_encoded(key) + _encoded(item, _UNSIGNED.get(key, _UINT16)) for key, item in value.items())
        return _control(_MAP, len(value)) + b"".join(pairs)
    if isinstance(value, list):
        return _control(_ARRAY, len(value)) + b"".join(map(_encoded, value))
    raw = int(value).to_bytes((int(value).bit_length() + 7) // 8, "big")
    return _control(kind, len(raw)) + raw


def _control(kind: int, size: int) -> bytes:
    """Sizes up to 284 bytes, which is all we need."""
    extended = bytes([kind - 7]) if kind > 7 else b""
    first = 0 if kind > 7 else kind << 5
    return bytes([first | size]) + extended if size < 29 else bytes([first | 29]) + extended + bytes([size - 29])
