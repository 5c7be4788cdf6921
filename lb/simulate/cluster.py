"""Everything that takes part in a simulation, made from a scenario: backends, machines, workers, loops' state."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from lb.model import Pool
from lb.simulate.agenda import Agenda
from lb.simulate.backend import SimulatedBackend
from lb.simulate.balancer import Machine, Worker
from lb.simulate.faults import Antagonist
from lb.simulate.load_reports import LoadReports
from lb.simulate.probes import Probes
from lb.simulate.probing import VirtualProber
from lb.simulate.scenario import Scenario
from lb.simulate.self_report import SelfReport


@dataclass(frozen=True, slots=True)
class Cluster:
    backends: list[SimulatedBackend]
    machines: list[Machine]
    workers: list[Worker]
    """Of all machines."""
    probes: Probes
    reports: LoadReports
    self_reports: list[SelfReport]
    """By backend; empty where nobody probes for them."""


def stream(scenario: Scenario, purpose: str) -> Random:
    """Chance for one purpose. Apart from each other, so that a policy which draws more does not change what is
    asked of it. Text seeds a Random alike in every process."""
    return Random(f"{scenario.seed}/{purpose}")


def assemble(scenario: Scenario, pool: Pool, clock: Agenda) -> Cluster:
    """``pool``: the scenario's, with the policy that is tried."""
    backends = _backends(scenario)
    probes = Probes(pool.health, backends)
    reports = LoadReports(pool.adaptive, backends, scenario.behaviours)
    machines = _machines(scenario, pool, probes)
    picks = stream(scenario, "picks").random
    self_reports = [SelfReport() for _ in backends] if pool.policy == "prequal" else []
    chance = stream(scenario, "probes").random

    def worker_of(machine: Machine) -> Worker:
        prober = VirtualProber(clock, backends, self_reports, chance)
        worker = Worker(machine, pool, scenario.workers, clock, picks, reports, prober.start)
        prober.pool, prober.load = worker.probes, worker.load
        return worker

    workers = [worker_of(machine) for machine in machines for _ in range(scenario.workers)]
    return Cluster(backends, machines, workers, probes, reports, self_reports)


def _backends(scenario: Scenario) -> list[SimulatedBackend]:
    work = stream(scenario, "work")
    made = []
    for backend, behaviour in zip(scenario.backends, scenario.behaviours, strict=True):
        kind = behaviour.antagonists
        antagonist = Antagonist(kind, stream(scenario, f"antagonist/{backend.id}")) if kind is not None else None
        made.append(SimulatedBackend(behaviour, work, antagonist))
    return made


def _machines(scenario: Scenario, pool: Pool, probes: Probes) -> list[Machine]:
    """Of several machines, each begins its round robin order anywhere."""
    chance = stream(scenario, "tickets")
    first = [chance.randrange(len(scenario.behaviours)) for _ in range(scenario.balancers)]
    return [Machine(pool, probes.verdicts, ticket if len(first) > 1 else 0) for ticket in first]
