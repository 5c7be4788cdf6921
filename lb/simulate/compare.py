"""All policies of a scenario, one after the other, under the same arrivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lb.simulate.result import Result, summarize
from lb.simulate.scenario import Contender, Scenario
from lb.simulate.simulation import Progress, Simulation


@dataclass(frozen=True, slots=True)
class Comparison:
    scenario: Scenario
    results: tuple[Result, ...]

    def as_data(self) -> dict[str, Any]:
        scenario = self.scenario
        return {
            "scenario": scenario.name,
            "about": scenario.about,
            "seed": scenario.seed,
            "balancers": scenario.balancers.count,
            "workers": scenario.workers,
            "backends": len(scenario.behaviours),
            "policies": [result.as_data() for result in self.results],
        }


def compare(scenario: Scenario, progress_of: Callable[[str], Progress] = lambda label: lambda came: None) -> Comparison:
    """``progress_of``: called with the label of each policy as its turn comes."""
    return Comparison(scenario, tuple(simulate(scenario, one, progress_of(one.label)) for one in scenario.contenders))


def simulate(scenario: Scenario, contender: Contender, progress: Progress = lambda came: None) -> Result:
    simulation = Simulation(scenario, contender.pool)
    return summarize(scenario, contender.label, simulation.run(progress), simulation.cluster)
