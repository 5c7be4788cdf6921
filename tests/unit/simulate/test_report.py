"""The generated tables and charts of the documents are those of the figures beside them, and those are what the code gives.

That full runs are what they were is not asked here (it takes minutes); ``test_shipped`` compares short ones.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lb.policies.table import POLICIES
from lb.simulate.figures import Figures, keys_moved, of_scenario
from lb.simulate.numbers import milliseconds
from lb.simulate.report import DOCUMENTS, FIGURES, table, with_tables

DOCS = Path(__file__).parents[3] / "docs"
FIGURES_NOW: Figures = json.loads((DOCS / FIGURES).read_text(encoding="utf-8"))
AGAIN = "`python -m lb.simulate.report docs --changed` measures and draws again"
CHARTS = sorted((DOCS / FIGURES).parent.glob("*.svg"))


def p99(scenario: str) -> dict[str, float]:
    return {policy: seen["p99"] for policy, seen in FIGURES_NOW["scenarios"][scenario]["policies"].items()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_tables_are_those_of_the_figures(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text.count("<!-- figures: ") == text.count("<!-- end -->") >= 2
    assert with_tables(text, FIGURES_NOW) == text, AGAIN


def test_the_keys_that_move_are_those_that_the_tables_move() -> None:
    for name, moved in keys_moved(sizes=[10]).items():
        assert moved["10"] == pytest.approx(FIGURES_NOW["keys_moved"][name]["10"], abs=1e-6), AGAIN


def test_a_table_has_the_policies_that_a_scenario_tries() -> None:
    figures = {"scenarios": {name: of_scenario(name, 500) for name in ("homogeneous", "one-slow")}}
    lines = table(["homogeneous", "one-slow", "p99"], figures).splitlines()
    assert lines[0] == "| | `homogeneous` p99 | `one-slow` p99 |"
    rows = {line.split("`")[1]: line.split(" | ")[1:] for line in lines[2:]}
    assert {"prequal", "least_response_time", "peak_ewma", "ip_hash"} <= rows.keys() <= POLICIES.keys()
    assert rows["ip_hash"][1] == " |", "it is not in that scenario"
    assert table(["homogeneous", "p99", "errors", "least"], figures).startswith("| | p99 | errors | least |\n")


def test_the_figures_are_in_the_order_that_the_documents_claim() -> None:
    """What chooses by latency keeps away from the slow one; nothing starves an equal; the published order."""
    slow = p99("one-slow")
    latency = ("least_response_time", "peak_ewma")
    assert max(slow[name] for name in latency) < min(value for name, value in slow.items() if name not in latency)
    equals = FIGURES_NOW["scenarios"]["homogeneous"]["policies"].values()
    assert all(seen["least"] > 0.5 for seen in equals)
    apart = p99("antagonists-apart")
    assert apart["prequal (probe.max_rate 5000/s)"] < apart["power_of_two"] < apart["round_robin"] / 2
    contract = FIGURES_NOW["scenarios"]["contract-hash"]["policies"]["contract_hash"]["shares"]
    assert [share / 3 for share in contract] == pytest.approx([0.844, 0.047, 0.109], abs=0.01)


def test_every_chart_is_shown_and_described() -> None:
    shown = dict(
        re.findall(r"!\[([^\]]{40,})\]\(charts/([\w-]+\.svg)\)", (DOCS / "policies.md").read_text(encoding="utf-8"))
    )
    assert sorted(shown.values()) == [file.name for file in CHARTS]
    names = {*FIGURES_NOW["scenarios"], "keys-moved"}
    assert {file.stem for file in CHARTS} == names


@pytest.mark.parametrize("file", CHARTS, ids=lambda file: file.stem)
def test_a_chart_is_small_has_a_background_and_says_the_figures(file: Path) -> None:
    svg = file.read_text(encoding="utf-8")
    assert len(svg.encode()) < 60_000
    assert 'style="fill: #ffffff' in svg
    scenario = FIGURES_NOW["scenarios"].get(file.stem, {"policies": {}})
    for policy, seen in scenario["policies"].items():
        assert policy.partition(" (")[0] in svg
        said = (
            [f"{100 * part / 3:.1f}" for part in seen["shares"]]
            if file.stem == "contract-hash"
            else [milliseconds(seen["p99"])]
        )
        assert all(f">{text}</text>" in svg for text in said), AGAIN
