"""The region of a place, and which regions are near another. Pure: knows neither databases nor backends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lb.geo.countries import CONTINENT_CODES, CONTINENT_OF
from lb.model import Geo


class RegionMap:
    """A country that is named itself goes before its continent; what nobody named is in the default region."""

    def __init__(self, geo: Geo) -> None:
        self.default = geo.default_region
        self._by_country: dict[str, str] = {}
        self._by_continent: dict[str, str] = {}
        for region, places in geo.regions.items():
            for place in places:
                if place in CONTINENT_CODES:
                    self._by_continent[CONTINENT_CODES[place]] = region
                else:
                    self._by_country[place] = region

    def region_of(self, country: str, continent: str) -> str:
        """By the codes of a database's record; either may be empty, or junk."""
        found = self._by_country.get(country) or self._by_continent.get(continent or CONTINENT_OF.get(country, ""))
        return found or self.default


def by_nearness(regions: Iterable[str], nearest: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """For each region all of them, itself first, then as ``nearest`` says, then the others in their order."""
    names = tuple(regions)
    return {name: tuple(dict.fromkeys((name, *nearest.get(name, ()), *names))) for name in names}
