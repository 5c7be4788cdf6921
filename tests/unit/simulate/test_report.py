"""The generated table of docs/policies.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.policies.table import POLICIES
from lb.simulate.report import BEGIN, END, SCENARIOS, figures, table, with_table

DOCUMENT = Path(__file__).parents[3] / "docs" / "policies.md"


def rows(text: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


def test_a_row_for_each_policy_and_a_figure_for_each_scenario() -> None:
    made = rows(table(figures(["homogeneous", "one-slow"], requests=500)))
    assert {"prequal", "least_response_time", "peak_ewma", "ip_hash"} <= made.keys() <= POLICIES.keys()
    assert all(float(cell.replace(",", "")) > 0 for cell in made["prequal"])
    assert made["ip_hash"][1] == "", "it is not in that scenario"


def test_the_document_has_the_table_of_these_scenarios() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    inner = text.partition(BEGIN)[2].partition(END)[0]
    assert all(f"`{name}` p99" in inner for name in SCENARIOS)
    assert with_table(text, inner.strip("\n")) == text
    with pytest.raises(ValueError):
        with_table("nothing", "")


def test_the_figures_in_the_document_are_in_the_order_that_it_claims() -> None:
    """What chooses by latency keeps away from the slow one, and nothing starves an equal."""
    text = DOCUMENT.read_text(encoding="utf-8")
    seen = rows(text.partition(BEGIN)[2].partition(END)[0])
    one_slow = {policy: float(cells[1].replace(",", "")) for policy, cells in seen.items() if cells[1]}
    assert max(one_slow["least_response_time"], one_slow["peak_ewma"]) < min(
        one_slow[name] for name in ("power_of_two", "least_connections", "adaptive", "round_robin", "prequal")
    )
    assert all(float(cells[-1]) > 0.5 for cells in seen.values() if cells[-1])
