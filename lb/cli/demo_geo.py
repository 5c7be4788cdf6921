"""The demo's geo database: the networks for documentation (RFC 5737, RFC 3849), which no real client has, in four countries."""

from __future__ import annotations

import time
from pathlib import Path

from lb.geo.writer import country_database

PLACES = {"203.0.113.0/24": "DE", "198.51.100.0/24": "JP", "192.0.2.0/24": "US", "2001:db8::/32": "FR"}


def write(directory: Path) -> Path:
    path = directory / "geo.mmdb"
    path.write_bytes(country_database(PLACES, int(time.time())))
    return path
