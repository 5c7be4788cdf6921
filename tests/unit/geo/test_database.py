"""A database is a stranger's file: what it says is believed only as far as it can be read."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from lb.geo.database import NOWHERE, Database, DatabaseError, check
from lb.geo.writer import country_database, country_record, database
from tests.support.geo import PLACES, write_database


def written(folder: Path, raw: bytes) -> str:
    path = folder / "geo.mmdb"
    path.write_bytes(raw)
    return str(path)


def opened(folder: Path, raw: bytes) -> Database:
    return Database(written(folder, raw))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.0", ("DE", "EU")),
        ("203.0.113.255", ("DE", "EU")),
        ("198.51.100.7", ("JP", "AS")),
        ("2001:db8::1", ("FR", "EU")),
        ("203.0.114.0", NOWHERE),
        ("10.1.2.3", NOWHERE),
        ("127.0.0.1", NOWHERE),
        ("::1", NOWHERE),
        ("fe80::1", NOWHERE),
    ],
)
def test_places(tmp_path: Path, address: str, place: tuple[str, str]) -> None:
    path = str(write_database(tmp_path / "geo.mmdb"))
    found = Database(path)
    check(path)
    assert (found.place_of(ip_address(address)), found.kind) == (place, "GeoLite2-Country")


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"continent": {"code": "EU"}}, ("", "EU")),
        ({"registered_country": {"iso_code": "US"}}, ("US", "")),
        ({"registered_country": {"iso_code": "US"}, "continent": {"code": "AS"}}, ("", "AS")),
        ({"country": {"iso_code": 7}, "continent": "EU"}, NOWHERE),
        ({"country": "DE"}, NOWHERE),
        ("DE", NOWHERE),
        (["DE"], NOWHERE),
    ],
)
def test_odd_records(tmp_path: Path, record: object, place: tuple[str, str]) -> None:
    found = opened(tmp_path, database({"203.0.113.0/24": record}, built_s=1))
    assert found.place_of(IPv4Address("203.0.113.9")) == place


def test_a_database_of_ipv4_only_knows_no_ipv6(tmp_path: Path) -> None:
    raw = database({"203.0.113.0/24": country_record("DE")}, built_s=1, ip_version=4)
    found = opened(tmp_path, raw)
    check(written(tmp_path, raw))
    assert found.place_of(IPv4Address("203.0.113.9")) == ("DE", "EU")
    assert found.place_of(IPv6Address("2001:db8::1")) == NOWHERE


@pytest.mark.parametrize("size", [0, 1, 100, 5_000])
def test_random_bytes_are_no_database(tmp_path: Path, size: int) -> None:
    with pytest.raises(DatabaseError, match="is no database in MaxMind's format"):
        opened(tmp_path, random.Random(size).randbytes(size))
    with pytest.raises(DatabaseError, match="is no database in MaxMind's format"):
        check(str(tmp_path / "geo.mmdb"))


def test_a_tree_whose_nodes_are_shared_is_not_walked_for_ever(tmp_path: Path) -> None:
    """Both sides of each node are the next one: 2^120 ways, and nobody at their ends."""
    depth = 120
    whole = database({"::/1": "x"}, built_s=1)
    tree = b"".join(2 * (node + 1).to_bytes(4, "big") for node in range(depth))
    described = whole[whole.index(b"\xab\xcd\xefMaxMind") :].replace(
        b"node_count\xc1\x01", b"node_count\xc1" + bytes([depth])
    )
    with pytest.raises(DatabaseError, match="has no countries"):
        check(written(tmp_path, tree + bytes(16) + described))


def test_no_part_of_a_database_is_taken_for_one(tmp_path: Path) -> None:
    raw = country_database(PLACES, 1)
    for size in range(0, len(raw) - 1, 37):
        with pytest.raises(DatabaseError):
            check(written(tmp_path, raw[:size]))


def test_databases_of_something_else(tmp_path: Path) -> None:
    asn = database({"203.0.113.0/24": {"autonomous_system_number": 64500}}, kind="GeoLite2-ASN", built_s=1)
    with pytest.raises(DatabaseError, match="has no countries: it is a GeoLite2-ASN"):
        check(written(tmp_path, asn))


def test_one_of_cities_has_countries_too(tmp_path: Path) -> None:
    record = {"city": {"geoname_id": 7}, **country_record("DE")}
    check(written(tmp_path, database({"203.0.113.0/24": record}, kind="GeoLite2-City", built_s=1)))
