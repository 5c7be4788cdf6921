"""The picture: what it is made of, and what is said where it cannot be made."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lb.simulate import chart
from lb.simulate.compare import Comparison, compare
from tests.unit.simulate.scenarios import loaded

TWO = """
about: Two policies.
arrivals: {load: 50%}
requests: 500
policies: [round_robin, {name: consistent_hash, table: maglev}]
backends: {equal: {count: 3, slots: 2, service: {exponential: 10ms}}}
"""


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    return compare(loaded(tmp_path, TWO))


def test_the_same_picture_again(comparison: Comparison, tmp_path: Path) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    chart.draw(comparison, str(first))
    chart.draw(comparison, str(second))
    assert first.read_bytes() == second.read_bytes()
    assert b"consistent_hash (table maglev)" in first.read_bytes()


def test_png(comparison: Comparison, tmp_path: Path) -> None:
    chart.draw(comparison, str(tmp_path / "chart.png"))
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chart.problem_with(str(tmp_path / "chart.svg")) == ""
    assert chart.problem_with("chart.pdf") == "`chart.pdf` must end in .svg or .png"
    assert chart.problem_with(str(tmp_path / "no" / "chart.svg")).endswith("is no directory that can be written")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert chart.problem_with("chart.svg") == "matplotlib is not installed: pip install matplotlib"
