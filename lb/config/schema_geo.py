"""The ``geo`` part of a configuration file: where clients are."""

from __future__ import annotations

from typing import Annotated

from lb.config.fields import OneOrMany, Place, RegionName, Text
from lb.config.section import Section, key, required, setting
from lb.geo.countries import DEFAULT_NEAREST, DEFAULT_REGIONS
from lb.model import Geo


class GeoEntry(Section):
    database: Text = required(
        "A GeoLite2-Country file, or another with its fields. Without a usable one every client is in the default region.",
        example="/var/lib/lb/GeoLite2-Country.mmdb",
    )
    default_region: RegionName = setting(Geo, "default_region", "Of clients whose country nobody knows or named.")
    regions: dict[RegionName, Annotated[list[Place], OneOrMany]] = key(
        "Countries (`DE`) and continents (`europe`) by region; a country goes before its continent.",
        DEFAULT_REGIONS,
        shown={name: list(places) for name, places in DEFAULT_REGIONS.items()},
        example={"DACH": ["DE", "AT", "CH"], "REST": ["europe", "north_america"]},
    )
    nearest: dict[RegionName, Annotated[list[RegionName], OneOrMany]] = key(
        "Other regions by a region, nearest first: where its clients go when none of its backends is available. Those left "
        "out come last, in the order of `regions`.",
        {},
        shown={name: list(others) for name, others in DEFAULT_NEAREST.items()},
        example={"APAC": ["US", "EU"]},
    )
