from __future__ import annotations

import pytest

from lb.geo.region_map import RegionMap, by_nearness
from lb.model import Geo

MAP = RegionMap(Geo("db", "REST", {"DACH": ("DE", "AT"), "EUROPE": ("europe",), "REST": ()}))


@pytest.mark.parametrize(
    ("country", "continent", "region"),
    [
        ("DE", "EU", "DACH"),
        ("FR", "EU", "EUROPE"),
        ("FR", "", "EUROPE"),
        ("", "EU", "EUROPE"),
        ("JP", "AS", "REST"),
        ("", "", "REST"),
        ("??", "zz", "REST"),
        ("EU", "", "REST"),
    ],
)
def test_a_country_goes_before_its_continent_and_the_default_takes_the_rest(
    country: str, continent: str, region: str
) -> None:
    assert MAP.region_of(country, continent) == region


def test_what_a_row_of_nearness_leaves_out_comes_last_in_the_order_of_the_map() -> None:
    assert by_nearness(("A", "B", "C", "D"), {"C": ("D",), "D": ("B", "D")}) == {
        "A": ("A", "B", "C", "D"),
        "B": ("B", "A", "C", "D"),
        "C": ("C", "D", "A", "B"),
        "D": ("D", "B", "A", "C"),
    }
