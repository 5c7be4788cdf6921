"""A database is a stranger's file: what it says is believed only as far as it can be read."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.geo.database import NOWHERE, Database, DatabaseError
from lb.geo.writer import country_database, country_record, database
from tests.support.geo import PLACES, write_database


def opened(folder: Path, raw: bytes) -> Database:
    path = folder / "geo.mmdb"
    path.write_bytes(raw)
    return Database(str(path))


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
    found = Database(str(write_database(tmp_path / "geo.mmdb")))
    found.check()
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
    found = opened(tmp_path, database({"203.0.113.0/24": country_record("DE")}, built_s=1, ip_version=4))
    found.check()
    assert found.place_of(IPv4Address("203.0.113.9")) == ("DE", "EU")
    assert found.place_of(IPv6Address("2001:db8::1")) == NOWHERE


@pytest.mark.parametrize("size", [0, 1, 100, 5_000])
def test_random_bytes_are_no_database(tmp_path: Path, size: int) -> None:
    with pytest.raises(DatabaseError, match="is no database in MaxMind's format"):
        opened(tmp_path, random.Random(size).randbytes(size))


def test_no_part_of_a_database_is_taken_for_one(tmp_path: Path) -> None:
    raw = country_database(PLACES, 1)
    for size in range(0, len(raw) - 1, 37):
        with pytest.raises(DatabaseError):
            opened(tmp_path, raw[:size]).check()


def test_databases_of_something_else(tmp_path: Path) -> None:
    asn = database({"203.0.113.0/24": {"autonomous_system_number": 64500}}, kind="GeoLite2-ASN", built_s=1)
    with pytest.raises(DatabaseError, match="has no countries: it is a GeoLite2-ASN"):
        opened(tmp_path, asn).check()


def test_one_of_cities_has_countries_too(tmp_path: Path) -> None:
    record = {"city": {"geoname_id": 7}, **country_record("DE")}
    opened(tmp_path, database({"203.0.113.0/24": record}, kind="GeoLite2-City", built_s=1)).check()


@given(address=st.ip_addresses(), flips=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 255)), max_size=20))
def test_look_ups_never_raise_whatever_is_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, address: IPv4Address | IPv6Address, flips: list[tuple[int, int]]
) -> None:
    raw = bytearray(country_database(PLACES, 1))
    for place, byte in flips:
        raw[place % len(raw)] = byte
    try:
        found = opened(tmp_path_factory.mktemp("geo"), bytes(raw))
    except DatabaseError:
        return
    country, continent = found.place_of(address)
    assert isinstance(country, str) and isinstance(continent, str)
    found.close()
