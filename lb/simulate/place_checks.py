"""What does not fit together in what a scenario says of zones and regions. Pure.

A name that only one side knows would change nothing without a word, so it is a mistake here, though a live balancer takes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lb.config.checks import did_you_mean
from lb.config.problems import Finding, Path
from lb.simulate.schema import GeoEntry, ScenarioEntry


def place_mistakes(entry: ScenarioEntry) -> Iterator[Finding]:
    yield from _balancers(entry)
    yield from _zones(entry)
    yield from _regions(entry)
    if entry.geo is not None:
        yield from _geo(entry.geo)


def _balancers(entry: ScenarioEntry) -> Iterator[Finding]:
    balancers = entry.balancers
    for key in ("zones", "regions"):
        named = len(getattr(balancers, key))
        if named > balancers.count:
            yield Finding(("balancers", key), f"{named} {key} for a `count` of {balancers.count}", at_key=True)


def _zones(entry: ScenarioEntry) -> Iterator[Finding]:
    zones = entry.balancers.zones
    write = "no balancer is in a zone: write `balancers: {count: 3, zones: [a, b, c]}`"
    for path, is_asked in ((("zones", "prefer"), entry.zones.prefer), (("away", "zone"), entry.away.zone)):
        if is_asked and not zones:
            yield Finding(path, write, at_key=True)
    of_backends = {group.zone for group in entry.backends.values() if group.zone}
    for name, group in entry.backends.items():
        if group.zone and not zones:
            yield Finding(("backends", name, "zone"), write, at_key=True)
    for position, zone in enumerate(zones):
        if zone not in of_backends:
            yield _unknown(("balancers", "zones", position), f"no backend is in zone `{zone}`", zone, of_backends)


def _regions(entry: ScenarioEntry) -> Iterator[Finding]:
    named: dict[Path, str] = {
        ("balancers", "regions", position): region for position, region in enumerate(entry.balancers.regions)
    }
    named.update({("backends", name, "region"): group.region for name, group in entry.backends.items() if group.region})
    for path, region in named.items():
        if entry.geo is None:
            yield Finding(path, "nobody knows where clients are: write `geo: {clients: {EU: 70%, US: 30%}}`")
        elif region not in entry.geo.clients:
            yield _unknown(path, f"`{region}` is no region of `geo.clients`", region, entry.geo.clients)
    if entry.away.region and not entry.balancers.regions:
        message = "no balancer is in a region: write `balancers: {count: 2, regions: [EU, US]}`"
        yield Finding(("away", "region"), message, at_key=True)


def _geo(geo: GeoEntry) -> Iterator[Finding]:
    total = sum(geo.clients.values())
    if abs(total - 100.0) > 0.01:
        yield Finding(("geo", "clients"), f"the shares add up to {total:g}%, expected 100%", at_key=True)
    for region, others in geo.nearest.items():
        for path, name in ((), region), *(((position,), other) for position, other in enumerate(others)):
            if name not in geo.clients:
                message = f"`{name}` is no region of `geo.clients`"
                yield _unknown(("geo", "nearest", region, *path), message, name, geo.clients, at_key=not path)


def _unknown(path: Path, message: str, name: str, known: Collection[str], *, at_key: bool = False) -> Finding:
    near = did_you_mean(name, known) or (f": there are {', '.join(known)}" if known else "")
    return Finding(path, message + near, at_key=at_key)
