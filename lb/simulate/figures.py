"""The figures behind tables and charts of the documents, as plain data for JSON: runs of the scenarios that come with lb.

The same sources give the same figures on every machine. Each scenario has those of a short run beside the full ones: if
the code of today gives others, the full ones are out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lb.simulate import shipped
from lb.simulate.compare import compare
from lb.simulate.key_moves import NAMES, SIZES, share_moved
from lb.simulate.load import load
from lb.simulate.result import Result
from lb.structs import replace

SHORT = 2_000
"""Requests of the short runs."""
MOST_SHARES = 10
"""Backends that a pool may have for each one's share to be kept."""

Figures = dict[str, Any]


def measured(known: Figures | None = None, tell: Callable[[str], None] = lambda what: None) -> Figures:
    """Everything; takes minutes. Of ``known`` figures those stay whose short runs still come out the same. ``tell`` hears
    what is begun."""
    scenarios = {}
    before = known["scenarios"] if known is not None else {}
    for name in shipped.names():
        tell(name)
        short = short_of(_results(name, SHORT))
        is_same = name in before and before[name]["short"] == short
        scenarios[name] = before[name] if is_same else {**of_scenario(name), "short": short}
    tell("keys")
    return {"scenarios": scenarios, "keys_moved": keys_moved()}


def of_scenario(name: str, requests: int | None = None) -> Figures:
    """``requests``: at most so many, instead of what the scenario asks for."""
    results = _results(name, requests)
    return {
        "about": shipped.about(name),
        "requests": max(result.requests for result in results),
        "policies": {result.policy: _of_policy(result) for result in results},
    }


def short_of(results: Iterable[Result]) -> dict[str, list[float]]:
    """By policy: what changes when nearly anything does, latencies and requests."""
    return {
        one.policy: [*(round(one.percentile_ms(percent), 6) for percent in (50.0, 99.0)), round(one.most_share, 6)]
        for one in results
    }


def keys_moved(names: Iterable[str] = NAMES, sizes: Iterable[int] = SIZES) -> dict[str, dict[str, float]]:
    """By table, by number of backends before one left: share of the keys."""
    found: dict[str, dict[str, float]] = {}
    for name in names:
        shares = {str(size): share_moved(name, size) for size in sizes}
        found[name] = {size: round(share, 6) for size, share in shares.items() if share is not None}
    return found


def _results(name: str, requests: int | None) -> tuple[Result, ...]:
    path = shipped.path_of(name)
    assert path is not None, name
    scenario = load(path, {})
    return compare(replace(scenario, requests=requests or scenario.requests)).results


def _of_policy(result: Result) -> Figures:
    shares = [round(one.share, 4) for one in result.backends]
    return {
        **{f"p{percent:g}": round(result.percentile_ms(percent), 3) for percent in (50.0, 90.0, 99.0, 99.9)},
        "errors": round(result.failed / result.requests, 6),
        "most": round(result.most_share, 4),
        "least": round(result.least_share, 4),
        **({"shares": shares} if len(shares) <= MOST_SHARES else {}),
        **{name: round(part, 4) for name, part in result.near.items()},
    }
