"""Routes that can never match because earlier ones take everything they would. Pure.

A route is a set of requests. It is split by host, method and scheme into atoms; when each atom lies inside
one earlier route, nothing is left for it. A route for every method is one for each that there is, as long as
others are answered 501 (``unknown_methods``). What cannot be decided (two regular expressions) counts
as reachable: better silent than wrong. So does what is behind a route whose conditions are mistaken:
it is left aside, and the others are judged without it. Hosts are indexed, so 10,000 of them stay quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product

from lb.config.names import KNOWN_METHODS
from lb.config.problems import Finding, Path
from lb.config.route_checks import Condition
from lb.config.schema import Schema
from lb.config.schema_routes import RouteEntry

ByHost = Mapping[str, list[tuple[int, RouteEntry]]]
"""Routes and their positions, by each host pattern that they name."""
_ANY = ""
_SCHEMES = ("http", "https")
_CONDITIONS = frozenset(("scheme", "host", "path", "exact", "methods", "headers", "query"))
_BESIDE_THEM = frozenset(RouteEntry.model_fields) - _CONDITIONS
"""What a route does with the requests that it takes: a mistake in it changes nothing about which."""


def is_about_conditions(mistake: Path) -> bool:
    """Whether it leaves open which requests its route takes. An unknown key does: it may be a condition, misspelt."""
    return mistake[:1] == ("routes",) and (len(mistake) < 3 or mistake[2] not in _BESIDE_THEM)


def unreachable_routes(
    schema: Schema, line_of: Callable[[Path], int], is_unclear: Callable[[Path], bool]
) -> Iterator[Finding]:
    """``is_unclear``: whether a mistake is known in the conditions of the route at a path."""
    by_host: dict[str, list[tuple[int, RouteEntry]]] = {}
    listed: dict[str, set[str]] = {}
    for position, route in enumerate(schema.routes or []):
        path: Path = ("routes", position)
        if is_unclear(path):
            continue
        takers = takers_of(route, by_host)
        rests_on: tuple[Path, ...] = ()
        if not takers and not schema.unknown_methods and _are_all_listed(route, listed):
            takers, rests_on = takers_of(route, by_host, KNOWN_METHODS), (("unknown_methods",),)
        if takers:
            lines = [str(line_of(("routes", taker))) for taker in sorted(takers)]
            who = f"line {lines[0]} takes" if len(lines) == 1 else f"lines {', '.join(lines)} take"
            yield Finding(path, f"can never match: {who} everything it would", depends_on=rests_on)
        for host in route.host or [_ANY]:
            by_host.setdefault(host, []).append((position, route))
            listed.setdefault(host, set()).update(route.methods)


def _are_all_listed(route: RouteEntry, listed: Mapping[str, set[str]]) -> bool:
    """Whether it is for every method, and those that may take some of it name each. Mostly there is nothing to try."""
    names = {name for host in route.host or [_ANY] for name in wider(host)}
    return not route.methods and set().union(*(listed.get(name, ()) for name in names)).issuperset(KNOWN_METHODS)


def takers_of(route: RouteEntry, by_host: ByHost, every: Iterable[str] = (_ANY,)) -> set[int]:
    """The positions of those of ``by_host`` that together take all of it; empty if something is left.
    ``every``: the methods of a route that names none."""
    found: set[int] = set()
    schemes = [route.scheme] if route.scheme else _SCHEMES
    for host, method, scheme in product(route.host or [_ANY], route.methods or every, schemes):
        earlier = (item for name in wider(host) for item in by_host.get(name, ()))
        taker = next((position for position, other in earlier if _takes(other, route, method, scheme)), None)
        if taker is None:
            return set()
        found.add(taker)
    return found


def wider(host: str) -> Iterator[str]:
    """The host patterns that match every request that ``host`` matches."""
    yield _ANY
    if host == _ANY:
        return
    yield host
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and not host.endswith("]"):
        yield name
    else:
        name = host
    labels = name.removeprefix("*.").split(".")
    for start in range(0 if name.startswith("*.") else 1, len(labels)):
        yield "*." + ".".join(labels[start:])


def _takes(other: RouteEntry, route: RouteEntry, method: str, scheme: str) -> bool:
    """Whether ``other`` matches all that ``route`` does with this method and scheme (hosts apart)."""
    return (
        other.scheme in ("", scheme)
        and (not other.methods or method in other.methods)
        and takes_path(other, route)
        and _takes_fields(_lower(other.headers), _lower(route.headers))
        and _takes_fields(other.query, route.query)
    )


def takes_path(other: RouteEntry, route: RouteEntry) -> bool:
    if other.exact:
        return other.exact == route.exact
    whole = other.path.rstrip("/")
    path = route.exact or route.path
    return not whole or path.startswith(f"{whole}/") or path in (whole, other.path)


def _takes_fields(other: Mapping[str, Condition], route: Mapping[str, Condition]) -> bool:
    """Each of its conditions is one of ``route``, or asks only for a field that ``route`` asks for."""
    return all(name in route and (wanted.value is None or wanted == route[name]) for name, wanted in other.items())


def _lower(headers: Mapping[str, Condition]) -> dict[str, Condition]:
    return {name.lower(): wanted for name, wanted in headers.items()}
