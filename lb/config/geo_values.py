"""Checks of the single values of ``geo``: names of regions, countries and continents."""

from __future__ import annotations

import re
from typing import Any

from lb.config.checks import described, did_you_mean, matching, text_of
from lb.geo.countries import CONTINENT_CODES, CONTINENT_OF

region_name = matching(
    re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,30}[A-Za-z0-9_])?", re.ASCII),
    "the name of a region: letters, digits, `_`, `.` and `-`, at most 32 of them",
)


def place(value: Any) -> str:
    """``DE`` or ``europe``, in whatever case."""
    name = text_of(value)
    if name.upper() in CONTINENT_OF:
        return name.upper()
    if name.lower() in CONTINENT_CODES:
        return name.lower()
    near = did_you_mean(name, CONTINENT_CODES) if len(name) > 3 else ""
    expected = f": expected a country's two letters (ISO 3166-1) or one of {', '.join(CONTINENT_CODES)}"
    raise ValueError(f"unknown country or continent {described(name)}{near or _meant(name) or expected}")


def _meant(name: str) -> str:
    """Codes that many people use, and ISO does not."""
    meant = {"UK": "GB", "EU": "europe", "EL": "GR", "OC": "oceania", "AN": "antarctica"}.get(name.upper())
    return f", did you mean `{meant}`?" if meant else ""
