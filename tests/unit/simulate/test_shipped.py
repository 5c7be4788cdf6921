"""The scenarios that come with the package: each can be read, runs, and shows what it says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from lb.simulate import figures, shipped
from lb.simulate.compare import compare
from lb.simulate.load import load
from lb.simulate.result import Result
from lb.structs import replace

FIGURES = Path(__file__).parents[3] / "docs" / "charts" / "figures.json"
SHORT = figures.SHORT
PREQUAL = "prequal (probe.max_rate 5000/s)"
"""With its three probes to each request."""


@cache
def short(name: str, requests: int = SHORT, *labels: str) -> dict[str, Result]:
    """By policy; of those named only, if any are."""
    path = shipped.path_of(name)
    assert path is not None
    scenario = replace(load(path, {}), requests=requests)
    contenders = tuple(one for one in scenario.contenders if one.label in labels or not labels)
    return {result.policy: result for result in compare(replace(scenario, contenders=contenders)).results}


def test_names() -> None:
    assert shipped.names() == [
        "antagonists", "antagonists-apart", "contract-hash", "flapping", "homogeneous", "many-balancers", "one-slow",
        "regions", "subsets", "zone-out",
    ]  # fmt: skip
    assert shipped.path_of("none") is None


@pytest.mark.parametrize("name", shipped.names())
def test_each_runs(name: str) -> None:
    path = shipped.path_of(name)
    assert path is not None
    assert shipped.about(name) == load(path, {}).about != ""
    for result in short(name).values():
        assert result.requests == SHORT == result.answers + result.failed
        assert 0 < result.percentile_ms(50.0) <= result.percentile_ms(99.9)


@pytest.mark.parametrize("name", shipped.names())
def test_the_documents_have_the_figures_of_this_code(name: str) -> None:
    """Of short runs: if these differ, the full ones that tables and charts show are out of date."""
    written = json.loads(FIGURES.read_text(encoding="utf-8"))["scenarios"][name]["short"]
    seen = figures.short_of(short(name).values())
    assert written.keys() == seen.keys()
    for policy, values in seen.items():
        assert values == pytest.approx(written[policy], rel=1e-5), (
            "`python -m lb.simulate.report docs --changed` writes new ones"
        )


def test_antagonists_have_the_published_shape() -> None:
    """Round robin has at least twice the 99th percentile of power of two."""
    seen = short("antagonists", 30_000, "round_robin", "power_of_two")
    assert seen["round_robin"].percentile_ms(99.0) > 2 * seen["power_of_two"].percentile_ms(99.0)


def test_balancers_apart_have_the_published_order() -> None:
    """Of the paper: round robin 258, power of two 130, Prequal 93 ms."""
    seen = short("antagonists-apart", 20_000, "round_robin", "power_of_two", PREQUAL)
    round_robin, power_of_two, prequal = (
        seen[name].percentile_ms(99.0) for name in ("round_robin", "power_of_two", PREQUAL)
    )
    assert prequal < power_of_two < round_robin / 2


def test_the_contract_hash_cannot_balance() -> None:
    """84.4, 4.7 and 10.9 % of the requests, whatever the hour."""
    shares = [one.share / 3 for one in short("contract-hash", 10_000, "contract_hash")["contract_hash"].backends]
    assert shares == pytest.approx([0.844, 0.047, 0.109], abs=0.01)
    others = short("contract-hash").items()
    assert all(result.least_share > 0.8 for name, result in others if not name.startswith("contract_hash"))
