"""Scenarios for tests, written as a user writes them."""

from __future__ import annotations

from pathlib import Path

from lb.simulate.compare import simulate
from lb.simulate.load import load
from lb.simulate.result import Result
from lb.simulate.scenario import Scenario


def loaded(folder: Path, text: str) -> Scenario:
    file = folder / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    return load(str(file), {})


def results(folder: Path, text: str) -> list[Result]:
    """One per policy."""
    scenario = loaded(folder, text)
    return [simulate(scenario, contender) for contender in scenario.contenders]


def result(folder: Path, text: str) -> Result:
    (only,) = results(folder, text)
    return only
