"""A file with the country of each address, in MaxMind's format (GeoLite2-Country, or anything with its fields).

Opened by mapping it, so it must be a file that nobody changes in place: ``lb.state.geo_file`` makes such a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any

import maxminddb

Place = tuple[str, str]
"""The codes of a country and a continent, as the database has them; empty: it has none."""
NOWHERE: Place = ("", "")

_MOST_NETWORKS = 2_000
"""From the lowest address on: among so many, those without a record included, one must have a country."""
_SAMPLE = 200
"""Addresses of each kind that are tried."""
_NO_DATABASE = "is no database in MaxMind's format, or a part of one"


class DatabaseError(Exception):
    """The file is no database of countries; the text says why."""


class Database:
    def __init__(self, path: str) -> None:
        """DatabaseError if it cannot be opened. What it holds is not looked at."""
        try:
            self._reader: Any = maxminddb.open_database(path)
            self.kind = str(self._reader.metadata().database_type)
            self.built_s = int(self._reader.metadata().build_epoch)
        except Exception as error:
            raise DatabaseError(_NO_DATABASE) from error

    def place_of(self, address: IPv4Address | IPv6Address) -> Place:
        """Never raises: what the database does not know, or has damaged, is nowhere."""
        try:
            return _place(self._reader.get(address))
        except Exception:  # noqa: BLE001  a stranger's file: what its damage raises depends on the reader
            return NOWHERE

    def close(self) -> None:
        self._reader.close()


def check(path: str) -> None:
    """DatabaseError unless it has countries and reads well where it is tried. Some 50 ms.

    By the reader in Python: to walk through a damaged database by the one in C (maxminddb 3.2) writes beyond its memory.
    Look-ups by that one bore all damage that was tried (tests/unit/geo/test_damage.py).
    """
    try:
        reader = maxminddb.open_database(path, maxminddb.MODE_MMAP)
        kind, ip_version = str(reader.metadata().database_type), reader.metadata().ip_version
    except Exception as error:
        raise DatabaseError(_NO_DATABASE) from error
    try:
        found = any(_place(record) != NOWHERE for record in _first_records(reader, ip_version))
        for address in _addresses(ip_version):
            reader.get(address)
    except Exception as error:
        raise DatabaseError(f"is damaged: {error}") from error
    finally:
        reader.close()
    if not found:
        raise DatabaseError(f"has no countries: it is a {kind or 'database without a name'}")


def _first_records(reader: Any, ip_version: int) -> Iterator[object]:
    """By looking up one network after the other: a walk through the tree never ends where its nodes are shared."""
    kind, bits = (IPv6Address, 128) if ip_version == 6 else (IPv4Address, 32)
    address = 0
    for _ in range(_MOST_NETWORKS):
        record, prefix = reader.get_with_prefix_len(kind(address))
        yield record
        host_bits = bits - prefix
        address = (address >> host_bits) + 1 << host_bits
        if address >> bits:
            return


def _place(record: object) -> Place:
    """Where an address is; of one that is nowhere in particular, where it is registered."""
    if not isinstance(record, dict):
        return NOWHERE
    place = _code(record, "country", "iso_code"), _code(record, "continent", "code")
    return place if place != NOWHERE else (_code(record, "registered_country", "iso_code"), "")


def _code(record: dict[str, Any], section: str, key: str) -> str:
    found = record.get(section)
    code = found.get(key) if isinstance(found, dict) else None
    return code if isinstance(code, str) else ""


def _addresses(ip_version: int) -> list[str]:
    """The same each time, all over the space of IPv4 and, where the database has it, the one in use of IPv6."""
    random = Random(1).randrange
    addresses = [".".join(str(random(256)) for _ in range(4)) for _ in range(_SAMPLE)]
    if ip_version == 6:
        addresses += [f"2{random(0x1000):03x}:{random(0x10000):x}::{random(0x10000):x}" for _ in range(_SAMPLE)]
    return addresses
