"""How the parts of ``geo`` fit together, and pools with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lb.config.checks import did_you_mean
from lb.config.problems import Finding, Path
from lb.config.schema import Schema
from lb.config.schema_geo import GeoEntry
from lb.geo.countries import MAX_REGIONS

_POLICIES = ("geo", "geo_aware")
_PATH: Path = ("geo",)


def geo_mistakes(schema: Schema) -> Iterator[Finding]:
    geo = schema.geo
    if geo is None:
        return
    yield from _regions(geo)
    named: dict[Path, str] = {("default_region",): geo.default_region}
    for region, others in geo.nearest.items():
        named["nearest", region] = region
        named.update({("nearest", region, position): other for position, other in enumerate(others)})
    for path, region in named.items():
        if region not in geo.regions:
            near = did_you_mean(region, geo.regions) or f": there are {', '.join(geo.regions)}"
            at_key = path == ("nearest", region)
            yield Finding(
                (*_PATH, *path), f"no region `{region}`{near}", at_key=at_key, depends_on=((*_PATH, "regions"),)
            )


def _regions(geo: GeoEntry) -> Iterator[Finding]:
    if not 1 <= len(geo.regions) <= MAX_REGIONS:
        yield Finding((*_PATH, "regions"), f"expected 1 to {MAX_REGIONS} regions, got {len(geo.regions)}", at_key=True)
    owners: dict[str, str] = {}
    for region, places in geo.regions.items():
        for position, place in enumerate(places):
            owner = owners.setdefault(place, region)
            if owner != region:
                yield Finding((*_PATH, "regions", region, position), f"`{place}` is in region `{owner}` already")


def geo_advice(schema: Schema) -> Iterator[Finding]:
    """Where regions are asked for and nobody knows any."""
    regions = schema.geo.regions if schema.geo else {}
    for id, pool in schema.pools.items():
        is_regional = pool.policy.name in _POLICIES or (schema.geo is not None and pool.policy.name == "adaptive")
        if not is_regional:
            continue
        if schema.geo is None:
            message = f"`{pool.policy.name}` does not know where clients are without `geo` at the top level"
            yield Finding(("pools", id, "policy", "name"), message)
            continue
        for position, backend in enumerate(pool.backends):
            if backend.region and backend.region not in regions:
                near = did_you_mean(backend.region, regions) or f": there are {', '.join(regions)}"
                message = f"`{backend.region}` is no region of `geo`, so this backend is the last to be asked{near}"
                yield Finding(("pools", id, "backends", position, "region"), message)
