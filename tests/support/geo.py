"""A small geo database, and addresses in it: the networks for documentation (RFC 5737, RFC 3849) are in three countries."""

from __future__ import annotations

from pathlib import Path

from lb.geo.writer import country_database

PLACES = {"203.0.113.0/24": "DE", "198.51.100.0/24": "JP", "192.0.2.0/24": "US", "2001:db8::/32": "FR"}
GERMAN, JAPANESE, AMERICAN, FRENCH = b"203.0.113.9", b"198.51.100.9", b"192.0.2.9", b"2001:db8::9"


def write_database(path: Path, places: dict[str, str] | None = None, built_s: int = 1_700_000_000) -> Path:
    path.write_bytes(country_database(places or PLACES, built_s))
    return path
