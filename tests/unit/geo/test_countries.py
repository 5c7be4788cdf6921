"""Every country is on a continent, every continent in a region."""

from __future__ import annotations

from lb.geo.countries import (
    CONTINENT_CODES,
    CONTINENT_OF,
    DEFAULT_NEAREST,
    DEFAULT_REGION,
    DEFAULT_REGIONS,
)
from lb.geo.region_map import RegionMap, by_nearness
from lb.model import Geo

DEFAULT = RegionMap(Geo("db", regions=DEFAULT_REGIONS))


def test_iso_3166_has_249_countries_and_kosovo_is_used_too() -> None:
    assert len(CONTINENT_OF) == 250
    assert all(len(code) == 2 and code.isupper() for code in CONTINENT_OF)


def test_each_country_is_in_one_of_the_default_regions_with_and_without_its_continent() -> None:
    for country, continent in CONTINENT_OF.items():
        assert DEFAULT.region_of(country, continent) == DEFAULT.region_of(country, "") in DEFAULT_REGIONS


def test_each_continent_is_in_exactly_one_default_region() -> None:
    assert sorted(place for places in DEFAULT_REGIONS.values() for place in places) == sorted(CONTINENT_CODES)


def test_the_countries_of_the_balancer_that_this_is_like() -> None:
    theirs = {
        "EU": "FR DE IT ES NL BE PL SE FI IE DK PT AT",
        "APAC": "IN CN JP KR AU SG TH VN MY PH ID",
        "US": "US CA BR",
    }
    for region, countries in theirs.items():
        assert {DEFAULT.region_of(country, "") for country in countries.split()} == {region}


def test_defaults_name_each_other() -> None:
    assert DEFAULT_REGION == Geo("db").default_region in DEFAULT_REGIONS
    assert by_nearness(DEFAULT_REGIONS, DEFAULT_NEAREST) == {
        "EU": ("EU", "US", "APAC"),
        "APAC": ("APAC", "US", "EU"),
        "US": ("US", "EU", "APAC"),
    }
